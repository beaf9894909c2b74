"""Readers of events: TensorBoard, MLflow and ClearML get each step once; no training waits for one."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from as_user import Raven, wait_for, within
from clearml_server import Server, serve
from throwaway import LEARNS, SETTINGS, write_plugin

from ravenml.common.locks import LockHeld
from ravenml.config.config import Config
from ravenml.runs.events import ImageEvent, read_event
from ravenml.runs.exporters.base import Exporter, Unreached, series_of
from ravenml.runs.exporters.cursor import ExportCursor
from ravenml.runs.exporters.registry import load_exporter
from ravenml.runs.exporters.tensorboard import EventFileWriter
from ravenml.runs.process.tfevents import EventFile, Picture, Scalar
from ravenml.runs.run import Run


def begun(folder: Path, **fields: Any) -> Run:
    return Run.begin(folder, folder.name, {"plugin": "learner", "command": ["raven", "train"], **fields})


def reported(run: Run, first: int, last: int) -> None:
    for step in range(first, last + 1):
        run.metrics("train", step, {"loss": 1 / step, "bad": float("nan")}, step=step)
        if step % 3 == 0:
            run.image(f"val/street/epoch_{step:03d}", np.full((4, 6, 3), step, np.uint8), step=step)


def killed_and_resumed(folder: Path, bring: Any) -> None:
    """A run that is killed at step 10, goes on from step 5, and is completed at step 12."""
    run = begun(folder)
    reported(run, 1, 10)
    bring()
    run._lock.release()  # as the system does when the process is killed
    run = begun(folder)
    run.resumed(step=5, epoch=5)
    reported(run, 6, 12)
    run.finish("completed")
    bring()


def brought(name: str, folder: Path, config: Config) -> str:
    """What the sidecar does, until all is there; returns where."""
    follower = ExportCursor(name, load_exporter(name), folder, config)
    try:
        while follower.bring():
            pass
        record = json.loads((folder / "run.json").read_text())
        if record["result"]:
            follower.close(record["result"]["status"])
        return follower.exporter.where()
    finally:
        follower.release()


def tensorboard_in(folder: Path) -> tuple[dict[str, list[int]], list[Picture]]:
    """The steps of every tag in TensorBoard's files, and the pictures."""
    steps: dict[str, list[int]] = defaultdict(list)
    pictures = []
    for path in sorted((folder / "tensorboard").glob("*tfevents*")):
        for found in EventFile(path).read_new():
            if isinstance(found, Scalar):
                steps[found.tag].append(found.step)
            else:
                pictures.append(found)
    return steps, pictures


def test_tensorboard_shows_each_step_of_a_killed_and_resumed_run_once(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path / "run", lambda: brought("tensorboard", tmp_path / "run", Config()))
    steps, pictures = tensorboard_in(tmp_path / "run")
    assert steps == {"train/loss": list(range(1, 13)), "train/bad": list(range(1, 13))}
    assert [one.step for one in pictures] == [3, 6, 9, 12]
    assert all(one.content.startswith(b"\x89PNG") for one in pictures)


