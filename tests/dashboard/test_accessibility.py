"""Every page as axe-core, the usual judge of accessibility, sees it: by day and by night, wide and narrow."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from browsing import Dashboard, Tab
from evaluated_run import leave_everything
from painter import write_painter
from simple_project import write_simple_project

from ravenml.dashboard.train.draft import STEPS, SplitOptions, new_draft

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of, write_run

sync_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
GRAVE = ("serious", "critical")


@pytest.fixture
def pages(raven: Raven, site: Path) -> Iterator[list[str]]:
    """The addresses of all pages, in a home where something is on each, and a training goes on."""
    write_painter(site)
    write_simple_project(raven.home / "datasets" / "meadows", images=12, val=3)
    ids = ["20261121-050000-aaaaaa", "20261121-060000-bbbbbb", "20261121-070000-cccccc"]
    for run_id, score in zip(ids, (0.4, 0.6, 0.2), strict=True):
        folder = write_run(
            raven.home, run_id, settings={"lr": score, "epochs": 3}, metrics={"val/miou": score}
        )
        events_of(folder, {"train/loss": [3.0, 2.0, 1.0], "val/miou": [0.1, 0.2, score]})
        (folder / "console.log").write_text("a line of the log\n" * 500)
    leave_everything(raven.home / "runs" / ids[1])
    draft = new_draft(dataset="meadows", plugin="painter", split=SplitOptions(way="tags"), title="ready")
    training = raven.start(
        *("train", "--dataset", "meadows", "painter", "train", "--epochs", "500", "--seconds", "0.5")
    )
    steps = [f"/train/{draft.id}?step={step}" for step in STEPS]
    runs = [f"/runs/{run_id}" for run_id in ids[:2]]
    try:
        yield [
            *("/train", *steps, "/runs", "/runs?where=val/miou>0.3", *runs, f"/runs/{ids[1]}?fold=1"),
            *(f"/runs/compare?ids={','.join(ids)}", "/models", "/queues", "/nowhere"),
        ]
    finally:
        training.kill()


def found_by_axe(page: Any) -> list[str]:
    """What is seriously wrong with a page: the rule and the element."""
    violations = sync_playwright.Axe().run(page).response["violations"]
    return [
        f"{page.url} {one['id']}: {node['html'][:160]} {[why['message'][:160] for why in node['any'][:1]]}"
        for one in violations
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


HELD = """() => {
  const held = document.activeElement;
  const look = getComputedStyle(held);
  const outlined = look.outlineStyle !== "none" && look.outlineWidth !== "0px";
  const ring = held.closest(".q-field--highlighted") || outlined || look.boxShadow !== "none";
  const name = held.getAttribute("aria-label") || held.textContent.trim().slice(0, 60);
  return [held.tagName, name, Boolean(ring)];
}"""


def test_the_focus_stays_on_cards_goes_to_the_next_step_and_can_be_seen(
    site: Path, home: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    write_painter(site)
    write_simple_project(home / "datasets" / "meadows", images=12, val=3)
    draft = new_draft(dataset="meadows", plugin="painter", split=SplitOptions(way="tags"))
    page = browse(dashboard).go(f"/train/{draft.id}?step=split")
    card = page.get_by_role("radio", name=re.compile("Random"))
    for _ in range(2):  # chosen with the mouse's click, or with the keyboard, and the step is built again
        card.focus()
        page.keyboard.press("Space")
        page.locator("[role=radio][aria-checked=true]").filter(has_text=re.compile("Random")).wait_for()
        page.wait_for_timeout(800)
        assert "Random" in page.evaluate(HELD)[1]
    page.get_by_role("button", name="Next: Classes").focus()
    page.keyboard.press("Enter")
    page.locator(".rail-step[aria-current='step']").filter(has_text="Classes").wait_for()
    page.wait_for_function("() => document.activeElement.classList.contains('step-body')")
    assert page.evaluate(HELD)[1] == "Classes"
    seen = []
    while not seen or seen[-1][0] != "BODY":  # behind the last one
        page.keyboard.press("Tab")
        seen.append(page.evaluate(HELD))
    names = [name for _, name, _ in seen]
    assert names[:2] == ["All", "None"] and "Train on thing" in names
    assert not [one for one in seen[:-1] if not one[2]], seen


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("dark", 360)])
def test_axe_finds_nothing_serious_on_any_page(
    pages: list[str],
    raven: Raven,
    dashboard: Dashboard,
    browse: Callable[..., Tab],
    scheme: str,
    width: int,
) -> None:
    tab = browse(dashboard, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = tab.page
    page.goto(f"{dashboard.origin}/runs")
    page.get_by_role("heading", name="Enter the access token").wait_for()
    found = found_by_axe(page)
    running = next(one.name for one in raven.runs() if not one.name.startswith("20261121"))
    for path in [*pages, f"/runs/{running}"]:
        tab.go(path)
        page.locator(".content :is(h1, .empty)").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)  # what is drawn in a moment of its own: charts, pictures
        found += found_by_axe(page)
    assert not found, "\n".join(found)
