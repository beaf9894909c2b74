"""Runs that were sent to a queue: what is seen while Ray starts, and who hears of their end."""

from __future__ import annotations

import json
import re

import pytest
from as_user import Raven, wait_for
from on_ray import OnRay
from webhook import Receiver

from ravenml.runs.run import Run

pytestmark = pytest.mark.timeout(400)
NAME = "20260101-000000-aaaaaa"


def test_what_ended_while_nobody_looked_is_told_by_the_next_look_at_the_runs(raven: Raven) -> None:
    run = Run.begin(raven.home / "runs" / NAME, NAME, {"plugin": "unet", "remote": {"queue": "gpu"}})
    run.finish("failed")
    (run.path / "remote.json").write_text(
        json.dumps({"v": 1, "id": NAME, "queue": "gpu", "store": "/nowhere"})
    )
    mark = raven.home / "remote" / "notify" / NAME
    for folder in (mark.parent, raven.home / "remote" / "following"):
        folder.mkdir(parents=True)
    mark.touch()
    (mark.parent / "20260102-000000-bbbbbb").touch()  # one that was removed since
    with Receiver() as receiver:
        raven.ok("runs", "list", RAVENML_NOTIFY=receiver.url)
        wait_for(lambda: [*mark.parent.glob("2*")] == [])
        assert [(one["event"], one["run"], one["queue"]) for one in receiver.got] == [("failed", NAME, "gpu")]


@pytest.mark.slow  # 40 s: Ray starts for this test
def test_a_cold_start_says_what_it_does_and_the_run_that_fails_is_told_to_the_sender_once(
    cluster: OnRay,
) -> None:
    fails = ("run", "--remote", "local", "--name", "first", "--", "python", "-c")
    with Receiver() as receiver:
        done = cluster(*fails, "raise ValueError('no such camera')", RAVENML_NOTIFY=receiver.url)
        assert done.returncode == 0, done.stderr
        starting, *still, up = done.stderr.splitlines()
        assert starting == "Starting Ray on this machine, which takes some seconds …"
        assert all(
            re.fullmatch(r"Ray is still starting \(\d+ s\); see .*local-ray.log\.", one) for one in still
        )
        assert re.fullmatch(r"Ray is up after \d+ s\.", up)
        sent = done.stdout.split()[1]
        wait_for(lambda: bool(receiver.got))  # nobody looks at the run in between
        (message,) = receiver.got
        assert (message["event"], message["run"], message["queue"]) == ("failed", sent, "local")
        assert message["name"] == "first" and "no such camera" in message["error"]
        wait_for(lambda: not [*(cluster.home / "remote" / "notify").glob("2*")])

        # One process tells of all of them; the second start of the queue has nothing to say.
        again = cluster(*fails, "pass", RAVENML_NOTIFY=receiver.url)
        assert again.stderr == ""
        wait_for(lambda: len(receiver.got) == 2)
        assert receiver.got[1]["event"] == "completed"
        cluster.until(again.stdout.split()[1], "completed")
        assert len(receiver.got) == 2
