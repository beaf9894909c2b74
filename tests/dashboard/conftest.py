"""What the tests of the dashboard share: the real ``raven dashboard`` as a process, and a real Chromium."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import PATIENCE, Raven, address_in, start_raven, wait_for
from browsing import Dashboard, Start, Tab


@pytest.fixture
def start(raven: Raven, tmp_path: Path) -> Iterator[Start]:
    """Starts dashboards on the test's own home; all are ended after the test."""
    pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")
    started: list[Dashboard] = []

    def start(*arguments: str, **env: str) -> Dashboard:
        log = tmp_path / f"dashboard{len(started)}.log"
        command = ["dashboard", "--no-browser", "--port", "0", *arguments]
        with log.open("wb") as file:
            process = start_raven(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=raven.env(**env),
                cwd=raven.cwd,
                start_new_session=True,
            )

        def told() -> str | None:
            assert process.poll() is None, log.read_text()
            return address_in(log.read_text(), "Dashboard:", env.get("RAVENML_TOKEN", ""))

        running = Dashboard(process, wait_for(told, 60), log)
        started.append(running)
        return running

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture
def dashboard(start: Start) -> Dashboard:
    """One dashboard."""
    return start()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, each a browser of its own.  Errors of scripts fail the test."""
    tabs: list[Tab] = []

    def browse(dashboard: Dashboard, **how: Any) -> Tab:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        context.set_default_timeout(PATIENCE * 1000)
        tab = Tab(context.new_page(), dashboard, [], [])
        tab.page.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.page.on("request", lambda request: tab.requests.append(request.url))
        tabs.append(tab)
        return tab

    yield browse
    for tab in tabs:
        tab.page.context.close()
    assert not [problem for tab in tabs for problem in tab.problems]
