"""Start-up is a feature: what every command would have to pay for is not imported."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

FRAMEWORKS = {"torch", "tensorflow", "keras", "lightning_fabric"}
HEAVY = FRAMEWORKS | {"numpy", "boto3", "pydantic", "cv2", "yaml", "rich.table"}

CHILD = """
import sys
from ravenml.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
print(*sys.modules, file=sys.stderr)
"""


def modules_after(*arguments: str) -> set[str]:
    """The names of all modules that a fresh Python holds after ``raven <arguments>``."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_listing_the_plugins_imports_nothing_heavy_and_no_plugin():
    modules = modules_after("train", "list")
    assert "ravenml.cli.train" in modules
    assert not modules & HEAVY
    assert not [name for name in modules if name.startswith("ravenml_")]


def test_the_help_of_the_command_line_imports_no_package():
    modules = {
        name.removeprefix("ravenml.") for name in modules_after("--help") if name.startswith("ravenml.")
    }
    assert modules <= {"cli", "context", "errors", "renamed", "__main__"}


@pytest.mark.skipif(
    "unet" not in entry_points(group="ravenml.plugins.train").names,
    reason="the U-Net plugin is not installed",
)
def test_the_help_of_a_plugins_command_imports_no_framework():
    assert not modules_after("train", "unet", "train", "--help") & FRAMEWORKS


def test_the_sdk_for_plugin_authors_is_light_and_needs_no_framework():
    code = "import sys, ravenml.sly as sly; print(*sys.modules)"
    code += "; sly.SuperviselyModelTrainer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    at_once, with_trainer = (set(line.split()) for line in done.stdout.splitlines())
    assert {name for name in at_once if name.startswith("ravenml")} == {
        *("ravenml", "ravenml.renamed", "ravenml.sly")
    }
    assert not at_once & HEAVY and not with_trainer & FRAMEWORKS
