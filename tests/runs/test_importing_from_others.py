"""Runs of other tools become runs of ours: what was set, measured and kept, once however often it is done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.errors import InputError
from ravenml.runs.events import MetricsEvent, effective_metrics, read_events
from ravenml.runs.exporters.tensorboard import EventFileWriter
from ravenml.runs.importers import SOURCES, import_from
from ravenml.runs.importers.base import metric_address
from ravenml.runs.notes import change_tags, read_notes
from ravenml.runs.overview import details
from ravenml.runs.record import read_record, status

T = 1_700_000_000  # seconds since 1970


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """Two runs in TensorBoard's files, one with a picture."""
    place = tmp_path / "logs"
    for name in ("first", "second"):
        writer = EventFileWriter(place / name)
        for step in range(3):
            writer.add_scalar("val/loss", 1 / (step + 1), step, T + step)
        if name == "first":
            writer.add_picture("street", b"\x89PNG picture", 4, 6, 2, T + 2)
        writer.close()
    return place


@pytest.fixture
def mlruns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of MLflow's own, in its file store."""
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = tracking.MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.create_experiment("roads")
    tags = {"mlflow.runName": "baseline", "night": "", "camera": "2", "mlflow.note.content": "rain"}
    run = client.create_run(experiment, start_time=T * 1000, tags=tags).info.run_id
    client.log_param(run, "lr", 0.1)
    for step in range(3):
        client.log_metric(run, "val_loss", 1 / (step + 1), (T + step) * 1000, step)
    (tmp_path / "report.txt").write_text("all is well")
    client.log_artifact(run, str(tmp_path / "report.txt"), "texts")
    client.set_terminated(run, "FAILED", (T + 9) * 1000)
    return tmp_path / "mlruns"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The tables of MLflow's database that matter."""
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as db:
        db.executescript("""
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
            CREATE TABLE runs (run_uuid TEXT, name TEXT, experiment_id INTEGER, status TEXT,
                start_time INTEGER, end_time INTEGER, artifact_uri TEXT, lifecycle_stage TEXT);
            CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER,
                is_nan BOOLEAN);
            INSERT INTO experiments VALUES (1, 'roads');
            INSERT INTO params VALUES ('lr', '0.1', 'r1');
            INSERT INTO tags VALUES ('night', '', 'r1');
        """)
        row = ("r1", "baseline", 1, "FINISHED", T * 1000, (T + 9) * 1000, "s3://b/a", "active")
        db.execute("INSERT INTO runs VALUES (?,?,?,?,?,?,?,?)", row)
        db.execute("INSERT INTO runs VALUES (?,?,?,?,?,?,?,?)", ("r2", "gone", *row[2:-1], "deleted"))
        for step in range(3):
            db.execute(
                "INSERT INTO metrics VALUES (?,?,?,?,?,?)",
                ("val_loss", 1 / (step + 1), (T + step) * 1000, "r1", step, step == 1),
            )
    return file


@pytest.fixture
def trackio(tmp_path: Path) -> Path:
    """A project as trackio keeps it."""
    file = tmp_path / "trackio" / "roads.db"
    file.parent.mkdir()
    with sqlite3.connect(file) as db:
        db.executescript("""
            CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER,
                metrics TEXT);
            CREATE TABLE configs (id INTEGER PRIMARY KEY, run_name TEXT, config TEXT, created_at TEXT);
        """)
        config = json.dumps({"lr": 0.1, "_User": "me"})
        db.execute("INSERT INTO configs VALUES (1, 'baseline', ?, '')", [config])
        for step in range(3):
            values = json.dumps({"val": {"loss": 1 / (step + 1)}})
            row = (f"2023-11-14T22:13:2{step}", "baseline", step, values)
            db.execute("INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?,?,?,?)", row)
    return file.parent


