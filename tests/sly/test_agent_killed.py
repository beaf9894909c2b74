"""An agent that is killed at any moment of a task: what the program printed and wrote is recorded once."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from as_user import Raven
from sly_support import events, needs_bwrap, record

pytestmark = needs_bwrap
KILLS = int(os.environ.get("RAVENML_TEST_KILLS", "4"))
EPOCHS = 12


def leftovers(raven: Raven) -> list[str]:
    """The agent's folders."""
    folder = raven.home / "agent"
    return [path.name for path in folder.glob("[!.]*") if path.is_dir()] if folder.is_dir() else []


def check_completed(run: Path) -> None:
    """A run has each metric and each checkpoint of the training once, and its model is stored."""
    kept = record(run)
    assert kept["result"]["status"] == "completed" and kept["result"]["stored"], kept["result"]
    for kind in ("train", "val"):
        epochs = [event["epoch"] for event in events(run, "METRICS") if event["type"] == kind]
        assert epochs == list(range(1, EPOCHS + 1)), kind
    assert [event["id"] for event in events(run, "CHECKPOINT")] == list(range(EPOCHS))
    for epoch in range(EPOCHS):
        folder = run / "checkpoints" / f"{epoch:08d}"
        assert float((folder / "weights" / "model.bin").read_text()) == 1 / (epoch + 1)
        assert json.loads((folder / "config.json").read_text())["settings"]["epochs"] == EPOCHS
    assert len(list((run / "checkpoints").iterdir())) == EPOCHS
    log = (run / "console.log").read_text().splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {n}" for n in range(200)]
    assert (run / "model-state.tar").is_file()


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * KILLS)
def test_a_task_goes_on_wherever_its_agent_was_killed(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    path = config(epochs=EPOCHS, sleep=0.3, say="".join(f"line {number}\n" for number in range(200)))
    command = ("agent", "run", printing, "--mode", "train", "--data", project, "--config", path)
    start = time.monotonic()
    raven.ok(*command)
    whole = time.monotonic() - start
    moments, killed, known = random.Random(KILLS), 0, set(raven.runs())
    for number in range(KILLS):
        moment = moments.uniform(0, whole)
        agent = raven.start(*command)
        time.sleep(moment)
        killed += agent.poll() is None
        agent.kill()
        agent.communicate()
        said = raven("agent", "attach")  # what a user does next
        if "never ran" in said.stderr:
            raven.ok(*command)
        else:
            assert said.returncode == 0, said.stderr
        assert leftovers(raven) == []
        new = set(raven.runs()) - known
        known |= new
        results = [record(run)["result"] for run in sorted(new)]
        print(f"kill {number + 1} at {moment:.2f} of {whole:.2f} s: {[one['status'] for one in results]}")
        unstarted = [one for one in results if "before the program was started" in one.get("reason", "")]
        assert len(results) - len(unstarted) == (0 if not new else 1)
        for run in new:
            if record(run)["result"] not in unstarted:
                check_completed(run)
    assert killed >= KILLS // 2
