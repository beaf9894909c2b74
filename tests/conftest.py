"""What the tests of all rooms share: a home of their own, ``raven`` as a process, throwaway plugins."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from hypothesis import settings
from line_coverage import save_coverage
from simple_project import write_simple_project
from small_disk import small_disk as small_disk
from throwaway import LEARNS, SETTINGS, write_plugin

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A shell that starts `make test` in the background leaves Ctrl-C ignored, and all programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A machine that does other work too must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# With pytest -n, the files of a group run in one process, so that what they share is made once. The groups
# that take longest come first, and begin first.
GROUPS = {
    "ray": ("tests/remote/test_on_ray", "tests/remote/test_lost_node", "tests/dashboard/test_train_remote"),
    "chromium": ("tests/dashboard/", "tests/serve/test_page"),
    "tensorflow": ("plugins/ravenml_tf_bbox/",),
    "environments": ("tests/plugin/test_install", "tests/plugin/test_gpu", "tests/plugin/test_killed"),
    "real installations": ("tests/plugin/test_unet_without_a_trace",),
    "wheels": ("tests/plugin/test_wheels",),
    "supervisely": ("tests/infer/test_opens_in_the_sdk", "tests/sly/test_their_sdk"),
}


def group_of(nodeid: str) -> str | None:
    """The group that a test belongs to, if any."""
    return next((name for name, files in GROUPS.items() if nodeid.startswith(files)), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--slow-share 0.25`` runs a quarter of the slow tests, which the seed of the order chooses."""
    parser.addoption("--slow-share", type=float, default=1.0, help="which share of the slow tests runs")


def is_drawn(nodeid: str, share: float, seed: object) -> bool:
    """Whether a slow test is among the share that a seed draws."""
    digest = hashlib.sha256(f"{seed} {nodeid}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Leave out the slow tests that were not drawn, and put the groups first."""
    yield
    share, seed = config.option.slow_share, getattr(config.option, "randomly_seed", 0)
    not_drawn = [
        item for item in items if item.get_closest_marker("slow") and not is_drawn(item.nodeid, share, seed)
    ]
    if not_drawn:
        config.hook.pytest_deselected(items=not_drawn)
        items[:] = [item for item in items if item not in set(not_drawn)]
    rank = {name: number for number, name in enumerate([*GROUPS, None])}
    items.sort(key=lambda item: rank[group_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``pytest -n 3`` hands out whole groups, and all other tests one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid) or nodeid

    if config.option.dist != "load":
        return None  # another way of distributing was asked for
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto`` is one more than there are cores: many tests wait for a server or a browser."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_sessionfinish() -> None:
    """Write down which lines the tests ran, if that is measured."""
    save_coverage()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say at the end what was left out and how to get it, and in which order the tests ran."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    if reasons or config.option.markexpr == "not slow":
        terminalreporter.section("left out")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} tests: {reason.removeprefix('Skipped: ')}")
    if config.option.markexpr == "not slow":
        terminalreporter.write_line("the slow tests: `make test-all` runs them")
    if (share := config.option.slow_share) < 1:
        terminalreporter.write_line(f"{1 - share:.0%} of the slow tests, by lot: `make test-all` runs all")
    if seed := getattr(config.option, "randomly_seed", None):
        terminalreporter.write_line(f"The order was random: `pytest --randomly-seed={seed}` repeats it.")


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
    """``raven`` as a process, in a folder that is not a git checkout."""
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
