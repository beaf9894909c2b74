"""A project of 10,000 images: counted in the background, while the page stays fluent."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from as_user import wait_for, within
from browsing import Browse, Dashboard
from painter import write_painter
from simple_project import write_simple_project

from ravenml.dashboard.train.draft import new_draft, read_draft

IMAGES = 10_000
FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  const look = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


@pytest.fixture
def crowd(home: Path, site: Path) -> Path:
    """Ten thousand images, which are copies of twelve."""
    write_painter(site)
    root = write_simple_project(home / "datasets" / "crowd", images=12, val=3)
    originals = sorted((root / "ds" / "img").iterdir())
    for number in range(12, IMAGES):
        original = originals[number % 12]
        shutil.copyfile(original, root / "ds" / "img" / f"meadow{number:05d}.png")
        annotation = root / "ds" / "ann" / f"{original.name}.json"
        shutil.copyfile(annotation, root / "ds" / "ann" / f"meadow{number:05d}.png.json")
    return root


@pytest.mark.slow
def test_ten_thousand_images_can_be_paged_through_while_they_are_counted(
    dashboard: Dashboard, browse: Browse, crowd: Path
) -> None:
    draft = new_draft(dataset="crowd", plugin="painter")
    page = browse(dashboard).go(f"/train/{draft.id}?step=project")
    page.get_by_text("1 to 24 of 10,000 images").wait_for()
    page.evaluate(FRAMES)
    for first in (25, 49, 73):
        with within(2):
            page.get_by_role("button", name="Next images").click()
            page.get_by_text(re.compile(f"^{first} to ")).wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('.tile img')].slice(0, 6).every(i => i.naturalWidth)"
    )
    page.get_by_text("train: 7,501").wait_for()
    wait_for(lambda: read_draft(draft.id).split.way == "tags")
    page.get_by_role("button", name="Next: Split").click()
    page.get_by_text(re.compile("training images")).wait_for()
    page.get_by_role("radio", name="k-fold").click()
    page.get_by_text("fold 4").wait_for()
    # 50 ms with the machine to oneself; other work on it must not fail the test.
    assert page.evaluate("window.longest") < 500
