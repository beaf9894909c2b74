"""The plugins that the author's guide shows: they work as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ravenml.data.demo import write_demo

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "plugins.md").read_text(encoding="utf-8")


def code_after(text: str) -> str:
    """The first Python block of the guide behind ``text``."""
    found = re.search(r"```python\n(.*?)```", GUIDE[GUIDE.index(text) :], re.DOTALL)
    assert found is not None
    return found[1]


def install(folder: Path, package: str, modules: dict[str, str], entry_points: str) -> None:
    """Put a package and its metadata into ``folder`` as pip would, with the guide's entry points."""
    (folder / package).mkdir()
    for name, code in {"__init__.py": "", **modules}.items():
        (folder / package / name).write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    groups = eval(f"dict({entry_points.strip()})")["entry_points"]  # noqa: S307 - the guide's code
    (info / "entry_points.txt").write_text(
        "".join(f"[{group}]\n" + "\n".join(lines) + "\n" for group, lines in groups.items())
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """ravenML's home with the demo project as a dataset, and a folder for packages beside it."""
    (tmp_path / "packages").mkdir()
    write_demo(tmp_path / "home" / "datasets" / "demo", images=8)
    return tmp_path / "home"


def raven(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``raven`` in ``home``, with the packages beside it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAVENML_")}
    environment |= {"RAVENML_STORAGE_PATH": str(home), "PYTHONPATH": str(home.parent / "packages")}
    command = [sys.executable, "-m", "ravenml", *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_smallest_plugin_is_listed_loads_and_trains(home: Path):
    source = home.parent / "source"
    (source / "my_package").mkdir(parents=True)
    (source / "my_package" / "__init__.py").touch()
    (source / "my_package" / "core.py").write_text(code_after("## The smallest plugin"))
    (source / "setup.py").write_text(code_after("registers the command group"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(home.parent / "packages"), str(source)], check=True)
    assert "my_plugin" in raven(home, "train", "list").stdout.split()
    raven(home, "train", "--dataset", "demo", "my-plugin", "train")


def test_the_plugin_that_learns_scores_every_image_out_of_fold(home: Path):
    modules = {
        "core.py": code_after("`mean_colour/core.py`"),
        "settings.py": code_after("`mean_colour/settings.py`"),
    }
    install(home.parent / "packages", "mean_colour", modules, code_after("The entry points:"))
    raven(
        home, "train", "--dataset", "demo", "mean-colour", "train", "--every", "8", "--kfold", "--folds", "2"
    )
    (run,) = (home / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert (run / "folds" / "1" / "previews" / "first.png").is_file()
    assert 0 < summary["out_of_fold"]["miou"] < 1
