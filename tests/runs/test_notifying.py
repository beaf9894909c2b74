"""Somebody is told when a run fails, hangs or ends; nothing that goes wrong with it touches the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from as_user import Raven, wait_for
from many_runs import write_run
from webhook import Receiver

from ravenml.config.config import load_config
from ravenml.config.notify import Notify
from ravenml.runs import notify
from ravenml.runs.notify import Notifier
from ravenml.runs.run import Run

NAME = "20260101-000000-aaaaaa"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(notify, "PAUSE", 0.0)
    with Receiver() as receiver:
        yield receiver


def told(folder: Path, **settings: Any) -> list[str]:
    """What a look at the run logs; the run must have ended."""
    log: list[str] = []
    assert Notifier(folder, Notify.model_validate(settings), log.append).look() is False
    return log


@pytest.mark.parametrize(
    ("status", "when", "events"),
    [
        ("completed", ["failed", "hung", "ended"], ["completed"]),
        ("completed", ["failed", "hung"], []),
        ("failed", ["failed"], ["failed"]),
        ("failed", ["ended"], ["failed"]),
        ("interrupted", ["failed"], []),
        (None, ["failed"], ["lost"]),
    ],
)
def test_an_end_is_told_to_those_who_asked_for_it(
    home: Path, receiver: Receiver, status: str | None, when: list[str], events: list[str]
) -> None:
    run = write_run(home, NAME, status=status, metrics={"val/miou": 0.5})
    assert told(run, webhook=receiver.url, when=when) == []
    assert [one["event"] for one in receiver.got] == events


def test_what_is_told_is_small_and_without_secrets(home: Path, receiver: Receiver) -> None:
    result = {"status": "failed", "error": "no access with password=hunter22", "metrics": {"val/miou": "NaN"}}
    run = write_run(home, NAME, more={"name": "baseline", "result": result})
    assert told(run, webhook=receiver.url) == []
    (message,) = receiver.got
    assert (message["run"], message["name"], message["dataset"]) == (NAME, "baseline", "meadow")
    assert "hunter22" not in json.dumps(message)
    assert message["text"].startswith(f"baseline ({NAME}) failed: no access")
    assert message["score"] == {"val/miou": "NaN"}


def test_a_run_that_says_nothing_hangs_and_its_use_of_the_machine_is_no_sign_of_life(
    home: Path, receiver: Receiver
) -> None:
    clock = [0.0]
    run = Run.begin(home / "runs" / NAME, NAME, {"plugin": "learner"})
    settings = Notify.model_validate({"webhook": receiver.url, "silence": 10})
    notifier = Notifier(run.path, settings, pytest.fail, lambda: clock[0])

    def at(minutes: float) -> int:
        clock[0] = minutes * 60
        assert notifier.look() is True
        return len(receiver.got)

    assert [at(0), at(9)] == [0, 0]
    run.resources({"cpu": 1.0})
    assert [at(11), at(40)] == [1, 1]  # once
    assert receiver.got[0]["event"] == "hung" and receiver.got[0]["silent_s"] == 660
    run.metrics("train", 1, {"loss": 1.0})
    assert [at(41), at(50), at(52)] == [1, 1, 2]
    (run.path / "console.log").write_text("still here\n")
    assert [at(53), at(62)] == [2, 2]
    run.finish("completed")
    assert notifier.look() is False and receiver.got[-1]["event"] == "completed"


def test_a_webhook_that_is_busy_is_tried_again_and_one_that_refuses_is_not(
    home: Path, receiver: Receiver
) -> None:
    run = write_run(home, NAME)
    receiver.statuses = [503, 500]
    assert told(run, webhook=receiver.url) == [] and len(receiver.got) == 3
    receiver.statuses = [404]
    assert told(run, webhook=receiver.url) == ["notify: the webhook could not be reached: HTTP status 404"]
    assert len(receiver.got) == 4


def test_nobody_at_the_other_end_is_a_line_in_the_log_that_does_not_hold_the_url(
    home: Path, receiver: Receiver
) -> None:
    receiver.server.server_close()
    run = write_run(home, NAME)
    (line,) = told(run, webhook=receiver.url)
    assert "could not be reached" in line and "token-1234" not in line


def test_a_command_gets_the_same_on_its_standard_input(home: Path, tmp_path: Path) -> None:
    run = write_run(home, NAME)
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    assert told(run, command=[sys.executable, "-c", code, str(tmp_path / "got.json")]) == []
    assert json.loads((tmp_path / "got.json").read_text())["run"] == NAME
    (failed,) = told(run, command=[sys.executable, "-c", "import sys; sys.exit('no modem')"])
    assert "ended with exit code 1 no modem" in failed
    (missing,) = told(run, command="no-such-program --at all")
    assert "no-such-program" in missing


def test_a_run_that_fails_is_told_by_the_process_beside_it(raven: Raven, receiver: Receiver) -> None:
    done = raven("run", "--", sys.executable, "-c", "raise SystemExit(3)", RAVENML_NOTIFY=receiver.url)
    assert done.returncode == 3
    wait_for(lambda: bool(receiver.got))
    assert receiver.got[0]["event"] == "failed" and "exit code 3" in receiver.got[0]["error"]


def test_the_setting_is_a_url_a_command_or_a_mapping_and_the_url_is_masked(raven: Raven) -> None:
    said = raven.ok("config", "update", "--notify", "https://hooks.example.org/T0/secret-words")
    shown = raven.ok("config", "show") + raven.ok("config", "show", "--json") + said
    assert "https://hooks.example.org/***" in shown and "secret-words" not in shown
    raven.ok("config", "update", "--notify", "tell me 'two words'")
    assert yaml.safe_load((raven.home / "config.yaml").read_text())["notify"]["command"] == [
        *("tell", "me", "two words")
    ]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"webhook": "ftp://host/x"}, "notify.webhook"),
        ({"when": ["failed"]}, "notify"),
        ({"command": ["x"], "when": ["crashed"]}, "notify.when"),
        ({"command": ["x"], "silence": 0}, "notify.silence"),
        ({"command": ["x"], "url": "y"}, "notify.url"),
        ("tell 'me", "notify"),
    ],
)
def test_a_wrong_field_is_named(home: Path, wrong: object, named: str) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text(yaml.safe_dump({"notify": wrong}))
    with pytest.raises(Exception, match=named) as raised:
        load_config()
    assert type(raised.value).__name__ == "InputError"
