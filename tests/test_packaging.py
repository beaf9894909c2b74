"""The files by which ravenML is installed: they agree with each other and hold on any machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ravenml.plugin.requirements import compile_all, core_requirements

ROOT = Path(__file__).resolve().parent.parent
COMPILED = [*sorted(ROOT.glob("plugins/*/requirements*.txt")), ROOT / "plugins" / "constraints.txt"]
INSTALLERS = sorted(ROOT.glob("plugins/*/install.sh"))


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``command`` without a terminal, with ``environment`` added to this one."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def outside(folder: Path) -> dict[str, str]:
    """An environment variable PATH on which ``python`` stands in no virtual environment."""
    if not (folder / "python").exists():
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        (folder / "python").symlink_to(base)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def bare(folder: Path) -> dict[str, str]:
    """The same, where ravenML is not installed; skips the test where it is even there."""
    path = outside(folder)
    if run("python", "-P", "-c", "import ravenml", cwd=folder, **path, PYTHONPATH="").returncode == 0:
        pytest.skip("ravenML is installed outside of any environment")
    return path | {"PYTHONPATH": ""}


def inside() -> dict[str, str]:
    """An environment variable PATH that begins with the virtual environment of the tests."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("the tests do not run in a virtual environment")
    return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}


def test_environment_yml_lists_exactly_the_cores_requirements():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == core_requirements(ROOT)
    assert "python>=3.11,<3.14" in environment["dependencies"]
    assert any(line.startswith("pip-tools") for line in pip)


def test_setup_py_has_ranges_and_never_pins():
    assert all(re.search(r"[<>]", line) and "==" not in line for line in core_requirements(ROOT))


def test_compiled_requirements_are_up_to_date():
    assert [path.name for path in compile_all(ROOT, only_check=True)] == [], "run `make requirements`"


@pytest.mark.parametrize("compiled", COMPILED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_compiled_requirements_hold_on_any_machine(compiled: Path):
    lines = [line for line in compiled.read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9._-]+==[0-9][0-9a-z.]*", line), (
            line
        )  # so: no +cpu, option, address or path


def test_only_the_gpu_files_name_cuda_packages():
    for compiled in COMPILED:
        assert ("nvidia-" in compiled.read_text()) == compiled.name.endswith("-gpu.txt"), compiled


def test_every_plugin_agrees_with_the_constraints():
    constraints = set((ROOT / "plugins" / "constraints.txt").read_text().splitlines())
    for compiled in COMPILED:
        if not compiled.name.endswith("-gpu.txt"):
            pins = {line for line in compiled.read_text().splitlines() if not line.startswith("#")}
            assert pins <= constraints, compiled


SCRIPTS = [*INSTALLERS, ROOT / "install_all.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
class TestScripts:
    def test_explain_themselves_from_any_folder_and_without_ravenml(self, script: Path, tmp_path: Path):
        done = run(script, "-h", cwd=tmp_path, **outside(tmp_path))
        assert done.returncode == 0 and done.stdout.startswith("usage:")
        assert "set -e" not in done.stdout and done.stdout.count("\n") > 5

    def test_an_unknown_option_is_unusable_input(self, script: Path, tmp_path: Path):
        assert run(script, "-x", cwd=tmp_path, **inside()).returncode == 2

    def test_name_the_python_that_lacks_ravenml(self, script: Path, tmp_path: Path):
        done = run(script, cwd=tmp_path, **bare(tmp_path))
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert f"ravenML itself is not installed for {tmp_path}/python;" in done.stderr

    def test_refuse_to_run_outside_an_environment(self, script: Path, tmp_path: Path):
        done = run(script, cwd=tmp_path, **outside(tmp_path), PYTHONPATH=str(ROOT))
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "no virtual or conda environment is active" in done.stderr

    def test_are_a_few_readable_lines(self, script: Path, tmp_path: Path):
        lines = script.read_text().splitlines()
        assert len([line for line in lines if line and not line.startswith("#")]) <= 12


@pytest.mark.parametrize("script", INSTALLERS, ids=lambda path: path.parent.name)
def test_for_the_gpu_without_a_driver_it_ends_with_one_sentence(script: Path):
    path = inside()
    if shutil.which("nvidia-smi", path=path["PATH"]):
        pytest.skip("this machine has an NVIDIA driver")
    done = run(script, "-g", **path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "finds no NVIDIA driver" in done.stderr


def test_every_plugin_has_the_same_install_sh():
    assert len({script.read_text() for script in INSTALLERS}) == 1
