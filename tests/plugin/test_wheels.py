"""What `make dist` builds is whole, and is all that a machine without the checkout needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from local_wheels import ROOT, Environment

from ravenml import __version__
from ravenml.data.demo import write_demo
from ravenml.plugin.requirements import cpu_index

TRAIN = ["train", "--epochs", "1", "--batch-size", "2", "--input-height", "32", "--input-width", "32"]
PACKAGES = {
    "ravenml": ROOT / "ravenml",
    "ravenml_unet": ROOT / "plugins/ravenml_unet/ravenml_unet",
    "ravenml_tf_bbox": ROOT / "plugins/ravenml_tf_bbox/ravenml_tf_bbox",
}


def tracked(folder: Path) -> set[str]:
    listed = subprocess.run(["git", "-C", folder, "ls-files", "-z"], capture_output=True, text=True)
    return {name for name in listed.stdout.split("\0") if name and (folder / name).is_file()}


def build(folder: Path) -> Path:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run([ROOT / ".ci" / "dist", folder], check=True, env={**os.environ, "PATH": path})
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make dist` fills; each wheel is built from its source distribution."""
    if not tracked(ROOT):
        pytest.skip("this is not a git checkout")
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of the checkout, with the demo project in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write_demo(folder / "demo", images=6)
    return folder


def wheel(dist: Path, package: str) -> Path:
    return dist / f"{package}-{__version__}-py3-none-any.whl"


def sdist(dist: Path, package: str) -> Path:
    return dist / f"{package}-{__version__}.tar.gz"


def pip_options() -> list[str]:
    """The pins that were tested together, and PyTorch for the CPU, as docs/installation.md says."""
    index = cpu_index()
    return ["-c", str(ROOT / "plugins" / "constraints.txt"), *(["--extra-index-url", index] if index else [])]


def trains(environment: Environment, raven: str | Path, elsewhere: Path, home: Path) -> None:
    where = {"RAVENML_STORAGE_PATH": str(home)}
    environment.ok(raven, "train", "--dataset", elsewhere / "demo", "unet", *TRAIN, cwd=elsewhere, **where)
    assert environment.ok(raven, "runs", "list", "--status", "completed", **where).count("unet") == 1


@pytest.mark.slow  # builds three packages
class TestWhatIsBuilt:
    @pytest.mark.parametrize("package", PACKAGES)
    def test_a_wheel_has_every_file_of_its_package_and_the_license(self, dist: Path, package: str) -> None:
        held = set(zipfile.ZipFile(wheel(dist, package)).namelist())
        assert {f"{package}/{name}" for name in tracked(PACKAGES[package])} <= held
        assert f"{package}-{__version__}.dist-info/licenses/LICENSE" in held
        assert not [name for name in held if name.startswith(("tests/", "src/"))]

    @pytest.mark.parametrize("package", ["ravenml_unet", "ravenml_tf_bbox"])
    def test_a_plugins_source_distribution_is_its_whole_folder(self, dist: Path, package: str) -> None:
        with tarfile.open(sdist(dist, package)) as archive:
            held = {name.partition("/")[2] for name in archive.getnames()}
        assert tracked(ROOT / "plugins" / package) <= held

    def test_the_same_commit_gives_the_same_bytes(self, dist: Path, tmp_path: Path) -> None:
        again = build(tmp_path)
        assert len(list(dist.iterdir())) == 6
        for file in dist.iterdir():
            assert file.read_bytes() == (again / file.name).read_bytes(), file.name


@pytest.mark.slow  # real installations of PyTorch
@pytest.mark.timeout(1200)
def test_with_pip_the_wheels_train_in_an_empty_environment(
    dist: Path, elsewhere: Path, tmp_path: Path
) -> None:
    environment = Environment.make(tmp_path / "venv")
    core = f"{wheel(dist, 'ravenml')}[unet]"
    environment.pip("install", "-q", "--find-links", dist, *pip_options(), core)
    environment.pip("check")
    trains(environment, environment.path / "bin" / "raven", elsewhere, tmp_path / "home")
    code = "from ravenml.common.extras import install_command as c; print(c('serve'))"
    said = environment.ok("python", "-c", code, cwd=elsewhere)
    assert said == f"pip install '{wheel(dist, 'ravenml')}[serve]'\n"


@pytest.mark.slow  # real installations of PyTorch
@pytest.mark.timeout(1200)
def test_with_pipx_the_wheels_train_and_an_extra_is_added(
    dist: Path, elsewhere: Path, tmp_path: Path
) -> None:
    environment = Environment.make(tmp_path / "venv")
    environment.pip("install", "-q", "pipx")
    pipx = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "USE_EMOJI": "0"}
    options = f"--pip-args={' '.join(pip_options())}"
    environment.ok("pipx", "install", options, wheel(dist, "ravenml"), cwd=elsewhere, **pipx)
    environment.ok("pipx", "inject", options, "ravenml", wheel(dist, "ravenml_unet"), cwd=elsewhere, **pipx)
    raven = tmp_path / "bin" / "raven"
    trains(environment, raven, elsewhere, tmp_path / "home")

    where = {"RAVENML_STORAGE_PATH": str(tmp_path / "home")}
    refused = environment.run(raven, "dashboard", "--no-browser", cwd=elsewhere, **where)
    said = refused.stderr.rpartition("install it with: ")[2]
    assert said.startswith("pipx inject ravenml 'nicegui")
    environment.ok("bash", "-c", f"{said.strip()} {options!r}", cwd=elsewhere, **pipx)
    environment.ok(tmp_path / "pipx/venvs/ravenml/bin/python", "-c", "import nicegui", cwd=elsewhere)
