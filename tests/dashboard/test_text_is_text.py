"""Whatever people and programs write is shown as it is written, and never becomes a part of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import Dashboard, Tab
from hostile_texts import OTHER, RUN, write_texts


def hostile(place: str) -> str:
    """Markup, a Vue template, what a string of props would take for more props, and the place."""
    return (
        f'<script>window.hacked="{place}"</script><img src=x onerror="window.hacked=\'{place}\'">'
        f'" :onclick="window.hacked=1" {{{{ window.hacked = 1 }}}} {place}'
    )


@pytest.fixture
def written(raven: Any) -> Path:
    """A run with markup in every text that it has.  Its folder."""
    return write_texts(raven.home, hostile)


def test_a_script_in_every_text_stays_text(
    written: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    tab = browse(dashboard)
    page = tab.go("/runs")
    addresses = {
        "/runs": ["name", "note", "tag", "own tag", "plugin", "dataset"],
        f"/runs/{RUN}": [
            *("name", "reason", "tag", "own tag", "metric", "console", "diff", "package", "python"),
            *("class", "image", "score", "missing", "setting", "picture", "file", "command", "folder"),
        ],
        f"/runs/compare?ids={RUN},{OTHER}": ["name", "metric", "setting"],
        "/models": ["model", "architecture", "plugin", "dataset"],
        "/models/20261121-060000-model1": ["model", "architecture", "person", "comments", "score"],
        "/queues": [],
        "/runs?where=%3Cscript%3Ewindow.hacked=1%3C/script%3E": [],
        "/runs/%3Cimg src=x onerror=window.hacked=1%3E": [],
        "/models/%3Cimg src=x onerror=window.hacked=1%3E": [],
    }
    for address, places in addresses.items():
        page.goto(f"{dashboard.origin}{address}")
        page.get_by_role("heading", level=1).or_(page.locator(".empty")).first.wait_for()
        shown = "(places) => places.every((place) => document.body.textContent.includes(place))"
        page.wait_for_function(shown, arg=[f"}}}} {place}" for place in places])
        for more in page.locator(".more .q-item").all():
            more.click()
        page.wait_for_timeout(300)
        text = page.evaluate("document.body.textContent")
        for place in places:
            assert f"window.hacked = 1 }}}} {place}" in text, (address, place)
        assert page.evaluate("window.hacked") is None, address
        assert page.evaluate("document.querySelectorAll('img[src=x], [onclick]').length") == 0
    chart = page.goto(f"{dashboard.origin}/runs/{RUN}") and page.locator(".nicegui-echart canvas").first
    chart.hover()  # the tooltip is drawn, and is not markup either
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
