"""Removing, exporting and importing runs: whole or not at all."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven
from many_runs import events_of, write_run

from ravenml.errors import InputError, RavenError
from ravenml.runs.archive import MANIFEST, export_run, import_run
from ravenml.runs.index import list_rows
from ravenml.runs.layout import run_ids
from ravenml.runs.removal import remove_run
from ravenml.runs.run import Run

NAME = "20260101-000000-aaaaaa"


@pytest.fixture
def kept(home: Path) -> Path:
    """A k-fold run with all that one has, one name with an umlaut among it."""
    folder = write_run(home, NAME, metrics={"val/miou": 0.5})
    events_of(folder, {"val/miou": [0.4, 0.5]})
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "model_001.pth").write_bytes(os.urandom(300_000))
    (folder / "previews").mkdir()
    (folder / "previews" / "grün.png").write_bytes(b"picture")
    (folder / "folds" / "0").mkdir(parents=True)
    (folder / "folds" / "0" / "run.json").write_text("{}")
    (folder / "run.lock").write_text("1")
    (folder / "control.json").write_text('{"request": "stop"}')
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


@pytest.mark.parametrize("file", ["run.tar", "run.tar.gz"])
def test_a_run_comes_back_from_its_file_as_it_was(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    before = contents(kept)
    exported = export_run(kept, tmp_path / file)
    assert exported.files == len(before) - 2 and not exported.links
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "another"))
    folder, new = import_run(tmp_path / file)
    assert new and folder == tmp_path / "another" / "runs" / NAME
    expected = {name: what for name, what in before.items() if name not in ("run.lock", "control.json")}
    assert contents(folder) == expected
    assert folder.joinpath("events.jsonl").stat().st_mtime == pytest.approx(
        kept.joinpath("events.jsonl").stat().st_mtime, abs=1e-3
    )
    assert [row["metrics"] for row in list_rows()] == [{"val/miou": 0.5}]
    assert sorted(os.listdir(folder.parent)) == [NAME]


def test_on_the_command_line_it_is_the_same(kept: Path, raven: Raven, tmp_path: Path) -> None:
    assert re.search(r"5 files, 29\d\.\d KiB", raven.ok("runs", "export", "2026", tmp_path / "run.tar"))
    assert "was already here, identical" in raven.ok("runs", "import", tmp_path / "run.tar")
    assert "exists already" in raven("runs", "export", "2026", tmp_path / "run.tar").stderr
    raven.ok("runs", "rm", "2026", "--yes")
    assert f"{NAME} was imported" in raven.ok("runs", "import", tmp_path / "run.tar")
    raven.ok("runs", "tag", NAME, "mine")
    assert "was already here, identical" in raven.ok("runs", "import", tmp_path / "run.tar")
    (kept / "events.jsonl").write_text("")
    done = raven("runs", "import", tmp_path / "run.tar")
    assert done.returncode == 2 and "differs from" in done.stderr and "events.jsonl" in done.stderr


def test_a_link_that_leaves_the_folder_is_not_exported_but_named(kept: Path, tmp_path: Path) -> None:
    (kept / "artifacts").mkdir()
    (kept / "artifacts" / "passwd").symlink_to("/etc/passwd")
    assert export_run(kept, tmp_path / "run.tar").links == ["artifacts/passwd"]
    with tarfile.open(tmp_path / "run.tar") as tar:
        assert not any("passwd" in name for name in tar.getnames())


def test_files_that_the_store_shares_are_exported_once_each_as_files(kept: Path, tmp_path: Path) -> None:
    os.link(kept / "checkpoints" / "model_001.pth", kept / "model-state.tar")
    export_run(kept, tmp_path / "run.tar")
    with tarfile.open(tmp_path / "run.tar") as tar:
        assert all(member.isfile() for member in tar)


def archive(file: Path, members: dict[str, bytes], manifest: bool = True, **more: object) -> Path:
    """An archive as somebody else may have made it."""
    import hashlib

    run = NAME
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in more.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
        if manifest:
            digests = {
                name.removeprefix(f"{run}/"): hashlib.sha256(what).hexdigest()
                for name, what in members.items()
            }
            content = json.dumps({"v": 1, "run": run, "files": digests}).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


RECORD = json.dumps({"id": NAME, "attempts": [], "process": {}}).encode()


@pytest.mark.parametrize(
    "name",
    ["../outside", "/tmp/outside", f"{NAME}/../../outside", f"{NAME}/a/../../../x", "outside", "../../x/y"],
)
def test_names_that_leave_the_runs_folder_are_refused(home: Path, tmp_path: Path, name: str) -> None:
    file = archive(tmp_path / "evil.tar", {f"{NAME}/run.json": RECORD, name: b"x"})
    with pytest.raises(InputError, match="leaves the run's folder"):
        import_run(file)
    assert not any(path.name in ("outside", "x", "y") for path in tmp_path.rglob("*"))
    assert run_ids() == [] and os.listdir(home / "runs") == []


def test_links_in_an_archive_are_refused(home: Path, tmp_path: Path) -> None:
    file = archive(
        tmp_path / "evil.tar", {f"{NAME}/run.json": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"
    )
    with pytest.raises(InputError, match="is not a plain file"):
        import_run(file)


def test_what_is_no_archive_was_cut_off_or_changed_is_refused_and_leaves_nothing(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "run.tar.gz"
    export_run(kept, whole)
    export_run(kept, tmp_path / "plain.tar")
    content = bytearray((tmp_path / "plain.tar").read_bytes())
    content[content.index(b"picture")] ^= 1
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "another"))
    bad = tmp_path / "bad.tar"
    for broken in (b"", b"no tar at all", whole.read_bytes()[:-200], whole.read_bytes()[:1000],
                   (tmp_path / "plain.tar").read_bytes()[:200_000], bytes(content)):  # fmt: skip
        bad.write_bytes(broken)
        with pytest.raises(InputError, match="export"):
            import_run(bad)
    archive(bad, {f"{NAME}/run.json": RECORD}, manifest=False)
    with pytest.raises(InputError, match=r"has no MANIFEST\.json at its end"):
        import_run(bad)
    archive(bad, {f"{NAME}/run.json": b"[]"})
    with pytest.raises(RavenError, match=r"run\.json: it holds \[\], not an object"):
        import_run(bad)
    with pytest.raises(InputError, match="does not exist"):
        import_run(tmp_path / "nothing.tar")
    assert os.listdir(tmp_path / "another" / "runs") == []


def test_an_import_that_is_killed_leaves_no_run(kept: Path, tmp_path: Path) -> None:
    (kept / "checkpoints" / "large.pth").write_bytes(os.urandom(30_000_000))
    export_run(kept, tmp_path / "run.tar.gz")
    another = tmp_path / "another"
    command = [sys.executable, "-m", "ravenml", "runs", "import", str(tmp_path / "run.tar.gz")]
    for wait in (0.3, 0.45):
        process = subprocess.Popen(command, env={**os.environ, "RAVENML_STORAGE_PATH": str(another)})
        time.sleep(wait)
        process.kill()
        process.wait()
        found = os.listdir(another / "runs") if (another / "runs").exists() else []
        whole = NAME in found and contents(another / "runs" / NAME).keys() >= {"checkpoints/large.pth"}
        assert whole or NAME not in found


def test_a_running_run_is_neither_removed_nor_exported(home: Path, raven: Raven, tmp_path: Path) -> None:
    run = Run.begin(home / "runs" / NAME, NAME, {"plugin": "x"})
    for command in (["rm", NAME, "--yes"], ["export", NAME, str(tmp_path / "run.tar")]):
        done = raven("runs", *command)
        assert done.returncode == 2 and f"is running; stop it first: raven runs stop {NAME}" in done.stderr
    assert run.path.exists() and not (tmp_path / "run.tar").exists()
    run.finish("completed")
    remove_run(run.path)
    assert os.listdir(home / "runs") == []


def test_a_run_that_a_cluster_still_has_goes_only_when_it_is_silent_and_with_a_word(
    home: Path, raven: Raven
) -> None:
    folder = write_run(home, NAME, status=None)
    beat = folder / "heartbeat.json"
    beat.write_text(json.dumps({"state": "waiting", "at": time.time(), "waits_for": "1 GPU"}))
    done = raven("runs", "rm", NAME, "--yes")
    assert done.returncode == 2 and folder.exists()
    assert f"waits for its cluster; stop it first: raven runs stop {NAME}" in done.stderr
    beat.write_text(json.dumps({"state": "running", "at": 0}))  # nothing was heard of it since 1970
    done = raven("runs", "rm", NAME, "--yes")
    assert done.returncode == 0 and not folder.exists() and "may submit it again" in done.stderr


def test_without_a_terminal_removing_wants_to_be_told_twice(kept: Path, raven: Raven) -> None:
    done = raven("runs", "rm", NAME)
    assert done.returncode == 2 and "use --yes" in done.stderr and kept.exists()
    assert raven("runs", "rm", NAME, "nonsense", "--yes").returncode == 2 and kept.exists()


@pytest.mark.parametrize(("answer", "stays"), [(b"n\n", True), (b"y\n", False)])
def test_on_a_terminal_removing_asks(kept: Path, raven: Raven, answer: bytes, stays: bool) -> None:
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "ravenml", "runs", "rm", NAME]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=raven.env())
    os.write(mine, answer)
    process.wait(PATIENCE)
    os.close(its)
    os.close(mine)
    assert kept.exists() == stays


def test_a_broken_run_can_be_removed(kept: Path) -> None:
    (kept / "run.json").write_text("{")
    remove_run(kept)
    assert run_ids() == []


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b'{"v": 1, "run": "../../elsewhere", "files": {}}', "which is not a run's ID"),
        (b'{"v": 1, "files": {}}', "is not what `raven runs export` writes"),
        (b"{", "is not what `raven runs export` writes"),
        (b'{"v": "x", "run": "r", "files": {}}', "is not what `raven runs export` writes"),
    ],
)
def test_a_manifest_that_names_no_run_is_refused(
    home: Path, tmp_path: Path, manifest: bytes, said: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "run.json").write_bytes(RECORD)
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(manifest)
        tar.addfile(info, io.BytesIO(manifest))
    with pytest.raises(InputError, match=said):
        import_run(bad)
    assert (tmp_path / "elsewhere" / "run.json").exists()
