"""Whatever people and programs write is shown as it is written, and never becomes a part of the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browsing import Dashboard, Tab

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of, write_run

RUN, OTHER = "20261121-060000-abcdef", "20261121-070000-abcdef"


def hostile(place: str) -> str:
    """Markup, a Vue template, what a string of props would take for more props, and the place."""
    return (
        f'<script>window.hacked="{place}"</script><img src=x onerror="window.hacked=\'{place}\'">'
        f'" :onclick="window.hacked=1" {{{{ window.hacked = 1 }}}} {place}'
    )


@pytest.fixture
def written(raven: Any) -> Path:
    """A run with markup in every text that it has.  Its folder."""
    loss = hostile("metric").replace("/", "\\u2215")
    more = {
        "project": hostile("project"),
        "name": hostile("name"),
        "tags": [hostile("own tag")],
        "command": ["raven", "train", hostile("command")],
        "folder": hostile("folder"),
        "dataset": {"name": hostile("dataset"), "path": hostile("path"), "images": 3},
        "result": {
            "status": "interrupted",
            "reason": hostile("reason"),
            "metrics": {f"val/{loss}": 0.5},
            "stored": hostile("stored"),
        },
        "resume": hostile("resume"),
        "provenance": {
            "python": hostile("python"),
            "packages": {hostile("package"): hostile("version")},
            "code": {hostile("code"): {"commit": hostile("commit"), "diff": "provenance/x.diff"}},
            "machine": {"host": hostile("host"), "cores": 2, "memory_bytes": 1, "gpus": [hostile("gpu")]},
        },
    }
    for name in (OTHER, RUN):
        folder = write_run(
            raven.home,
            name,
            plugin=hostile("plugin"),
            settings={hostile("setting"): hostile(f"value {name}")},
            more=more,
        )
        events_of(folder, {f"train/{loss}": [3.0, 2.0], f"val/iou/{loss}": [0.1, 0.2]})
        (folder / "notes.json").write_text(
            json.dumps({"v": 1, "tags": [hostile("tag")], "note": hostile("note")})
        )
        (folder / "console.log").write_text(hostile("console") + "\n")
        (folder / "provenance").mkdir()
        (folder / "provenance" / "x.diff").write_text(f"+{hostile('diff')}\n-{hostile('diff')}\n")
        picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
        shown = hostile("picture").replace("/", "_")
        for place in (f"val/{shown}/epoch_001.png", f"evaluation/worst_{shown}.png"):
            (folder / "previews" / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / "previews" / place).write_bytes(picture)
        (folder / "artifacts").mkdir()
        (folder / "artifacts" / hostile("file").replace("/", "_")).write_text("x")
        part = {
            "confusion": [[1]],
            "scores": {hostile("score"): 0.5},
            "per_class": {hostile("class"): {"iou": 0.5}},
            "per_image": [{"item": hostile("image"), "miou": 0.5}],
        }
        (folder / "evaluation.json").write_text(
            json.dumps({"v": 1, "classes": [hostile("class")], "model_size": part})
        )
        (folder / "summary.json").write_text(
            json.dumps(
                {
                    "v": 1,
                    "folds": [{"fold": 0, "metrics": {f"val/{loss}": 0.5}}],
                    "mean": {f"val/{loss}": 0.5},
                    "std": {},
                    "out_of_fold": None,
                    "out_of_fold_missing": hostile("missing"),
                }
            )
        )
    models = raven.home / "store" / "models"
    models.mkdir(parents=True)
    metadata = {
        **{
            "v": 1,
            "id": "20261121-060000-model1",
            "name": hostile("model"),
            "architecture": hostile("architecture"),
        },
        **{"plugin": hostile("plugin"), "dataset": hostile("dataset"), "metrics": {hostile("score"): 0.5}},
        **{
            "created_by": hostile("person"),
            "comments": hostile("comments"),
            "finished": "2026-11-21T06:00:00Z",
        },
    }
    (models / "metadata_20261121-060000-model1.json").write_text(json.dumps(metadata))
    return raven.home / "runs" / RUN


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
