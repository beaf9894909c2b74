"""A training that is watched, stopped and gone on with from its page, by two browsers at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven, wait_for
from browsing import Dashboard, Tab, drawn


@pytest.mark.usefixtures("learner")
def test_a_training_is_watched_stopped_and_resumed(
    raven: Raven, project: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    training = raven.start(
        *("train", "--dataset", project, "learner", "train", "--epochs", "20", "--seconds", "0.5")
    )
    try:
        (folder,) = wait_for(lambda: [one for one in raven.runs() if (one / "run.json").exists()], 30)
        one, two = browse(dashboard), browse(dashboard)
        page, other = one.go(f"/runs/{folder.name}"), two.go(f"/runs/{folder.name}")
        page.get_by_text(re.compile(r"epoch \d+ of 20")).wait_for()
        page.get_by_role("img", name="Chart of loss over epoch").wait_for()
        page.get_by_role("progressbar").wait_for()
        page.get_by_role("button", name="Stop").click()
        for tab in (page, other):  # both see what one of them did
            tab.get_by_text("interrupted", exact=True).wait_for()
            tab.get_by_role("button", name="Resume").wait_for()
        assert training.wait(20) == 0 or training.returncode == 130
        other.get_by_role("button", name="Resume").click()
        for tab in (page, other):
            tab.get_by_text("completed", exact=True).wait_for(timeout=40_000)

        def points() -> Any:
            drawn(page)
            data = "getElement(document.querySelector('.nicegui-echart')).chart.getOption().series[1].data"
            return page.evaluate(f"Array.from({data})")

        wait_for(lambda: points()[::2] == list(range(1, 21)), 10)  # epochs, each once
        page.get_by_text("training on 9 images").first.wait_for()
    finally:
        training.kill()
