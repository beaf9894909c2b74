"""The promise, with the real plugins: in, train, out, and ``pip list`` is byte for byte what it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from as_user import wait_for
from local_wheels import ROOT, Environment

from ravenml.data.demo import write_demo

TRAIN = ["train", "--epochs", "1", "--batch-size", "2", "--input-height", "32", "--input-width", "32"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, as far as git can tell, of what lies here."""
    folder = tmp_path_factory.mktemp("clone") / "ravenml"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "all")
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def core_alone(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A new virtual environment with the core, as docs/installation.md says."""
    environment = Environment.make(tmp_path_factory.mktemp("core") / "venv")
    environment.pip("install", "-q", "-c", clone / "plugins" / "constraints.txt", "-e", clone)
    return environment


@pytest.fixture(scope="module")
def with_both() -> list[str]:
    """What `pip list` said with both frameworks installed; each order of installation adds its own."""
    return []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_plugin_comes_trains_and_goes_without_a_trace(
    core_alone: Environment, clone: Path, tmp_path: Path, with_both: list[str]
):
    """With a package that the user had, at another version than the plugins pin, and needed by nothing."""
    core_alone.pip("install", "-q", "mpmath==1.2.1")
    first, files = core_alone.freeze(), core_alone.everything()
    assert "mpmath==1.2.1" in first

    said = core_alone.ok(clone / "install_all.sh", cwd=tmp_path)
    assert "mpmath 1.2.1 becomes" in said
    assert git(clone, "status", "--porcelain") == ""
    core_alone.pip("check")
    with_both.append(core_alone.freeze())

    write_demo(tmp_path / "demo", images=6)
    raven = core_alone.path / "bin" / "raven"
    where = {"RAVENML_STORAGE_PATH": str(tmp_path / "home")}
    names = core_alone.run(raven, "train", "list", **where).stdout.split()
    assert names == ["tf-bbox", "unet"]
    for name in names:
        core_alone.ok(raven, "train", "--dataset", tmp_path / "demo", name, *TRAIN, **where)
    listed = core_alone.ok(raven, "plugin", "list", **where)
    assert "ravenml-unet" in listed and "CPU" in listed and str(clone / "plugins" / "ravenml_unet") in listed

    said = core_alone.ok(clone / "install_all.sh", "-u", "-c", cwd=tmp_path)
    assert core_alone.freeze() == first
    assert core_alone.everything() == files
    assert "restored       mpmath 1.2.1 (was" in said and "kept           nothing" in said
    ignored = git(clone, "status", "--porcelain", "--ignored", "--", "plugins").splitlines()
    assert [line for line in ignored if not line.endswith("__pycache__/")] == []


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_both_frameworks_live_in_one_environment_whichever_comes_first(
    core_alone: Environment, clone: Path, tmp_path: Path, with_both: list[str]
):
    """Here PyTorch's plugin comes first; with `install_all.sh`, in the test above, TensorFlow's."""
    first = core_alone.freeze()
    write_demo(tmp_path / "demo", images=6)
    raven = core_alone.path / "bin" / "raven"
    where = {"RAVENML_STORAGE_PATH": str(tmp_path / "home")}
    for name in ("unet", "tf_bbox"):
        core_alone.ok(clone / "plugins" / f"ravenml_{name}" / "install.sh")
    core_alone.pip("check")
    with_both.append(core_alone.freeze())
    for name in ("unet", "tf_bbox"):  # the first now has the other's packages around it
        core_alone.ok(raven, "train", "--dataset", tmp_path / "demo", name, *TRAIN, **where)
    core_alone.ok(clone / "install_all.sh", "-u", "-c")
    assert core_alone.freeze() == first
    assert len(set(with_both)) == 1 and "tensorflow==" in with_both[0] and "torch==" in with_both[0]
    assert "tensorflow-cpu" not in with_both[0] and "nvidia-" not in with_both[0]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_installation_killed_while_it_writes_torch_is_undone(core_alone: Environment, clone: Path):
    first, files = core_alone.freeze(), core_alone.everything()
    process = subprocess.Popen(
        [clone / "plugins" / "ravenml_unet" / "install.sh"],
        env=core_alone.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: (core_alone.site / "torch" / "lib").is_dir(), seconds=600)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(core_alone.site.glob("torch-*.dist-info/INSTALLER"))  # it was in the midst of it
    said = core_alone.ok(clone / "install_all.sh", "-u", "-c")
    assert "An installation was interrupted; removed what it left" in said
    assert core_alone.freeze() == first
    assert core_alone.everything() == files


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("template", ["minimal", "segmentation"])
def test_a_new_plugin_installs_lists_trains_and_uninstalls_at_once(
    core_alone: Environment, clone: Path, tmp_path: Path, template: str
):
    first = core_alone.freeze()
    raven = core_alone.path / "bin" / "raven"
    where = {"RAVENML_STORAGE_PATH": str(tmp_path / "home")}
    core_alone.ok(raven, "plugin", "new", "my-net", "--template", template, "--into", tmp_path, **where)
    folder = tmp_path / "ravenml_my_net"

    said = core_alone.ok(folder / "install.sh", cwd=tmp_path)
    assert "ravenml_my_net is installed and loads (CPU" in said
    assert "my_net" in core_alone.ok(raven, "train", "list", **where).split()
    write_demo(tmp_path / "demo", images=6)
    core_alone.ok(raven, "train", "--dataset", tmp_path / "demo", "my-net", "train", **where)
    (run,) = (tmp_path / "home" / "runs").iterdir()
    assert (run / "model-state.tar").is_file()

    core_alone.ok(folder / "install.sh", "-u")
    assert "my_net" not in core_alone.ok(raven, "train", "list", **where).split()
    core_alone.ok(clone / "install_all.sh", "-u", "-c")
    assert core_alone.freeze() == first