@pytest.fixture
def wandb(tmp_path: Path) -> Path:
    """A run's folder without its history, as one is downloaded."""
    files = tmp_path / "wandb" / "run-20231114_221320-a1b2c3" / "files"
    (files / "media").mkdir(parents=True)
    (files / "config.yaml").write_text("wandb_version: 1\nlr:\n  value: 0.1\n_wandb:\n  value: {}\n")
    summary = {"val": {"loss": 0.25}, "_step": 2, "_timestamp": T + 2.0, "table": {"_type": "table-file"}}
    (files / "wandb-summary.json").write_text(json.dumps(summary))
    about = {"program": "fit.py", "args": ["--lr", "0.1"], "git": {"commit": "0123abcd"}}
    about["startedAt"] = "2023-11-14T22:13:20Z"
    (files / "wandb-metadata.json").write_text(json.dumps(about))
    (files / "media" / "note.txt").write_text("kept")
    return tmp_path / "wandb"


def curve(folder: Path, address: str) -> list[tuple[int | None, object, float | None]]:
    events: list[MetricsEvent] = effective_metrics(folder / "events.jsonl")
    return [(event.step, event.values[address], event.seconds) for event in events if address in event.values]


def test_each_folder_of_tensorboard_is_a_run_with_its_scalars_and_pictures(home: Path, boards: Path) -> None:
    first, second = (folder for folder, new in import_from("tensorboard", boards) if new)
    assert [read_record(one)["name"] for one in (first, second)] == ["first", "second"]
    assert curve(second, "val/loss") == [(0, 1.0, T), (1, 0.5, T + 1), (2, pytest.approx(1 / 3), T + 2)]
    (picture,) = read_events(first / "events.jsonl", "IMAGE")
    assert picture.step == 2 and (first / picture.fields["file"]).read_bytes().startswith(b"\x89PNG")
    assert read_record(first)["created"] == "2023-11-14T22:13:20.000Z"


def test_a_run_of_mlflow_brings_all_that_was_logged(home: Path, mlruns: Path) -> None:
    ((folder, _),) = import_from("mlflow", mlruns)
    record = read_record(folder)
    assert (record["name"], record["project"], status(folder, record)) == ("baseline", "roads", "failed")
    assert record["parameters"] == {"lr": "0.1"} and sorted(record["tags"]) == ["camera=2", "night"]
    assert read_notes(folder)["note"] == "rain"
    assert [step for step, _, _ in curve(folder, "val/loss")] == [0, 1, 2]
    assert (folder / "artifacts" / "texts" / "report.txt").read_text() == "all is well"
    (artifacts,) = (line for line in details(folder) if line.startswith("Artifacts:"))
    assert "texts/report.txt (11" in artifacts


def test_a_database_of_mlflow_is_read_without_what_was_deleted(home: Path, database: Path) -> None:
    ((folder, _),) = import_from("mlflow", database)
    assert read_record(folder)["name"] == "baseline" and read_record(folder)["tags"] == ["night"]
    assert [value for _, value, _ in curve(folder, "val/loss")] == [1.0, "NaN", pytest.approx(1 / 3)]


def test_a_project_of_trackio_is_read(home: Path, trackio: Path) -> None:
    ((folder, _),) = import_from("trackio", trackio)
    record = read_record(folder)
    assert (record["name"], record["project"], record["parameters"]) == ("baseline", "roads", {"lr": 0.1})
    assert [(step, value) for step, value, _ in curve(folder, "val/loss")][:2] == [(0, 1.0), (1, 0.5)]


def field(number: int, value: bytes | str) -> bytes:
    """A field of a protocol buffer."""
    content = value.encode() if isinstance(value, str) else value
    key, size = number << 3 | 2, len(content)
    head = bytes([key]) if key < 0x80 else bytes([key & 0x7F | 0x80, key >> 7])
    return head + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content


def as_log(records: list[bytes]) -> bytes:
    """Records as wandb writes them: in blocks of 32 KiB, those that do not fit in pieces."""
    log = b":W&B\xe1\xbe\x00"
    for record in records:
        begun = False
        while True:
            room = 32768 - len(log) % 32768
            if room < 7:
                log += bytes(room)
                continue
            piece, record = record[: room - 7], record[room - 7 :]
            kind = (3 if record else 4) if begun else (2 if record else 1)
            log += bytes(4) + len(piece).to_bytes(2, "little") + bytes([kind]) + piece
            begun = True
            if not record:
                break
    return log


