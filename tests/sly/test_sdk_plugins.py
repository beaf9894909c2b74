"""A plugin that was written with the SDK trains and infers, under our name and under Supervisely's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from as_user import Raven, address_in, wait_for
from sly_support import events, needs_bwrap, only_run, record

from ravenml.data.masks import draw_mask
from ravenml.data.project import Project
from ravenml.serve.client import Client

SDK = Path(__file__).parent / "plugins" / "sdk"
RENAMED = {
    "import ravenml.sly as sly": "import supervisely_lib as sly",
    "ravenml.sly.deploy": "supervisely_lib.nn.hosted.deploy",
    "ravenml.sly.class_indexing": "supervisely_lib.nn.hosted.class_indexing",
    "ravenml.sly.samples": "supervisely_lib.nn.dataset",
    "from ravenml.sly.trainer import EvalPlanner, SuperviselyModelTrainer": """
from supervisely_lib.nn.hosted.trainer import SuperviselyModelTrainer
from supervisely_lib.nn.training.eval_planner import EvalPlanner""",
    """from ravenml.sly.inference import (
    BatchInferenceApplier,
    InfModeFullImage,
    SingleImageInferenceBase,
""": """from supervisely_lib.nn.hosted.inference_batch import BatchInferenceApplier
from supervisely_lib.nn.hosted.inference_modes import InfModeFullImage
from supervisely_lib.nn.hosted.inference_single_image import SingleImageInferenceBase
from supervisely_lib.nn.raw_to_labels import (
""",
}


@pytest.fixture(params=["ravenml.sly", "supervisely_lib"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The plugin, written for one of the two names."""
    folder = Path(shutil.copytree(SDK, tmp_path / "colours"))
    if request.param == "supervisely_lib":
        for script in (folder / "src").glob("*.py"):
            text = script.read_text()
            for ours, theirs in RENAMED.items():
                text = text.replace(ours, theirs)
            assert "ravenml" not in text
            script.write_text(text)
    return folder


@needs_bwrap
def test_it_trains_infers_and_is_deployed(raven: Raven, plugin: Path, project: Path, tmp_path: Path) -> None:
    raven.ok("agent", "run", plugin, "--mode", "train", "--data", project)
    run = only_run(raven)
    assert record(run)["result"]["status"] == "completed"
    checkpoints = events(run, "CHECKPOINT")
    assert [(event["id"], event["subdir"]) for event in checkpoints] == [
        (number, f"{number:08d}") for number in range(4)
    ], "four validations in two epochs, one every half"
    assert checkpoints[0]["best_now"] and checkpoints[0]["optional"]["epoch"] >= 0.5
    size = sum(path.stat().st_size for path in (run / "checkpoints" / "00000000").iterdir())
    assert checkpoints[0]["sizeb"] == size
    model = json.loads((run / "checkpoints" / "00000003" / "config.json").read_text())
    titles = json.loads((project / "meta.json").read_text())["classes"]
    assert set(model["class_title_to_idx"]) == {one["title"] for one in titles} | {"bg"}
    assert model["class_title_to_idx"]["bg"] == 0 and model["settings"]["epochs"] == 2
    assert len([e for e in events(run, "METRICS") if e["type"] == "train"]) == 18
    subtasks = {event["subtask"] for event in events(run, "PROGRESS")}
    assert {"Building model:", "Model training: "} <= subtasks

    shape = {"name": "sliding_window", "window": {"width": 20, "height": 16}, "min_overlap": {"x": 4, "y": 4}}
    config = tmp_path / "mode.json"
    masks = []
    for mode in ({}, shape):
        config.write_text(json.dumps({"model": {}, "mode": mode}))
        raven.ok(
            "agent", "run", plugin, "--mode", "inference", "--data", project,
            "--model", run / "model-state.tar", "--config", config,
        )  # fmt: skip
        made = Project.open(raven.runs()[-1] / "artifacts" / "project")
        suffix = "" if mode else "_colour"
        assert f"bg{suffix}" in made.titles, "the default's suffix counts where the mode is the default's"
        item = made.items[0]
        masks.append(draw_mask(made.annotation(item), [f"{one['title']}{suffix}" for one in titles]))
        assert len(made.items) == 12
    assert masks[0].any() and np.array_equal(*masks), "colours are the same whatever the window"

    agent = raven.start("agent", "run", plugin, "--mode", "deploy", "--model", run / "model-state.tar")
    assert agent.stdout is not None
    printed = ""
    while not (address := address_in(printed)) or "Token:" not in printed:
        printed += agent.stdout.readline()
    client = Client(address)
    wait_for(client.healthy)
    known = client.model()["classes"]
    assert [one["title"] for one in known] == [*(one["title"] for one in titles), "bg"]
    for mode in ("full_image", shape):
        served = client.predict(made.items[0].image_path, answer="mask", mode=mode)
        assert np.array_equal(np.where(served > len(titles), 0, served), masks[0])
    raven.ok("runs", "stop", raven.runs()[-1].name)
    agent.communicate(timeout=60)


@needs_bwrap
def test_a_crash_is_reported_with_its_traceback(raven: Raven, plugin: Path, project: Path) -> None:
    script = plugin / "src" / "train.py"
    script.write_text(
        script.read_text().replace("    def train(self):", "    def train(self):\n        1 / 0")
    )
    done = raven("agent", "run", plugin, "--mode", "train", "--data", project)
    run = only_run(raven)
    (crash,) = events(run, "TASK_CRASHED")[:1]
    assert crash["exc_str"] == "division by zero" and any("1 / 0" in line for line in crash["stack"])
    shown = {name: raven.ok("runs", name, run.name) for name in ("show", "logs")}
    for place, text in {
        "agent run": done.stderr,
        "console.log": (run / "console.log").read_text(),
        **shown,
    }.items():
        assert "ZeroDivisionError: division by zero" in text, place
        assert re.search(r"^ *1 / 0$", text, re.MULTILINE), place
    assert done.returncode == 1 and "src/train.py of" in done.stderr
    assert "failed: ZeroDivisionError: division by zero; its task is kept in" in shown["show"]
    assert shown["logs"].count("1 / 0") == 1


@needs_bwrap
def test_a_wrong_field_of_the_mode_is_named_with_its_path(
    raven: Raven, plugin: Path, project: Path, tmp_path: Path
) -> None:
    raven.ok("agent", "run", plugin, "--mode", "train", "--data", project)
    config = tmp_path / "mode.json"
    config.write_text(json.dumps({"mode": {"name": "sliding_window", "window": {"width": "wide"}}}))
    raven(
        "agent", "run", plugin, "--mode", "inference", "--data", project,
        "--model", only_run(raven) / "model-state.tar", "--config", config,
    )  # fmt: skip
    (crash,) = events(raven.runs()[-1], "TASK_CRASHED")[:1]
    assert "mode.window.width" in crash["exc_str"]


@needs_bwrap
@pytest.mark.parametrize("place", ["beside its sources", "installed"])
def test_a_plugin_that_brings_its_own_library_keeps_it(
    raven: Raven, project: Path, tmp_path: Path, place: str
) -> None:
    folder = tmp_path / "own"
    (folder / "src").mkdir(parents=True)
    library = folder / "supervisely_lib"
    if place == "installed":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
        library = next(folder.glob(".venv/lib/python3.*/site-packages")) / "supervisely_lib"
    (library / "nn").mkdir(parents=True)
    (library / "__init__.py").write_text("mine = 'its own'\n")
    (library / "nn" / "__init__.py").write_text("deep = 'deep within'\n")
    (folder / "src" / "train.py").write_text(
        "import supervisely_lib as sly\nfrom supervisely_lib.nn import deep\nprint(sly.mine, deep)\n"
    )
    raven.ok("agent", "run", folder, "--mode", "train", "--data", project)
    assert "its own deep within" in (only_run(raven) / "console.log").read_text()
