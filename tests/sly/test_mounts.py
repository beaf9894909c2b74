"""What a user adds around a task: variables, mounts, an own library, sources that may be changed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from as_user import Raven, run_raven
from sly_support import needs_bwrap, only_run, record

from ravenml.agent import isolation
from ravenml.agent.mounts import Mount, bwrap_mounts, find_library, find_unused_library, read_variables
from ravenml.agent.task_folder import TaskFolder
from ravenml.errors import InputError


def shell(raven: Raven, typed: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`raven agent dev` with something typed into its shell."""
    return run_raven("agent", "dev", *arguments, input=typed, env=raven.env(), cwd=raven.cwd, timeout=60)


def make_library(folder: Path, name: str) -> Path:
    """A supervisely_lib that says whose it is."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(f"whose = {name!r}\n")
    return folder


@needs_bwrap
def test_a_shell_has_what_was_given_and_changes_what_it_may(
    raven: Raven, printing: Path, project: Path, tmp_path: Path
) -> None:
    ide, weights = tmp_path / "my ide", tmp_path / "weights.bin"
    (ide / "bin").mkdir(parents=True)
    weights.write_text("w")
    mine = make_library(tmp_path / "elsewhere" / "supervisely_lib", "mine")
    typed = (
        "echo $DISPLAY $LEVEL; cat /weights; touch /ide/x /workdir/.idea/y; touch src/new /weights;"
        "python -c 'import supervisely_lib as s; print(s.whose)'; echo '# seen' >> "
        f"{mine}/__init__.py"
    )
    options: list[str | Path] = ["--env", "LEVEL=3", "--env", "DISPLAY", "--lib", mine.parent]
    for mount in (f"{ide}:/ide:rw", f"{weights}:/weights", f"{ide}:/workdir/.idea:rw"):
        options += ["--mount", mount]
    known = (printing, "--mode", "train", "--data", project)
    raven.environment["DISPLAY"] = ":7"
    done = shell(raven, typed, *known, *options)
    assert done.stdout.splitlines() == [f"Library:   {mine}", ":7 3", "wmine"], done.stderr
    assert (ide / "x").exists() and (ide / "y").exists() and (printing / "src" / "new").exists()
    assert "# seen" in (mine / "__init__.py").read_text(), "the library is changed from inside, too"
    assert done.stderr.count("Read-only") == 1, "a mount is read-only without :rw"

    (printing / ".idea").rmdir()  # a mount in a folder that may be changed makes its place there
    done = shell(raven, "touch /workdir/.idea/z src/newer", *known, *options, "--ro-sources")
    assert (ide / "z").exists() and not (printing / ".idea").exists()
    assert "Read-only" in done.stderr and not (printing / "src" / "newer").exists()


@needs_bwrap
def test_a_run_takes_the_library_beside_its_plugin_and_says_so(
    raven: Raven, printing: Path, project: Path
) -> None:
    (printing / "src" / "train.py").write_text(
        "import os, supervisely_lib\nprint(getattr(supervisely_lib, 'whose', 'ours'), os.environ['TOKEN'])\n"
    )
    library = make_library(printing.parent / "supervisely_lib", "beside")
    run = ("agent", "run", printing, "--mode", "train", "--data", project, "--env", "TOKEN=hush-7d1e")
    assert f"Library:   {library}" in raven.ok(*run)
    kept = record(only_run(raven))
    assert kept["agent"]["library"] == str(library) and "hush-7d1e" not in str(kept)
    assert "beside hush-7d1e" in (only_run(raven) / "console.log").read_text()
    raven.ok(*run, "--lib", "ravenml")
    assert "ours hush-7d1e" in (raven.runs()[-1] / "console.log").read_text()


def test_which_library_is_meant(tmp_path: Path) -> None:
    plugin = tmp_path / "repository" / "plugins" / "nn" / "mine"
    (plugin / "src").mkdir(parents=True)
    assert find_library(plugin, None) is None and find_unused_library(plugin) is None
    further_up = make_library(tmp_path / "repository" / "supervisely_lib", "the checkout's")
    assert find_library(plugin, None) is None and find_unused_library(plugin) == further_up
    assert find_library(plugin, str(further_up)) == further_up == find_library(plugin, str(further_up.parent))
    beside = make_library(plugin.parent / "supervisely_lib", "beside")
    assert find_library(plugin, None) == beside and find_library(plugin, "ravenml") is None
    make_library(plugin / "src" / "supervisely_lib", "its own")
    assert find_library(plugin, None) is None
    with pytest.raises(InputError, match="is not a Python package"):
        find_library(plugin, str(plugin))


@pytest.mark.parametrize("given", ["only", "a:b", ":/x", "HERE:/x/../y", "HERE:x:rw"])
def test_a_mount_that_cannot_be_read_says_its_form(given: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="HOST:INSIDE"):
        Mount.parse(given.replace("HERE", str(tmp_path)))


@pytest.mark.parametrize("inside", ["/", "/sly_task_data", "/workdir", "/workdir/src", "/proc"])
def test_a_mount_over_the_task_s_own_places_is_refused(inside: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has its own content"):
        Mount.parse(f"{tmp_path}:{inside}")


def test_a_mount_is_read_only_unless_it_says_otherwise_and_must_exist(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    assert Mount.parse(f"{folder}:/x") == Mount.parse(f"{folder}:/x:ro") == Mount(folder, "/x")
    assert Mount.parse(f"{folder}:/x:rw").writable
    with pytest.raises(InputError, match="does not exist"):
        Mount.parse(f"{tmp_path / 'gone'}:/x")


def test_a_mount_where_no_place_can_be_made_is_a_sentence_and_not_bubblewrap_s(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    (plugin / "src").mkdir(parents=True)
    with pytest.raises(InputError, match="does not exist; create it"):
        bwrap_mounts([Mount(tmp_path, "/workdir/src/data")], plugin, False)
    with pytest.raises(InputError, match="/usr read-only"):
        bwrap_mounts([Mount(tmp_path, "/usr/no/such")], plugin, False)
    assert bwrap_mounts([Mount(tmp_path, "/workdir/src/data")], plugin, True)[0] == "--bind"


def test_a_variable_is_named_with_its_value_or_passed_on() -> None:
    assert read_variables(["A=1=2", "B=", "C"], {"C": "here"}) == {"A": "1=2", "B": "", "C": "here"}
    for wrong, said in [
        ("D", "not set here"),
        ("1x=2", "NAME=VALUE"),
        ("PYTHONPATH=/x", "the agent sets it"),
    ]:
        with pytest.raises(InputError, match=said):
            read_variables([wrong], {})


def test_docker_gets_mounts_and_the_names_of_variables_but_no_value(tmp_path: Path) -> None:
    sandbox = isolation.Sandbox(
        plugin=Path("/plugins/mine"), task=TaskFolder(tmp_path), home=tmp_path, shims=tmp_path / "path",
        python=Path("python"), image="mine:1.0", variables={"TOKEN": "hush"},
        mounts=[Mount(Path("/ide"), "/pycharm"), Mount(Path("/settings"), "/x", True)],
    )  # fmt: skip
    line = " ".join(isolation.docker_command(sandbox, ["python"]))
    assert "-v /ide:/pycharm:ro" in line and "-v /settings:/x " in line
    assert "-e TOKEN " in line and "hush" not in line and "/plugins/mine" not in line
    assert isolation.host_environment("docker", sandbox, {})[0] == {"TOKEN": "hush"}
    live = " ".join(isolation.docker_command(replace(sandbox, writable_sources=True), ["python"]))
    assert "-v /plugins/mine/src:/workdir/src " in live


def test_without_a_sandbox_nothing_can_be_mounted(
    raven: Raven, printing: Path, project: Path, tmp_path: Path
) -> None:
    known = ("--mode", "train", "--data", project, "--mount", f"{tmp_path}:/x", "--isolation", "none")
    done = raven("agent", "run", printing, *known)
    assert done.returncode == 2 and "--mount needs a sandbox" in done.stderr and raven.runs() == []


@needs_bwrap
def test_a_run_that_made_no_model_is_no_model(raven: Raven, printing: Path, project: Path) -> None:
    (printing / "src" / "train.py").write_text("")
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project)
    run = only_run(raven)
    for model in (run.name, run):
        known = ("--mode", "inference", "--data", project, "--model", model)
        done = raven("agent", "run", printing, *known)
        assert done.returncode == 2 and "has no model-state.tar" in done.stderr, done.stderr
    assert raven.runs() == [run]
