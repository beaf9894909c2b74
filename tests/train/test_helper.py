"""A plugin's helper: a process that describes and checks settings, so that pages import no plugin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from as_user import Raven
from throwaway import AS_WRITTEN_TODAY, write_plugin


def ask(raven: Raven, plugin: str, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "ravenml.train.helper", plugin],
        input="".join(json.dumps(one) + "\n" for one in questions),
        capture_output=True,
        text=True,
        env=raven.env(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_settings_are_described_and_checked(raven: Raven, learner: Path) -> None:
    form, good, wrong, unknown = ask(
        raven,
        "learner",
        {"ask": "describe"},
        {"ask": "check", "settings": {"lr": 0.5, "input_size": {"width": 32}}},
        {"ask": "check", "settings": {"lr": -1, "input_size": {"width": 0}, "optimizer": "magic"}},
        {"ask": "dance"},
    )
    fields = {one["name"]: one for one in form["fields"]}
    assert form["command"] == "train" and fields["epochs"]["default"] == 2
    assert [choice["value"] for choice in fields["optimizer"]["choices"]] == ["sgd", "adam"]
    assert fields["polite"]["kind"] == "switch" and fields["classes"]["kind"] == "list"
    assert good["wrong"] == {} and good["settings"]["input_size.width"] == 32
    assert good["settings"]["input_size.height"] == 48
    assert set(wrong["wrong"]) == {"lr", "input_size.width", "optimizer"}
    assert wrong["wrong"]["lr"] == "Should be greater than 0"
    assert "dance" in unknown["error"]


def test_what_a_plugin_prints_at_its_import_disturbs_no_answer(raven: Raven, site: Path) -> None:
    noisy = """
    print("hello")
    from ravenml.train.settings import TrainSettings
    class Settings(TrainSettings):
        a: int = 1
    """
    write_plugin(site, "noisy", AS_WRITTEN_TODAY, settings=noisy)
    (form,) = ask(raven, "noisy", {"ask": "describe"})
    assert [one["name"] for one in form["fields"]] == ["a"]


def test_a_plugin_that_breaks_is_told_in_a_sentence(raven: Raven, site: Path) -> None:
    write_plugin(site, "broken", AS_WRITTEN_TODAY, settings="raise ImportError('no such thing')")
    write_plugin(site, "silent", AS_WRITTEN_TODAY)
    (broken,), (silent,) = (ask(raven, name, {"ask": "describe"}) for name in ("broken", "silent"))
    assert "no such thing" in broken["error"] and "publishes no settings" in silent["error"]
