"""A training that the wizard sends to a queue: a real Ray of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from as_user import Raven
from browsing import Browse, Start
from painter import write_painter
from simple_project import write_simple_project

from ravenml.dashboard.train.draft import SplitOptions, new_draft, read_draft

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def ray(raven: Raven) -> Iterator[Raven]:
    """``raven``, whose queue ``local`` is ended after the test."""
    pytest.importorskip("ray", reason="the extra `remote` is not installed")
    yield raven
    raven("remote", "stop-local")


def test_a_training_is_sent_to_a_queue_paused_resumed_and_followed(
    ray: Raven, site: Path, home: Path, start: Start, browse: Browse
) -> None:
    write_painter(site)
    write_simple_project(home / "datasets" / "meadows", images=12, val=3)
    settings = {"epochs": 12, "seconds": 1.0}
    draft = new_draft(dataset="meadows", plugin="painter", split=SplitOptions(way="tags"), settings=settings)
    page = browse(start()).go(f"/train/{draft.id}?step=settings")
    page.get_by_label("Train on").click()
    page.get_by_role("option", name="queue local").click()
    page.get_by_role("button", name="Next: Train").click()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("of 12 · iteration").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused or stopped").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Completed").wait_for()
    page.get_by_text("epoch 12 of 12").wait_for()
    assert read_draft(draft.id).queue == "local"
    (run,) = ray.runs()
    assert json.loads((run / "remote.json").read_text())["queue"] == "local"
    assert len(json.loads((run / "run.json").read_text())["attempts"]) == 2
    page.get_by_role("link", name="Queues").click()
    page.get_by_role("heading", name="Queue local").wait_for()