def item(name: str, value: object) -> bytes:
    """An item of a history or a config."""
    return field(1, field(1, name) + field(16, json.dumps(value)))


def test_the_own_file_of_a_run_of_wandb_is_read_over_its_blocks_and_as_far_as_it_goes(
    home: Path, wandb: Path
) -> None:
    about = field(17, field(3, "roads") + field(8, "baseline") + field(9, "rain") + field(10, "night"))
    rows = [
        field(
            2, item("loss", 1 / (n + 1)) + item("_step", n) + item("_timestamp", T + n) + item("x", "y" * 999)
        )
        for n in range(100)
    ]
    log = as_log([about, field(5, item("net", {"width": 32})), *rows])
    assert len(log) > 3 * 32768
    folder = wandb / "run-20231114_221320-a1b2c3"
    (folder / "run-a1b2c3.wandb").write_bytes(log[:-500])  # it was killed in mid-record
    ((run, _),) = import_from("wandb", wandb)
    record = read_record(run)
    assert (record["name"], record["project"], record["tags"]) == ("baseline", "roads", ["night"])
    assert record["parameters"] == {"lr": 0.1, "net": {"width": 32}} and read_notes(run)["note"] == "rain"
    assert [(step, seconds) for step, _, seconds in curve(run, "train/loss")] == [
        (n, T + n) for n in range(99)
    ]


def test_of_wandb_without_its_own_file_settings_last_values_and_files_are_read(
    home: Path, wandb: Path
) -> None:
    ((folder, _),) = import_from("wandb", wandb)
    record = read_record(folder)
    assert record["parameters"] == {"lr": 0.1} and record["command"] == ["fit.py", "--lr", "0.1"]
    assert record["provenance"]["code"]["working folder"]["commit"] == "0123abcd"
    assert record["result"]["metrics"] == {"val/loss": 0.25} and curve(folder, "val/loss")[0][0] == 2
    assert (folder / "artifacts" / "media" / "note.txt").read_text() == "kept"


def test_importing_twice_makes_no_copies_and_what_has_grown_replaces_what_was_here(
    home: Path, trackio: Path, raven: Raven
) -> None:
    assert "was imported" in raven.ok("runs", "import", "--from", "trackio", trackio)
    assert "already here, unchanged" in raven.ok("runs", "import", "--from", "trackio", trackio)
    (run,) = raven.runs()
    change_tags(run, ["mine"])
    with sqlite3.connect(trackio / "roads.db") as db:
        row = ("2023-11-14T22:13:29", "baseline", 3, '{"val": {"loss": 0.1}}')
        db.execute("INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?,?,?,?)", row)
    assert "was imported" in raven.ok("runs", "import", "--from", "trackio", trackio)
    (run,) = raven.runs()
    assert len(curve(run, "val/loss")) == 4 and read_notes(run)["tags"] == ["mine"]
    assert "baseline" in raven.ok("runs", "list", "--where", "val/loss<0.2")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_text("no"), lambda path: None])
def test_what_is_nothing_of_the_kind_is_refused_with_a_sentence(
    home: Path, tmp_path: Path, source: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "nothing")
    with pytest.raises(InputError, match="nothing"):
        list(import_from(source, tmp_path / "nothing"))
    assert not list((home / "runs").glob("*")) if (home / "runs").exists() else True


@pytest.mark.parametrize(
    ("name", "address"),
    [
        *(("loss", "train/loss"), ("val_loss", "val/loss"), ("eval_f1", "val/f1")),
        *(("a/b/c", "a/b/c"), ("val_", "train/val_")),
    ],
)
def test_a_name_without_a_part_gets_one(name: str, address: str) -> None:
    assert metric_address(name) == address
