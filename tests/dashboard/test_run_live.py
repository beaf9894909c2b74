"""Trainings that are watched, stopped and gone on with from their pages, by two browsers at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_user import PATIENCE, Raven, wait_for
from browsing import Dashboard, Tab, of_chart
from painter import write_painter
from simple_project import write_simple_project

from ravenml.dashboard.train.draft import SplitOptions, change_draft, new_draft


@pytest.mark.usefixtures("learner")
def test_a_training_is_watched_stopped_and_resumed(
    raven: Raven, project: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    # Slow until it is stopped, so that two browsers have the time to look; what resumes it is not.
    command = ("train", "--dataset", project, "learner", "train", "--epochs", "20", "--seconds", "0.3")
    training = raven.start(*command, SECONDS="3")
    try:
        (folder,) = wait_for(lambda: [one for one in raven.runs() if (one / "run.json").exists()])
        one, two = browse(dashboard), browse(dashboard)
        page, other = one.go(f"/runs/{folder.name}"), two.go(f"/runs/{folder.name}")
        page.get_by_text(re.compile(r"epoch \d+ of 20")).wait_for()
        page.get_by_role("img", name="Chart of loss over epoch").wait_for()
        page.get_by_role("progressbar").wait_for()
        page.get_by_role("button", name="Stop").click()
        for tab in (page, other):  # both see what one of them did
            tab.get_by_text("interrupted", exact=True).wait_for()
            tab.get_by_role("button", name="Resume").wait_for()
        assert training.wait(PATIENCE) == 0 or training.returncode == 130
        other.get_by_role("button", name="Resume").click()
        for tab in (page, other):
            tab.get_by_text("completed", exact=True).wait_for()

        def points() -> Any:
            return of_chart(page, "(chart) => Array.from(chart.getOption().series[1].data)")

        wait_for(lambda: points()[::2] == list(range(1, 21)))  # epochs, each once
        page.get_by_text("training on 9 images").first.wait_for()
    finally:
        training.kill()


def test_chosen_runs_are_stopped_together_and_a_stubborn_one_only_if_one_insists(
    raven: Raven, site: Path, project: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    write_painter(site)
    flags = ("train", "--dataset", project, "painter", "train", "--epochs", "500", "--seconds", "0.5")
    both = [raven.start(*flags, "--no-polite"), raven.start(*flags)]
    try:
        wait_for(lambda: len([one for one in raven.runs() if (one / "run.json").exists()]) == 2)
        # Both have begun: one of them looks for requests now.
        wait_for(lambda: sum('"polls"' in (one / "run.json").read_text() for one in raven.runs()) == 1)
        page = browse(dashboard).go("/runs")
        page.get_by_label("Select all of this page").check()
        page.get_by_text("2 runs selected").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text(re.compile("has not stopped$")).wait_for()
        page.get_by_text("does not poll for requests").wait_for()
        page.locator(".status-interrupted").wait_for()  # the other one has
        assert page.locator(".status-running").count() == 1
        page.get_by_role("button", name="Force stop").click()
        page.wait_for_function("() => document.querySelectorAll('.status-interrupted').length === 2")
        for one in both:
            one.wait(PATIENCE)
    finally:
        for one in both:
            one.kill()


def test_the_moment_that_somebody_chose_stays_while_the_training_goes_on(
    raven: Raven, site: Path, home: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    """On the run's page and in the wizard; with the keyboard, which needs the focus to stay."""
    write_painter(site)
    write_simple_project(home / "datasets" / "meadows", images=12, val=3)
    draft = new_draft(dataset="meadows", plugin="painter", split=SplitOptions(way="tags"))
    change_draft(draft.id, lambda one: one.settings.update(epochs=600, seconds=0.4))
    wizard = browse(dashboard).go(f"/train/{draft.id}?step=train")
    wizard.get_by_role("button", name="Start training").click()
    wizard.get_by_role("slider", name="Moment").wait_for()
    (folder,) = raven.runs()
    page = browse(dashboard).go(f"/runs/{folder.name}")
    page.get_by_role("slider", name="Smoothing").focus()
    page.keyboard.press("PageUp")
    for tab in (wizard, page):
        thumb, moment = tab.get_by_role("slider", name="Moment"), tab.locator(".moment")

        def second_is_chosen() -> bool:
            thumb.focus()  # noqa: B023
            tab.keyboard.press("Home")  # noqa: B023
            tab.keyboard.press("ArrowRight")  # noqa: B023
            tab.wait_for_timeout(500)  # noqa: B023
            return bool(moment.inner_text().endswith(" 2"))  # noqa: B023

        wait_for(second_is_chosen)  # the page is rebuilt when it notices that the run was resumed
        end = int(thumb.get_attribute("max") or 0)
        wait_for(lambda: int(thumb.get_attribute("max") or 0) > end + 2)  # noqa: B023
        assert thumb.input_value() == "1" and moment.inner_text().endswith(" 2")
        assert thumb.evaluate("(one) => one === document.activeElement")
        tab.get_by_role("checkbox", name="Follow the latest").click()
        wait_for(lambda: int(thumb.input_value()) > end + 2)  # noqa: B023
        wait_for(lambda: thumb.evaluate("(one) => one.value === one.max"))  # noqa: B023
    assert float(page.get_by_role("slider", name="Smoothing").input_value()) > 0
    wizard.get_by_role("button", name="Stop", exact=True).click()
    wizard.get_by_text("Paused or stopped").wait_for()
