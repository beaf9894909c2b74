"""What the tests of all rooms share: a home of their own, ``raven`` as a process, throwaway plugins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from hypothesis import settings
from simple_project import write_simple_project
from throwaway import LEARNS, SETTINGS, write_plugin

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A shell that starts `make test` in the background leaves Ctrl-C ignored, and all programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A machine that does other work too must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Tests that share something expensive run in one process (pytest -n), so that it is made once. The groups
# that take longest begin first. A mark is the name of a fixture, or the beginning of a path.
GROUPS = {
    "ray": {"cluster", "nodes", "ray"},
    "chromium": {"chromium"},
    "tensorflow": {"plugins/ravenml_tf_bbox/"},
    "environment": {"environment", "core_alone"},
    "supervisely": {"their_python"},
}


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """``-n 3`` distributes by these groups, in their order."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"
        config.option.loadscopereorder = False


def pytest_xdist_auto_num_workers() -> int:
    """``-n auto`` is one more than there are cores: many tests wait for a server or a browser."""
    return len(os.sched_getaffinity(0)) + 1


def group_of(item: pytest.Item) -> str | None:
    """What the test shares with others, if anything."""
    fixtures = {*getattr(item, "fixturenames", ())}
    for name, marks in GROUPS.items():
        if marks & fixtures or any(item.nodeid.startswith(mark) for mark in marks):
            return name
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark the groups and put them first."""
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    yield
    rank = {name: number for number, name in enumerate([*GROUPS, None])}
    items.sort(key=lambda item: rank[groups[item]])


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ravenML home that is empty, and is the one that the test's own process uses."""
    folder = tmp_path / "home"
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(folder))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder on the path of :class:`Raven`'s processes, for throwaway plugins."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def raven(home: Path, site: Path, tmp_path: Path) -> Raven:
    """``raven`` as a process, in a folder that is no git checkout."""
    cwd = tmp_path / "here"
    cwd.mkdir()
    return Raven(home, site, cwd)


@pytest.fixture
def learner(site: Path) -> Path:
    """The plugin ``learner``, which reports, checkpoints, resumes and scores without learning anything."""
    write_plugin(site, "learner", LEARNS, settings=SETTINGS)
    return site


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Twelve small images in a Supervisely project: nine tagged ``train``, three tagged ``val``."""
    return write_simple_project(tmp_path / "project", images=12, val=3)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A real Chromium; without one the test is skipped, and in CI it fails."""
    try:
        from playwright.sync_api import sync_playwright

        missing = None if CHROMIUM else "no Chromium is installed (Debian: apt install chromium)"
    except ImportError:
        missing = "Playwright is not installed (pip install playwright)"
    if missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}, which CI must have")
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def their_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with the package `supervisely`: $RAVENML_TEST_SDK, or one that is made once."""
    named = os.environ.get("RAVENML_TEST_SDK")
    if named:
        return named
    folder = tmp_path_factory.mktemp("supervisely") / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    line = [python, "-m", "pip", "install", "-q", "supervisely", "setuptools<81"]
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"the package supervisely cannot be installed: {done.stderr[-200:]}")
    return python
