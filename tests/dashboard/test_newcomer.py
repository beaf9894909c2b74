"""A newcomer's whole way in a real Chromium: an empty home, a project, a training, a model, a prediction.

The real U-Net plugin learns to find the demo project's ponds; that takes half a minute.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from browsing import Browse, Start
from dropping import drop

pytest.importorskip("ravenml_unet", reason="the plugin ravenml_unet is not installed")

# How many of the canvas's pixels have each of these colours.
COUNTED = """(colours) => {
  const canvas = document.getElementById("canvas");
  const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const counts = Object.fromEntries(colours.map((one) => [one, 0]));
  for (let at = 0; at < all.length; at += 4) {
    const one = "#" + [...all.slice(at, at + 3)].map((v) => v.toString(16).padStart(2, "0")).join("");
    if (one in counts) counts[one] += 1;
  }
  return counts;
}"""


def onward(page: Any, step: str) -> None:
    """Press the button that leads to the next step."""
    page.get_by_role("button", name=f"Next: {step}").click()
    page.locator(".rail-step[aria-current='step']").filter(has_text=step).wait_for()


def train(page: Any) -> None:
    """Go through the seven steps, with the U-Net plugin and a small network."""
    page.get_by_text("No trainings yet").wait_for()
    page.get_by_role("button", name="New training").click()
    page.get_by_role("button", name="Create the demo project").click()
    page.get_by_role("radio", name="demo").wait_for()
    page.get_by_role("radio", name="unet", exact=True).click()
    page.get_by_text("161", exact=True).wait_for()  # objects
    for step in ("Split", "Classes", "Augmentations", "Model"):
        onward(page, step)
    page.get_by_role("radio", name="LinkNet34").click()
    page.get_by_role("radio", name="LinkNet34", checked=True).wait_for()
    onward(page, "Hyperparameters")
    small = {"Input width": "96", "Input height": "64", "Batch size": "4", "Learning rate": "0.002"}
    for label, value in {**small, "Class weights": "balanced", "Epochs": "8"}.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_text("8 epochs").wait_for()
    onward(page, "Train")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Completed", exact=True).wait_for()
    page.get_by_role("img", name="Chart of loss").wait_for()


@pytest.mark.slow
def test_from_an_empty_home_to_a_mask_on_a_dropped_image(
    home: Path, raven: Raven, start: Start, browse: Browse
) -> None:
    begin = time.monotonic()
    page = browse(start(OMP_NUM_THREADS="1")).go("/")
    train(page)
    (run,) = raven.runs()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name=run.name).wait_for()
    page.get_by_role("button", name="Try or serve").click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open http://127.0.0.1").click()
    served = opened.value
    served.locator("#classes li").first.wait_for()
    assert "token=" not in served.url

    root = home / "datasets" / "demo"
    image = next(iter(sorted(root.glob("*/img/*"))))
    drop(served, image.read_bytes(), image.name)
    served.locator(
        "#status", has_text=re.compile(f"{re.escape(image.name)}: .* [1-9][0-9]* object")
    ).wait_for()
    served.get_by_role("button", name="Mask", exact=True).click()
    served.locator("[data-view=mask][aria-pressed=true]").wait_for()
    colours = [one["color"].lower() for one in json.loads((root / "meta.json").read_text())["classes"]]
    counts = served.evaluate(COUNTED, colours)
    size = served.evaluate("() => [canvas.width, canvas.height].reduce((one, other) => one * other)")
    assert sum(counts.values()) > 0.05 * size, counts  # a mask that is seen
    assert served.locator("#canvas").is_visible()

    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Try or serve").wait_for()
    print(f"\nfrom an empty home to a mask: {time.monotonic() - begin:.0f} s")
