"""What ravenML writes into its home is its owner's alone, unless RAVENML_UMASK says otherwise."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.common.io import write_bytes, write_json
from ravenml.common.permissions import close_home, make_folder
from ravenml.config.config import Config, load_config, save_config
from ravenml.errors import InputError
from ravenml.runs.run import Run
from ravenml.store.local_store import FolderStore


@pytest.fixture(autouse=True)
def usual_umask() -> None:
    os.umask(0o022)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[Path]:
    return [path for path in [folder, *folder.rglob("*")] if mode(path) & 0o077]


def test_a_run_and_the_home_are_the_owners_alone(home: Path) -> None:
    run = Run.begin(home / "runs" / "20260101-000000-aaaaaa", "20260101-000000-aaaaaa", {})
    run.text("hello")
    run.picture("a/b.png", b"x")
    run.finish("completed")
    save_config(Config(region="here"))
    assert not open_to_others(home)


def test_a_recorded_program_writes_outside_as_it_always_did(raven: Raven) -> None:
    code = "import os; open('out.txt', 'w'); os.mkdir('made')"
    raven.ok("run", "--", "python3", "-c", code)
    assert not open_to_others(raven.home)
    assert (mode(raven.cwd / "out.txt"), mode(raven.cwd / "made")) == (0o644, 0o755)


def test_a_umask_shares_the_home_with_a_group(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVENML_UMASK", "007")
    run = Run.begin(home / "runs" / "20260101-000000-aaaaaa", "20260101-000000-aaaaaa", {})
    run.finish("completed")
    assert (mode(home), mode(run.path), mode(run.path / "run.json")) == (0o770, 0o770, 0o660)
    assert mode(run.path / "events.jsonl") == 0o660


def test_the_configuration_holds_a_umask(home: Path) -> None:
    save_config(Config(umask="007"))
    write_json(home / "cache" / "x.json", {})
    assert (mode(home / "cache"), mode(home / "cache" / "x.json")) == (0o770, 0o660)
    for text in ("umask: 027", "umask: '027'", "umask: 0o27"):
        (home / "config.yaml").write_text(text)
        if "o" not in text[7:]:
            assert load_config().umask == "027"


@pytest.mark.parametrize("wrong", ["7", "abc", "0777", "700", "-077"])
def test_a_wrong_umask_gets_a_sentence(raven: Raven, wrong: str) -> None:
    done = raven("data", "demo", raven.home / "datasets" / "x", RAVENML_UMASK=wrong)
    assert done.returncode == 2 and "should be three octal digits, such as 077 or 007" in done.stderr


def test_an_open_home_is_closed_once_and_that_is_said(raven: Raven) -> None:
    (raven.home / "runs").mkdir(parents=True)
    raven.home.chmod(0o755)
    assert "can be read by you alone from now on" in raven("config", "path").stderr
    assert mode(raven.home) == 0o700
    assert raven("config", "path").stderr == ""


def test_what_was_shared_on_purpose_is_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    home.mkdir()
    home.chmod(0o2775)  # a group's
    close_home(said.append)
    assert mode(home) == 0o2775
    home.chmod(0o755)
    monkeypatch.setenv("RAVENML_UMASK", "022")
    close_home(said.append)
    assert mode(home) == 0o755 and not said


def test_a_folder_with_other_things_is_left_open_but_for_what_is_ours(home: Path) -> None:
    (home / "runs").mkdir(parents=True)
    (home / "thesis.tex").touch()
    said: list[str] = []
    close_home(said.append)
    assert mode(home) == 0o755 and mode(home / "runs") == 0o700 and len(said) == 1


def test_a_folder_of_a_group_hands_its_group_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVENML_UMASK", "007")
    home.mkdir()
    home.chmod(0o2770)
    make_folder(home / "runs" / "x")
    assert mode(home / "runs" / "x") == 0o2770


def test_a_shared_store_follows_the_umask_of_the_process(home: Path, tmp_path: Path) -> None:
    source = home / "runs" / "x" / "model-state.tar"
    write_bytes(source, b"model")
    assert mode(source) == 0o600
    store = FolderStore(tmp_path / "shared")
    store.put("models/a.tar", source)
    assert mode(tmp_path / "shared" / "models" / "a.tar") == 0o644
    assert mode(tmp_path / "shared" / "models") == 0o755


def test_files_outside_of_the_home_follow_the_umask_of_the_process(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b.json", b"{}")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b.json")) == (0o755, 0o644)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_somebody_elses_home_is_no_reason_to_fail(home: Path) -> None:
    home.mkdir()
    os.chown(home, 12345, 12345)
    close_home(lambda text: pytest.fail(text))
    assert mode(home) == 0o755


def test_the_program_of_a_run_keeps_its_umask(raven: Raven) -> None:
    done = raven("run", "--", "sh", "-c", "umask", RAVENML_UMASK="007")
    assert done.stdout.strip() in ("0022", "022"), subprocess.list2cmdline(done.args)


def test_no_umask_of_nonsense(home: Path) -> None:
    with pytest.raises(InputError, match="three octal digits"):
        load_config({"umask": "9"})