def test_what_is_written_for_tensorboard_is_what_its_own_reader_expects(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    writer = EventFileWriter(tmp_path)
    writer.add_scalar("val/miou", 0.5, 7, 12.25)
    writer.add_scalar("huge", 1e300, 1 << 40, 1.0)
    writer.add_picture("street", b"\x89PNG" + b"x" * 5000, 4, 6, 3, 2.0)
    writer.close()
    content = next(tmp_path.iterdir()).read_bytes()
    events, at = [], 0
    while at < len(content):
        (size,) = struct.unpack("<Q", content[at : at + 8])
        for piece, crc in (
            (content[at : at + 8], at + 8),
            (content[at + 12 : at + 12 + size], at + 12 + size),
        ):
            value = crc32c(piece)
            masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack("<I", content[crc : crc + 4])[0] == masked
        events.append(Event.FromString(content[at + 12 : at + 12 + size]))
        at += 16 + size
    assert events[0].file_version == "brain.Event:2"
    assert (events[1].step, events[1].wall_time, events[1].summary.value[0].simple_value) == (7, 12.25, 0.5)
    assert (events[2].step, events[2].summary.value[0].tag) == (1 << 40, "huge")
    image = events[3].summary.value[0].image
    assert (image.height, image.width, len(image.encoded_image_string)) == (4, 6, 5004)


def described(folder: Path) -> None:
    """A run of a program with tags, a commit with changes, an artifact, a model, and pictures of a series."""
    (folder / "provenance").mkdir(parents=True)
    (folder / "provenance" / "script.diff").write_text("--- a/fit.py\n+++ b/fit.py\n")
    code = {
        "working folder": {"same_as": "script", "place": "."},
        "script": {
            **{"remote": "https://example.org/roads.git", "branch": "main", "commit": "0123abcd" * 5},
            **{"place": "fits", "diff": "provenance/script.diff"},
        },
    }
    provenance = {"code": code, "packages": {"numpy": "2.0.1"}}
    command = ["raven", "run", "--", "python", "fits/fit.py", "--lr", "0.1"]
    about = {"kind": "program", "plugin": None, "name": "lanes", "project": "roads", "command": command}
    run = Run.begin(folder, folder.name, {**about, "tags": ["night"], "provenance": provenance})
    for step in (10, 20):
        run.image(f"val/street/epoch_{step // 10:03d}", np.zeros((2, 3, 3), np.uint8), step=step)
    for name, content in (("report.txt", b"all is well"), ("models/net.pt", b"weights")):
        (folder / "artifacts" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "artifacts" / name).write_bytes(content)
        run.artifact(folder / "artifacts" / name)
    (folder / "notes.json").write_text(json.dumps({"v": 1, "tags": ["good"], "note": "rain"}))
    run.finish("completed")


def test_mlflow_gets_tags_commit_artifacts_and_models(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    config = Config(mlflow_tracking_uri=(tmp_path / "mlruns").as_uri())
    described(tmp_path / "run")
    brought("mlflow", tmp_path / "run", config)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(config.mlflow_tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("roads").experiment_id], "tags.good = 'true'")
    tags = run.data.tags
    assert (tags["ravenml.tags"], tags["mlflow.note.content"]) == ("night,good", "rain")
    assert (tags["mlflow.source.git.commit"], tags["mlflow.source.name"]) == ("0123abcd" * 5, "fit.py")
    found = [one.path for one in client.list_artifacts(run.info.run_id, "artifacts")]
    assert found == ["artifacts/models", "artifacts/report.txt"]
    assert [one.file_size for one in client.list_artifacts(run.info.run_id, "artifacts/models")] == [7]


def test_clearml_gets_the_programs_own_code_tags_artifacts_and_one_series_of_pictures(raven: Raven) -> None:
    pytest.importorskip("clearml")
    folder, here = raven.cwd / "run", Path(__file__).parent
    described(folder)
    code = CLEARML.partition("folder = ")[0]
    code += "t.brought('clearml', Path(sys.argv[1]), Config(clearml='offline'))"
    command = [sys.executable, "-c", code, str(folder), "offline", str(here), str(here.parent)]
    done = subprocess.run(command, env=raven.env(), cwd=raven.cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (session,) = (folder / "clearml").rglob("*.zip")
    with zipfile.ZipFile(session) as archive:
        task = json.loads(archive.read("task.json"))
        lines = archive.read("metrics.jsonl").decode().splitlines()
    script = task["script"]
    assert (script["repository"], script["branch"]) == ("https://example.org/roads.git", "main")
    assert (script["version_num"], script["entry_point"], script["working_dir"]) == (
        *("0123abcd" * 5, "fit.py", "fits"),
    )
    assert script["diff"].startswith("--- a/fit.py") and script["requirements"]["pip"] == "numpy==2.0.1"
    assert sorted(task["tags"]) == ["good", "night"] and task["name"] == "lanes"
    assert {one["key"] for one in task["execution"]["artifacts"]} == {"report.txt", "models/net.pt"}
    events = [event for line in lines for event in json.loads(line)]
    pictures = {(e["metric"], e["variant"], e["iter"]) for e in events if "image" in str(e.get("type"))}
    assert pictures == {("val", "street", 10), ("val", "street", 20)}


@pytest.mark.parametrize(
    ("name", "step", "series"),
    [
        ("val/street/epoch_003", 30, "val/street"),
        ("figures/loss_000012", 12, "figures/loss"),
        ("frames/camera_12", 7, "frames/camera_12"),
        ("val/street/final", 30, "val/street"),
        ("plain", 1, "plain"),
        ("epoch_3", 3, "epoch"),
    ],
)
def test_pictures_of_one_thing_are_one_series(name: str, step: int, series: str) -> None:
    fields = {"event_type": "EventType.IMAGE", "name": name, "file": "previews/x.png", "step": step}
    event = read_event(fields)
    assert isinstance(event, ImageEvent) and series_of(event) == series


def test_mlflow_shows_each_step_of_a_killed_and_resumed_run_once(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    config = Config(mlflow_tracking_uri=(tmp_path / "mlruns").as_uri())
    killed_and_resumed(tmp_path / "run", lambda: brought("mlflow", tmp_path / "run", config))
    from mlflow.tracking import MlflowClient

    client = MlflowClient(config.mlflow_tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("learner").experiment_id])
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == list(range(1, 13))
    assert run.info.status == "FINISHED" and run.data.tags["ravenml.run"] == "run"
    names = [one.path for one in client.list_artifacts(run.info.run_id, "previews/val/street")]
    assert len(names) == 4


CLEARML = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import test_readers as t
from ravenml.config.config import Config
folder = Path(sys.argv[1])
if not folder.exists():
    run = t.begun(folder); t.reported(run, 1, 10); run._lock.release()
else:
    run = t.begun(folder); run.resumed(step=5, epoch=5); t.reported(run, 6, 12); run.finish("completed")
t.brought("clearml", folder, Config(clearml=sys.argv[2]))
"""


def to_clearml(raven: Raven, mode: str, **env: str) -> Path:
    """A run that is killed and resumed, followed by ClearML; its folder."""
    pytest.importorskip("clearml")
    folder, here = raven.cwd / "run", Path(__file__).parent
    for _ in range(2):  # ClearML has room for one task in a process, so each attempt is followed by its own
        command = [sys.executable, "-c", CLEARML, str(folder), mode, str(here), str(here.parent)]
        done = subprocess.run(command, env=raven.env(**env), cwd=raven.cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_clearml_session_shows_each_step_of_a_killed_and_resumed_run_once(raven: Raven) -> None:
    folder = to_clearml(raven, "offline")
    (session,) = (folder / "clearml").rglob("*.zip")
    with zipfile.ZipFile(session) as archive:
        lines = archive.read("metrics.jsonl").decode().splitlines()
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
    events = [event for line in lines for event in json.loads(line)]
    losses = [
        e["iter"] for e in events if e.get("type") == "training_stats_scalar" and e["variant"] == "loss"
    ]
    assert sorted(losses) == list(range(1, 13))
    assert pictures or any("image" in str(e.get("type")) for e in events)


def test_a_clearml_server_has_each_step_of_a_killed_and_resumed_run_once(raven: Raven) -> None:
    told = Server()
    server = serve(told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    hosts = {f"CLEARML_{name}_HOST": address for name in ("API", "WEB", "FILES")}
    keys = {"CLEARML_API_ACCESS_KEY": "somebody", "CLEARML_API_SECRET_KEY": "something"}
    home = {"CLEARML_CONFIG_FILE": "/nonexistent", "CLEARML_CACHE_DIR": str(raven.cwd / "cache")}
    folder = to_clearml(raven, "server", **hosts, **keys, **home)
    server.shutdown()
    (task,) = told.tasks.values()
    assert task["name"] == "run" and task["status"] == "completed", "what the killed attempt made is removed"
    assert len(told.deleted) == 1 and task["id"] not in told.deleted
    events = told.events[task["id"]]
    losses = [e["iter"] for e in events if (e.get("metric"), e.get("variant")) == ("train", "loss")]
    assert sorted(losses) == list(range(1, 13))
    pictures = [e for e in events if e["type"] == "training_debug_image"]
    assert len(pictures) == 4 and len(told.uploads) >= 4
    page = json.loads((folder / "readers" / "clearml.json").read_text())
    assert task["id"] in str(page)


def test_a_process_that_is_killed_while_it_brings_leaves_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = begun(folder)
    reported(run, 1, 5)
    follower = ExportCursor("tensorboard", load_exporter("tensorboard"), folder, Config())
    take = follower.exporter.take

    def killed(events: Any) -> None:
        take(events)
        raise SystemExit  # what it brought is there, and its cursor does not say so

    follower.exporter.take = killed  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        follower.bring()
    follower.release()
    run.finish("completed")
    brought("tensorboard", folder, Config())
    assert tensorboard_in(folder)[0]["train/loss"] == [1, 2, 3, 4, 5]


class HalfWay(Exporter):
    """Takes two events and breaks, the first time; knows when nothing has arrived, if it is told to."""

    there: ClassVar[list[int]] = []
    broken: ClassVar[list[type[Exception]]] = []

    def take(self, events: Sequence[Mapping[str, Any]]) -> None:
        fault = self.broken.pop() if self.broken else None
        if fault is Unreached:
            raise Unreached from ConnectionError("nobody there")
        self.there += [event["step"] for event in events if "step" in event][: 2 if fault else None]
        if fault:
            raise fault("the line broke")

    def start_over(self) -> None:
        self.there.clear()


@pytest.mark.parametrize("again", [False, True])
def test_what_broke_half_way_is_there_once(tmp_path: Path, again: bool) -> None:
    run = begun(tmp_path / "run")
    reported(run, 1, 2)
    HalfWay.there.clear()
    follower = ExportCursor("halfway", HalfWay, run.path, Config())
    follower.bring()
    reported(run, 4, 5)
    HalfWay.broken[:] = [OSError, Unreached]
    for _ in range(2):
        with pytest.raises((OSError, Unreached)) as caught:
            follower.bring()
        follower.fail(caught.value)
        noted = json.loads((run.path / "readers/halfway.json").read_text())
        assert noted["error"] in ("ConnectionError: nobody there", "OSError: the line broke")
        if again:  # the process ends, and another one goes on
            follower.release()
            follower = ExportCursor("halfway", HalfWay, run.path, Config())
    while follower.bring():
        pass
    follower.release()
    assert HalfWay.there == [1, 2, 4, 5]


def test_an_mlflow_run_whose_maker_was_killed_before_it_noted_it_does_not_stay(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    config = Config(mlflow_tracking_uri=(tmp_path / "mlruns").as_uri())
    run = begun(tmp_path / "run")
    reported(run, 1, 3)
    follower = ExportCursor("mlflow", load_exporter("mlflow"), run.path, config)
    make = follower.exporter._run  # type: ignore[attr-defined]

    def killed() -> None:
        make()
        raise SystemExit

    follower.exporter._run = killed  # type: ignore[attr-defined]
    with pytest.raises(SystemExit):
        follower.bring()
    follower.release()
    run.finish("completed")
    brought("mlflow", run.path, config)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(config.mlflow_tracking_uri)
    (found,) = client.search_runs([client.get_experiment_by_name("learner").experiment_id])
    assert [m.step for m in client.get_metric_history(found.info.run_id, "train/loss")] == [1, 2, 3]


def test_one_process_at_a_time_brings_a_runs_events_to_a_reader(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    first = ExportCursor("tensorboard", load_exporter("tensorboard"), tmp_path / "run", Config())
    with pytest.raises(LockHeld, match=str(os.getpid())):
        ExportCursor("tensorboard", load_exporter("tensorboard"), tmp_path / "run", Config())
    first.release()


def test_a_training_reaches_tensorboard_by_itself_and_does_not_wait_for_it(
    raven: Raven, site: Path, learner: Path, project: Path
) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", RAVENML_TRACK="")
    (folder,) = raven.runs()
    cursor = folder / "readers" / "tensorboard.json"
    wait_for(lambda: json.loads(cursor.read_text())["closed"] == 1)
    assert tensorboard_in(folder)[0]["val/miou"] == [1, 2]


def test_a_training_that_is_killed_and_resumed_shows_each_step_once(
    raven: Raven, site: Path, learner: Path, project: Path
) -> None:
    command = ("train", "--dataset", project, "learner", "train")
    training = raven.start(*command, "--epochs", "5", SECONDS="0.6", RAVENML_TRACK="tensorboard")
    folder = wait_for(lambda: raven.runs() and raven.runs()[0])
    wait_for(lambda: len(tensorboard_in(folder)[0]["val/miou"]) > 1)  # the second epoch has been brought
    training.kill()
    training.wait()
    done = raven("train", "learner", "train", "--resume", folder.name, RAVENML_TRACK="tensorboard")
    assert done.returncode == 0, done.stderr
    cursor = folder / "readers" / "tensorboard.json"
    wait_for(lambda: json.loads(cursor.read_text())["closed"] == 2)
    assert tensorboard_in(folder)[0]["val/miou"] == [1, 2, 3, 4, 5]


READERS = """
import time
from pathlib import Path
from ravenml.runs.exporters.base import Reader, step_of

class Notes(Reader):
    def take(self, events):
        if Path(self.folder.parent.parent / "broken").exists():
            raise ConnectionError("the server is not there")
        with open(self.folder / "notes.txt", "a") as file:
            file.writelines(f"{e['event_type']} {e.get('step')}\\n" for e in events)
    def start_over(self):
        (self.folder / "notes.txt").unlink(missing_ok=True)
    def close(self, status, record):
        (self.folder / "notes.end").write_text(status)

class Hangs(Notes):
    def take(self, events):
        time.sleep(3600)
"""
ENTRY_POINTS = """
[ravenml.plugins.track]
notes = ravenml_learner.readers:Notes
hangs = ravenml_learner.readers:Hangs
"""


@pytest.fixture
def tracked(site: Path) -> None:
    """The plugin ``learner`` with two readers, one of which hangs."""
    files = {"readers.py": READERS}
    write_plugin(site, "learner", LEARNS, settings=SETTINGS, files=files, more_entry_points=ENTRY_POINTS)


def test_readers_that_fail_or_hang_neither_slow_nor_end_a_training_and_sync_brings_the_rest(
    raven: Raven, tracked: None, project: Path, home: Path
) -> None:
    home.mkdir()
    (home / "broken").touch()
    with within(20):
        raven.ok("train", "--dataset", project, "learner", "train", RAVENML_TRACK="notes,hangs,tensorboard")
    (folder,) = raven.runs()
    wait_for(lambda: (folder / "tensorboard").exists())  # the third one is served all the same
    wait_for(
        lambda: "not there" in json.loads((folder / "readers" / "notes.json").read_text()).get("error", "")
    )
    wait_for(lambda: "notes:" in (folder / "readers" / "sidecar.log").read_text())
    (home / "broken").unlink()
    wait_for(lambda: (folder / "notes.end").exists())  # the sidecar itself tries again
    holder = int((folder / "readers" / "hangs.lock").read_text())
    assert "is bringing it" in raven.ok("runs", "sync", folder.name, "--to", "hangs")
    os.kill(holder, 9)
    assert (folder / "notes.end").read_text() == "completed"
    steps = [line.split()[1] for line in (folder / "notes.txt").read_text().splitlines() if "METRICS" in line]
    assert steps == ["1", "1", "2", "2"]


def test_sync_brings_a_run_that_nobody_followed(raven: Raven, tracked: None, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", RAVENML_TRACK="none")
    (folder,) = raven.runs()
    assert not (folder / "readers").exists()
    assert "notes: all is there" in raven.ok("runs", "sync", "--to", "notes")
    before = (folder / "notes.txt").read_text()
    assert "all was there" in raven.ok("runs", "sync", folder.name, "--to", "notes")
    assert (folder / "notes.txt").read_text() == before and before.count("METRICS") == 4
    done = raven("runs", "sync", "--to", "tensorbord")
    assert done.returncode == 2 and "did you mean 'tensorboard'?" in done.stderr


def test_a_very_short_program_does_not_wait_for_its_readers(raven: Raven, tracked: None) -> None:
    command = [sys.executable, "-c", "print('short')"]
    with within(2):
        assert raven("run", "--", *command, RAVENML_TRACK="notes").returncode == 0
    (folder,) = raven.runs()
    wait_for(lambda: (folder / "notes.end").read_text() == "completed")


def test_folds_reach_the_readers_too(raven: Raven, tracked: None, project: Path) -> None:
    raven.ok(
        *("train", "--dataset", project, "learner", "train", "--kfold", "--folds", "2"), RAVENML_TRACK="notes"
    )
    (folder,) = raven.runs()
    for place in (folder, folder / "folds" / "0", folder / "folds" / "1"):
        wait_for(lambda place=place: (place / "notes.end").read_text() == "completed")
    assert (folder / "folds" / "1" / "notes.txt").read_text().count("METRICS") == 4
