"""`raven train`: plugins are found, listed, guarded and given the core's options."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven, start_raven
from throwaway import AS_WRITTEN_TODAY, GROUP, LEARNS, SETTINGS, write_plugin

from ravenml.plugin import discovery


def test_piped_the_list_is_bare_names_a_line_each(raven: Raven, site: Path) -> None:
    for name in ("first", "second"):
        write_plugin(site, name, AS_WRITTEN_TODAY)
    names = raven.ok("train", "list").splitlines()
    assert {"first", "second"} <= set(names)
    assert all(" " not in name for name in names)


def test_on_a_terminal_the_list_shows_distribution_and_version(raven: Raven, site: Path) -> None:
    write_plugin(
        site, "first", AS_WRITTEN_TODAY, distribution="acme-first", version="4.5", target="acme_first.core:x"
    )
    shown = on_a_terminal(raven, "train", "list")
    line = next(line for line in shown.splitlines() if line.startswith("first"))
    assert line.split()[:3] == ["first", "acme-first", "4.5"]


def test_listing_imports_no_plugin(raven: Raven, site: Path) -> None:
    write_plugin(site, "loud", "raise SystemExit('imported')")
    assert "loud" in raven.ok("train", "list").splitlines()


def test_the_list_marks_two_distributions_with_one_name_and_calling_it_names_both(
    raven: Raven, site: Path
) -> None:
    write_plugin(site, "twin", AS_WRITTEN_TODAY, distribution="one")
    write_plugin(site, "twin", AS_WRITTEN_TODAY, distribution="other")
    done = raven("train", "list")
    assert "twin" not in done.stdout.splitlines()
    assert "one and other declare the same name" in done.stderr
    called = raven("train", "twin", "train")
    assert called.returncode == 1
    assert "one and other" in called.stderr


def test_the_list_marks_a_module_that_cannot_be_found(raven: Raven, site: Path) -> None:
    write_plugin(site, "gone", AS_WRITTEN_TODAY, target="nowhere.core:my_plugin")
    assert "its module nowhere.core cannot be found" in raven("train", "list").stderr
    called = raven("train", "gone", "train")
    assert called.returncode == 1 and "ravenml_gone 1.2" in called.stderr


def test_a_plugin_called_list_is_reported_and_never_shadows_the_command(raven: Raven, site: Path) -> None:
    write_plugin(site, "list", AS_WRITTEN_TODAY)
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    done = raven("train", "list")
    assert "good" in done.stdout.splitlines() and "list" not in done.stdout.splitlines()
    assert "its name belongs to the command `raven train list`" in done.stderr


def test_a_broken_plugin_is_named_with_its_distribution_and_reason_and_others_go_on(
    raven: Raven, site: Path
) -> None:
    write_plugin(site, "broken", "import a_module_that_is_missing")
    write_plugin(site, "exits", "raise SystemExit(3)")
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    for name, reason in (("broken", "a_module_that_is_missing"), ("exits", "SystemExit: 3")):
        called = raven("train", name, "train")
        assert called.returncode == 1
        assert f"ravenml_{name} 1.2" in called.stderr and reason in called.stderr
        assert "Traceback" not in called.stderr
    assert raven("train", "good", "train").returncode == 0


def test_debug_mode_shows_the_traceback(raven: Raven, site: Path) -> None:
    write_plugin(site, "broken", "import a_module_that_is_missing")
    called = raven("train", "broken", "train", RAVENML_DEBUG="1")
    assert called.returncode == 1 and "Traceback" in called.stderr and "core.py" in called.stderr


def test_a_plugin_whose_import_hangs_is_given_up(raven: Raven, site: Path) -> None:
    write_plugin(site, "hangs", "import time\nwhile True: time.sleep(0.1)")
    called = raven("train", "hangs", "train", RAVENML_IMPORT_TIMEOUT="0.5", timeout=30)
    assert called.returncode == 1 and "did not end within 0.5 s" in called.stderr


def test_an_import_that_takes_long_says_what_is_waited_for(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(site, "slow", "import time; time.sleep(0.5); my_plugin = 1")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(discovery, "ANNOUNCE_AFTER", 0.1)
    plugin = discovery.find_plugin("slow")
    assert plugin is not None and plugin.load() == 1
    assert "Waiting for the plugin 'slow' of the distribution" in capsys.readouterr().err


def test_an_entry_point_that_is_no_command_is_named(raven: Raven, site: Path) -> None:
    write_plugin(site, "number", "my_plugin = 42")
    called = raven("train", "number", "train")
    assert called.returncode == 1 and "is not a Click command but a int" in called.stderr


def test_check_imports_each_plugin_apart_and_gives_a_line_per_broken_one(raven: Raven, site: Path) -> None:
    write_plugin(site, "broken", "import a_module_that_is_missing")
    write_plugin(site, "hangs", "while True: pass")
    write_plugin(site, "number", "my_plugin = 42")
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    done = raven("train", "list", "--check", RAVENML_IMPORT_TIMEOUT="5")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("The plugin")]
    assert len(lines) == 3
    assert not any("'good'" in line for line in lines)


def test_dashes_reach_a_name_with_underscores(raven: Raven, site: Path) -> None:
    write_plugin(site, "my_net", AS_WRITTEN_TODAY)
    assert raven("train", "my-net", "train").returncode == 0
    assert raven("train", "my_net", "train").returncode == 0


def test_an_unknown_plugin_is_answered_with_those_that_are_installed(raven: Raven, site: Path) -> None:
    write_plugin(site, "good", AS_WRITTEN_TODAY)
    called = raven("train", "god", "train")
    assert called.returncode == 2 and "No plugin is called 'god'" in called.stderr and "good" in called.stderr


def test_the_plugin_of_today_runs_unchanged_and_its_bare_output_is_stored(raven: Raven, site: Path) -> None:
    write_plugin(site, "today", AS_WRITTEN_TODAY)
    raven.ok("train", "today", "train")
    (run,) = raven.runs()
    assert (raven.home / "store" / "models" / f"metadata_{run.name}.json").exists()


def test_a_command_that_uses_nothing_and_returns_nothing_leaves_nothing(raven: Raven, site: Path) -> None:
    source = AS_WRITTEN_TODAY.replace("return TrainOutput()", "print('nothing to do')")
    write_plugin(site, "idle", source)
    assert "nothing to do" in raven.ok("train", "idle", "train")
    assert raven.runs() == []


def test_nested_groups_load_and_their_output_is_stored(raven: Raven, site: Path) -> None:
    core = GROUP + "\nfrom ravenml_nested.deep.commands import deep\nmy_plugin.add_command(deep)\n"
    deep = """
    import click
    from ravenml.train.options import pass_train
    from ravenml.train.interfaces import TrainOutput

    @click.group()
    def deep(): pass

    @deep.command()
    @pass_train
    def small(train):
        return TrainOutput(metadata={"size": "small"})

    @deep.command()
    def plain():
        return TrainOutput()
    """
    write_plugin(site, "nested", core, files={"deep/commands.py": deep, "deep/__init__.py": ""})
    raven.ok("train", "nested", "deep", "small")
    raven.ok("train", "nested", "deep", "plain")
    assert len(list((raven.home / "store" / "models").glob("metadata_*.json"))) == 2


def test_an_option_that_the_plugin_declares_itself_wins_and_the_core_reads_it(
    raven: Raven, site: Path, project: Path
) -> None:
    own = LEARNS.replace(
        "@my_plugin.command()\n@pass_train",
        "@my_plugin.command()\n@click.option('--dataset', help='Mine.')\n@pass_train",
    ).replace(
        "def train(ctx, train: TrainInput):",
        "def train(ctx, train: TrainInput, dataset):\n    print('own:', dataset)",
    )
    write_plugin(site, "own", own, settings=SETTINGS)
    assert "Mine." in raven.ok("train", "own", "train", "--help")
    assert f"own: {project}" in raven.ok("train", "own", "train", "--dataset", project)


def test_help_shows_settings_with_types_defaults_and_choices(raven: Raven, learner: Path) -> None:
    shown = raven.ok("train", "learner", "train", "--help")
    for part in (
        "--epochs INTEGER",
        "--input-width INTEGER",
        "[sgd|adam]",
        "[default: 0.1]",
        "--fold-by",
        "--resume",
    ):
        assert part in shown


def test_the_command_has_a_second_name() -> None:
    for name in ("raven", "ravenml"):
        done = subprocess.run(
            [Path(sys.executable).parent / name, "--version"], capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout.startswith("raven ")


def on_a_terminal(raven: Raven, *arguments: str) -> str:
    """What ``raven`` prints on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    process = start_raven(*arguments, stdout=theirs, stderr=theirs, env=raven.env(), cwd=raven.cwd)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    process.wait(timeout=PATIENCE)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")
