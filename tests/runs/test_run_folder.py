"""A run's folder: one writer, whole files, a status that is derived, ids that can be shortened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ravenml.common.secrets import redact, redact_arguments, redact_text
from ravenml.errors import InputError, RavenError
from ravenml.runs.console import record_console
from ravenml.runs.events import read_events
from ravenml.runs.layout import find_run, new_id, run_ids
from ravenml.runs.overview import details, overview
from ravenml.runs.progress import RunProgress
from ravenml.runs.record import read_record, status
from ravenml.runs.run import Run


def begin(home: Path, name: str = "20260101-000000-abcde") -> Run:
    return Run.begin(home / "runs" / name, name, {"plugin": "x", "config": {}})


def test_ids_sort_by_time_and_are_unique() -> None:
    ids = [new_id() for _ in range(500)]
    assert len(set(ids)) == 500
    assert sorted(i[:18] for i in ids) == [i[:18] for i in ids]


def test_any_unique_beginning_of_an_id_will_do(home: Path) -> None:
    for name in ("20260101-000000-aaaaa", "20260101-000000-abbbb", "20260202-000000-aaaaa"):
        begin(home, name).finish("completed")
    assert find_run("202602").name == "20260202-000000-aaaaa"
    assert find_run(None).name == "20260202-000000-aaaaa"
    with pytest.raises(InputError, match="2 runs begin with '202601'"):
        find_run("202601")
    with pytest.raises(InputError, match="No run begins with 'x'"):
        find_run("x")
    assert len(run_ids()) == 3


def test_a_run_has_one_writer(home: Path) -> None:
    run = begin(home)
    with pytest.raises(RavenError, match="still being written by process"):
        Run.begin(run.path, run.id, {})
    run.finish("completed")
    assert Run.begin(run.path, run.id, {}).attempt == 2


def test_the_status_is_running_while_the_lock_is_held_and_lost_after_its_process_died(home: Path) -> None:
    code = (
        "from pathlib import Path; import sys, time; from ravenml.runs.run import Run;"
        "Run.begin(Path(sys.argv[1]), 'r', {}); print('ready', flush=True); time.sleep(600)"
    )
    folder = home / "runs" / "r"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    assert status(folder, read_record(folder)) == "running"
    process.kill()
    process.wait()
    assert status(folder, read_record(folder)) == "lost"


def test_a_silent_run_of_another_machine_is_lost(home: Path) -> None:
    run = begin(home)
    record = read_record(run.path) | {"process": {"host": "elsewhere", "pid": 1}}
    assert status(run.path, record) == "running"
    import os

    os.utime(run.path / "events.jsonl", (0, 0))
    assert status(run.path, record) == "lost"


def test_a_record_of_a_newer_ravenml_gets_a_sentence(home: Path) -> None:
    run = begin(home)
    run.finish("completed")
    record = json.loads((run.path / "run.json").read_text()) | {"v": 2}
    (run.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RavenError, match="written by a newer ravenML"):
        read_record(run.path)
    assert overview()[0]["status"] == "broken"


def test_a_picture_is_kept_as_it_is_and_announced(home: Path) -> None:
    run = begin(home)
    picture = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    path = run.image("val/one", picture, epoch=1)
    assert (cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) == picture).all()
    event = list(read_events(run.path / "events.jsonl"))[-1].fields
    assert event["file"] == "previews/val/one.png" and event["epoch"] == 1
    with pytest.raises(RavenError, match="leaves the run's folder"):
        run.image("../../stolen", picture)


def test_a_plugin_that_starts_over_is_recorded_as_resumed_from_step_0(home: Path) -> None:
    run = begin(home)
    run.metrics("val", 1, {"miou": 0.1}, step=5)
    run.finish("interrupted")
    again = Run.begin(run.path, run.id, {})
    again.metrics("val", 1, {"miou": 0.2}, step=5)
    kinds = [event.fields["event_type"] for event in read_events(run.path / "events.jsonl")]
    assert kinds[-2:] == ["EventType.RESUMED", "EventType.METRICS"]
    assert again.last_metrics() == {"val/miou": 0.2}


def test_only_the_first_seal_counts(home: Path) -> None:
    run = begin(home)
    run.finish("failed", error="it broke")
    run.finish("completed")
    assert read_record(run.path)["result"]["status"] == "failed"
    assert any("it broke" in line for line in details(run.path))


def test_asking_whether_to_stop_goes_on_where_nothing_can_be_written(home: Path) -> None:
    run = begin(home)
    elsewhere = run.path.rename(home / "elsewhere")
    run.path.write_text("a file where the folder was")
    assert not run.should_stop()
    run.path.unlink()
    elsewhere.rename(run.path)
    run.update(tags=[])
    assert read_record(run.path)["polls"] is True


def test_what_is_printed_goes_to_the_log_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with record_console(tmp_path / "console.log"):
        print("to stdout")
        print("to stderr", file=sys.stderr)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("to stdout\n", "to stderr\n")
    assert (tmp_path / "console.log").read_text() == "to stdout\nto stderr\n"


def test_a_watched_run_knows_how_far_it_is(home: Path) -> None:
    run = begin(home)
    watched = RunProgress("", run.path)
    run.progress("Epoch", 1, 4)
    run.progress("Iteration", 5, 10, images=40)
    run.metrics("val", 1, {"miou": 0.25}, step=10)
    list(watched.read())
    assert watched.done() == pytest.approx((1 + 0.5) / 4)
    assert watched.metrics == {"val/miou": 0.25}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("AWS_SECRET_ACCESS_KEY=abc/def+123", "abc/def"),
        ('password: "pa ss"', "pa ss"),
        ("postgres://me:hunter2@host/db", "hunter2"),
        ("https://me:p@ss@host/path", "ss@"),
        ("--api-key=k3y", "k3y"),
        ('+    "auth_token": "t0k3n",', "t0k3n"),
    ],
)
def test_secrets_in_text_are_hidden(text: str, hidden: str) -> None:
    assert hidden not in redact_text(text)


def test_where_a_package_comes_from_is_no_secret() -> None:
    text = "package @ git+https://host/me/package@1.0"
    assert redact_text(text) == text


def test_secrets_in_values_and_arguments_are_hidden_and_the_rest_stays() -> None:
    assert redact({"api_token": "x", "lr": 0.1, "inner": {"password": "y"}}) == {
        "api_token": "***",
        "lr": 0.1,
        "inner": {"password": "***"},
    }
    assert redact_arguments(["--token", "x", "--lr", "0.1", "--password=y"]) == [
        "--token", "***", "--lr", "0.1", "--password=***",
    ]  # fmt: skip
