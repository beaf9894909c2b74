"""ClearML's names beyond ``Task.init`` and ``Logger``: other runs, artifacts, models, files at addresses."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravenml.task
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.process.inbox import EVENTS, INBOX
from ravenml.runs.run import Run
from ravenml.task import (
    InputModel,
    Model,
    OutputModel,
    SeriesInfo,
    StorageManager,
    Task,
    TaskParameters,
    param,
    parameters,
    percent_param,
)
from ravenml.task.backend import AttachedRun
from ravenml.task.task_view import TaskView

Begin = Callable[..., Task]


@pytest.fixture
def begin(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins a run as `raven run` does, and attaches a task to it; its end is `finish(task)`."""
    runs: list[Run] = []
    monkeypatch.setattr(parameters, "known", {})
    monkeypatch.setattr(parameters, "sections", {})

    def begin(name: str = "first", **fields: Any) -> Task:
        run_id = layout.new_id()
        record = {"kind": "program", "name": name, "project": "roads", **fields}
        run = Run.begin(home / "runs" / run_id, run_id, record)
        runs.append(run)
        (run.path / INBOX).touch()
        monkeypatch.setenv(layout.RUN_VARIABLE, str(run.path))
        monkeypatch.setenv(EVENTS, str(run.path / INBOX))
        task = Task(AttachedRun(), "roads", name, None)
        task._run = run  # type: ignore[attr-defined]
        monkeypatch.setattr(TaskView, "_current", task)
        return task

    yield begin
    for run in runs:
        run.finish("completed")


def finish(task: Task, status: str = "completed") -> None:
    task.close()
    task._run.finish(status)  # type: ignore[attr-defined]


def again(task: Task) -> TaskView:
    """The task's run, as another script reads it."""
    found = TaskView(task._folder)
    assert found.id == task.id
    return found


def test_the_newest_run_of_a_project_and_name_is_found(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = begin("train", tags=["a"]), begin("train", tags=["a", "b"])
    finish(older)
    finish(newer, "failed")
    current = begin("train")
    find = partial(Task.get_task, project_name="roads", task_name="train")
    assert find().id == newer.id and find(tags=["b"]).id == newer.id
    assert find(task_filter={"status": ["completed"]}).id == older.id
    assert find(task_name="trai") is None and find(project_name="rails") is None
    assert Task.get_task(older.id).status == "completed" and Task.get_task(newer.id).status == "failed"
    assert Task.get_task(current.id) is current
    with pytest.raises(InputError, match="No run begins with 'nowhere'"):
        Task.get_task("nowhere")
    assert [one.id for one in Task.get_tasks(task_name="^tr", tags=["a", "-b"])] == [older.id]
    assert Task.query_tasks(project_name="roads", task_filter={"status": ["failed"]}) == [newer.id]
    both = {"_any_": {"fields": ["name", "project"], "pattern": "road"}, "status": ["completed"]}
    found = Task.query_tasks(task_filter=both, additional_return_fields=["name", "script.diff"])
    assert found == [{"id": older.id, "name": "train", "script.diff": ""}]


def test_an_archived_run_is_found_by_its_tag_alone(begin: Begin) -> None:
    task = begin("old")
    finish(task)
    again(task).set_archived()
    assert Task.get_task(project_name="roads", task_name="old") is None
    assert Task.get_tasks(tags=["archived"])[0].id == task.id
    again(task).set_archived(False)
    assert Task.get_task(project_name="roads", task_name="old").id == task.id


def test_parameters_have_clearmls_sections_here_and_in_the_run(begin: Begin) -> None:
    task = begin()
    parameters.record({"lr": 0.1}, arguments="Args")
    task.connect({"epochs": 2, "deep": {"x": 1}, "none": None})
    task.connect({"depth": 3}, name="Net")
    task.set_parameter("General/epochs", 4)
    task.set_parameters({"Args/lr": 0.2}, size="s")
    task.set_user_properties(owner="me")
    named = {"Args/lr": "0.2", "General/epochs": "4", "General/deep/x": "1", "General/none": ""}
    named |= {"Net/depth": "3", "General/size": "s", "properties/owner": "me"}
    assert task.get_parameters() == named
    assert task.get_parameter("General/epochs", cast=True) == 4 and task.get_parameter("lr") == "0.2"
    task._run.describe({"parameters": parameters.known, "sections": parameters.sections})  # type: ignore
    finish(task)
    assert again(task).get_parameters() == named
    assert again(task).get_parameters_as_dict(cast=True)["General"]["epochs"] == 4
    assert again(task).get_user_properties(value_only=True) == {"owner": "me"}


def test_what_raven_run_captured_are_arguments(begin: Begin) -> None:
    task = begin(parameters={"lr": 0.1}, captured="argparse")
    finish(task)
    assert again(task).get_parameters(cast=True) == {"Args/lr": 0.1}


def test_curves_come_back_by_title_and_series(begin: Begin) -> None:
    task = begin()
    for step, value in ((1, 0.5), (2, 0.2), (3, 0.4)):
        task._run.metrics("val", None, {"miou": value}, step=step)  # type: ignore[attr-defined]
    task._run.metrics("summary", None, {"final": 7})  # type: ignore[attr-defined]
    finish(task)
    seen = again(task)
    assert seen.get_last_scalar_metrics()["val"] == {"miou": {"last": 0.4, "min": 0.2, "max": 0.5}}
    assert seen.get_reported_scalars()["val"]["miou"] == {
        "name": "miou",
        "x": [1, 2, 3],
        "y": [0.5, 0.2, 0.4],
    }
    assert len(seen.get_reported_scalars(max_samples=2)["val"]["miou"]["x"]) == 2
    assert seen.get_reported_single_value("final") == 7
    assert seen.get_last_iteration() == 3


def test_every_artifact_comes_back_as_what_it_was(begin: Begin, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "data" / "in").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "c.txt", "in/d.jpg"):
        (tmp_path / "data" / name).write_text(name)
    task = begin()
    task.upload_artifact("numbers", {"a": [1, 2]}, metadata={"unit": "m"})
    task.upload_artifact("array", np.arange(3))
    task.upload_artifact("words", "3 * 4")
    task.upload_artifact("picture", Image.new("RGB", (4, 3)))
    task.upload_artifact("file", tmp_path / "data" / "c.txt")
    task.upload_artifact("folder", str(tmp_path / "data"))
    task.upload_artifact("pictures", f"{tmp_path}/data/*.jpg")
    task.upload_artifact("own", {1, 2}, serialization_function=lambda value: str(sorted(value)).encode())
    task.upload_artifact("set", {1, 2})
    task.get_logger().report_table("scores", "all", 1, table_plot=[["a"]])
    for seen in (task.artifacts, again(task).artifacts):
        assert list(seen)[:2] == ["numbers", "array"] and len(seen) == 9
        assert seen["numbers"].get() == {"a": [1, 2]} and seen["numbers"].metadata == {"unit": "m"}
        assert seen["array"].get().tolist() == [0, 1, 2] and seen["words"].get() == "3 * 4"
        assert seen["picture"].get().size == (4, 3)
        assert Path(seen["file"].get_local_copy()).read_text() == "c.txt"
        folder, pictures = Path(seen["folder"].get()), Path(seen["pictures"].get_local_copy())
        assert (folder / "in" / "d.jpg").read_text() == "in/d.jpg"
        assert sorted(path.name for path in pictures.iterdir()) == ["a.jpg", "b.jpg"]
        assert seen["folder"].get_local_copy(extract_archive=False).endswith(".zip")
        assert seen["own"].get(deserialization_function=json.loads) == [1, 2]
        with pytest.raises(InputError, match=r"'set' is a pickle, which can run any code"):
            seen["set"].get()
        assert seen["set"].get(deserialization_function=pickle.loads) == {1, 2}


def test_a_pattern_that_matches_nothing_is_an_error_and_an_artifact_that_is_gone_too(begin: Begin) -> None:
    task = begin()
    with pytest.raises(InputError, match=r"no file matches no/such/\*.jpg"):
        task.upload_artifact("none", "no/such/*.jpg")
    task.upload_artifact("numbers", [1])
    assert task.artifacts["numbers"].path is not None
    task.artifacts["numbers"].path.unlink()
    with pytest.raises(RavenError, match="'numbers' is gone"):
        TaskView(task._folder).artifacts["numbers"].get()


def test_a_registered_artifact_is_kept_as_it_is_at_the_end(begin: Begin) -> None:
    task, counts = begin(), {"seen": 1}
    task.register_artifact("counts", counts)
    task.register_artifact("gone", [])
    task.unregister_artifact("gone")
    assert task.get_registered_artifacts() == {"counts": counts}
    counts["seen"] = 2
    finish(task)
    assert {name: one.get() for name, one in again(task).artifacts.items()} == {"counts": {"seen": 2}}


def test_models_are_described_kept_and_found_again(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"weights")
    task = begin()
    task.set_model_label_enumeration({"road": 1})
    model = OutputModel(name="Net", framework="pytorch", tags=["good"])
    model.update_design(config_dict={"depth": 3})
    model.update_weights(tmp_path / "net.pt")
    model.set_metadata("note", "x")
    far = OutputModel(task, label_enumeration={"cat": 0})
    far.update_weights(register_uri="https://example.org/m/far.pt")
    finish(task)
    found = again(task).models["output"]
    assert [one.name for one in found] == ["Net", "far.pt"]
    net = Model(found[0].id)
    assert Path(net.get_local_copy()).read_bytes() == b"weights"
    assert (net.labels, net.config_dict, net.framework) == ({"road": 1}, {"depth": 3}, "pytorch")
    assert (net.task, net.project, net.get_metadata("note")) == (task.id, "roads", "x")
    assert (found[1].url, found[1].labels) == ("https://example.org/m/far.pt", {"cat": 0})
    assert InputModel(name="Net", project="roads").id == net.id
    assert Model.query_models(tags=["good"])[0].id == net.id and not Model.query_models(model_name="^et")
    with pytest.raises(InputError, match="There is no model 'Other'"):
        InputModel(name="Other")


def test_a_package_of_weights_comes_back_as_a_folder(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "config.json").write_text("{}")
    task = begin()
    OutputModel(name="my llm").update_weights_package(weights_path=tmp_path / "llm")
    finish(task)
    (model,) = again(task).models["output"]
    assert Path(model.get_local_copy(), "config.json").read_text() == "{}"
    assert [path.name for path in model.get_weights_package()] == ["config.json"]


def test_a_run_that_is_given_a_model_says_so(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "R-50.pkl").write_bytes(b"w")
    task = begin()
    task.connect(InputModel.import_model(str(tmp_path / "R-50.pkl"), name="backbone"))
    (model,) = again(task).models["input"]
    assert model.name == "backbone" and Path(model.get_local_copy()).read_bytes() == b"w"
    assert not again(task).artifacts and not again(task).models["output"]


@pytest.mark.parametrize("url", ["https://example.org/a.png", "s3://bucket/a.csv"])
def test_what_lies_elsewhere_is_reported_by_its_address(begin: Begin, url: str) -> None:
    task = begin()
    task.logger.report_media("m", "s", 3, url=url)
    task.logger.report_table("t", "s", 3, url=url)
    task.logger.report_image("i", "s", 3, url=url)
    lines = (task._folder / INBOX).read_text().splitlines()
    told = [json.loads(line) for line in lines]
    kinds = [("media", "m/s"), ("table", "t/s"), ("image", "i/s")]
    assert [(one["kind"], one["name"], one["uri"]) for one in told] == [(*one, url) for one in kinds]
    with pytest.raises(InputError, match="report_media: m/s needs local_path="):
        task.logger.report_media("m", "s", 3)


def test_setting_output_uri_sends_what_comes_then(begin: Begin, tmp_path: Path) -> None:
    task = begin()
    task.upload_artifact("before", [1])
    task.output_uri = str(tmp_path / "out")
    task.upload_artifact("after", [2])
    finish(task)
    sent = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json")]
    assert sent == [f"roads/first.{task.id}/artifacts/after/after.json"]
    assert again(task).artifacts["after"].url == f"{tmp_path}/out/{sent[0]}"


def test_requirements_are_recorded(begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Task, "_requirements", [])
    task = begin()
    (tmp_path / "requirements.txt").write_text("pillow  # pictures\n\nnumpy>=2\n")
    Task.add_requirements("rich", "13")
    task.set_packages(tmp_path / "requirements.txt")
    assert Task._requirements == ["rich==13", "pillow", "numpy>=2"]


def test_parameters_that_a_class_declares_are_checked_and_connected(begin: Begin) -> None:
    class Settings(TaskParameters):
        rounds = param(type=int, desc="how many", range=(0, 10))
        target = percent_param(default=0.5)

    settings = Settings(rounds="3")
    task = begin()
    task.connect(settings, name="mine")
    assert task.get_parameters(cast=True) == {"mine/rounds": 3, "mine/target": 0.5}
    settings.update_from_dict({"target": 1})
    assert settings.to_dict() == {"rounds": 3, "target": 1.0}
    with pytest.raises(InputError, match="rounds is 11; it must be from 0 to 10"):
        settings.rounds = 11
    with pytest.raises(InputError, match="Settings has no parameter 'round'; it has rounds, target"):
        Settings(round=1)


def test_lines_of_a_plot_keep_their_points(begin: Begin) -> None:
    task = begin()
    task.logger.report_line_plot("t", [SeriesInfo("a", np.array([[0, 1.5]]))], "x", "y", iteration=0)
    (file,) = (task._folder / "artifacts" / "line_plot").rglob("*.json")
    assert json.loads(file.read_text())["series"] == [{"name": "a", "data": [[0, 1.5]], "labels": None}]


# Files at addresses.


@pytest.fixture
def site_url(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback, and its folder; ``/moved/…`` leads to ``/…``."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/moved"))
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_a_file_from_the_web_comes_once_and_an_archive_as_its_folder(
    home: Path, site_url: tuple[str, Path]
) -> None:
    import zipfile

    url, folder = site_url
    (folder / "a b.csv").write_text("x")
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("in/a.txt", "a")
    path = Path(StorageManager.get_local_copy(f"{url}/moved/a%20b.csv?key=1"))
    assert (path.name, path.read_text()) == ("a b.csv", "x") and path.is_relative_to(home / "cache")
    (folder / "a b.csv").write_text("new")
    assert Path(StorageManager.get_local_copy(f"{url}/moved/a%20b.csv?key=1")).read_text() == "x"
    refreshed = StorageManager.get_local_copy(f"{url}/moved/a%20b.csv?key=1", force_download=True)
    assert Path(refreshed).read_text() == "new"
    assert Path(StorageManager().get_local_copy(f"{url}/data.zip"), "in", "a.txt").read_text() == "a"
    assert StorageManager.get_local_copy(f"{url}/data.zip", extract_archive=False).endswith("data.zip")


def test_what_is_not_on_the_web_gets_a_sentence_without_the_key(
    home: Path, site_url: tuple[str, Path]
) -> None:
    with pytest.raises(InputError, match=r"/none.csv cannot be fetched: the server answers 404"):
        StorageManager.get_local_copy(f"{site_url[0]}/none.csv?key=1")
    with pytest.raises(RavenError, match=r"^http://127.0.0.1:9/a cannot be fetched: Connection refused.$"):
        StorageManager.get_local_copy("http://127.0.0.1:9/a?key=1")


def test_files_go_to_a_folder_and_come_back(home: Path, tmp_path: Path) -> None:
    far, near = tmp_path / "far", tmp_path / "near"
    (near / "in").mkdir(parents=True)
    (near / "a.json").write_text("1")
    (near / "in" / "b.txt").write_text("2")
    assert StorageManager.upload_file(near / "a.json", f"{far}/x/a.json") == f"{far}/x/a.json"
    StorageManager.upload_folder(near, f"{far}/y", match_wildcard="*.txt")
    assert StorageManager.list(f"{far}/y") == ["in/b.txt"]
    assert StorageManager.exists_file(f"{far}/x/a.json") and not StorageManager.exists_file(f"{far}/x/b")
    assert StorageManager.get_file_size_bytes(f"{far}/x/a.json") == 1
    assert StorageManager.get_local_copy(f"{far}/x/a.json") == f"{far}/x/a.json"
    got = StorageManager.download_folder(str(far), str(tmp_path / "got"), match_wildcard="*.txt")
    assert [path.name for path in Path(got).rglob("*.*")] == ["b.txt"]
    with pytest.raises(InputError, match="can be fetched, but nothing else"):
        StorageManager.upload_file(near / "a.json", "https://example.org/a.json")


# Names that are not there.


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("TaskScheduler", "ravenml.task has no `TaskScheduler`; cron can start `raven run --remote QUEUE"),
        ("OutputModle", "ravenml.task has no `OutputModle`; did you mean `OutputModel`?"),
    ],
)
def test_importing_a_name_that_is_not_there_says_what_is(name: str, sentence: str) -> None:
    with pytest.raises(ImportError, match=sentence):
        getattr(ravenml.task, name)
    with pytest.raises(AttributeError):
        ravenml.task.no_such_module  # noqa: B018


def test_so_do_classes_and_their_objects(begin: Begin) -> None:
    with pytest.raises(
        AttributeError, match="ravenML's Task has no `delete`; `raven runs rm ID` removes a run"
    ):
        Task.delete  # noqa: B018
    with pytest.raises(
        AttributeError, match=r"Logger has no `report_scaler`; did you mean `report_scalar`\?"
    ):
        begin().logger.report_scaler("a", "b", 1, 1)


# The page that lists them.


def names_of(kind: type) -> list[str]:
    """The public names of a class, and of its objects."""
    bases = [base for base in inspect.getmro(kind) if base.__module__.startswith("ravenml.task")]
    fields = {name for base in bases for name in inspect.get_annotations(base)}
    return sorted({*fields, *(name for base in bases for name in vars(base))} - {"", "_"})


def table() -> list[str]:
    """A row for each class: `python tests/track/test_clearml_names.py` prints it for the page."""
    kinds = {name: getattr(ravenml.task, name) for name in sorted(ravenml.task.__all__)}
    functions = [name for name, kind in kinds.items() if not inspect.isclass(kind) or name == "param"]
    kinds = {name: kind for name, kind in kinds.items() if name not in functions}
    rows = {name: [one for one in names_of(kind) if not one.startswith("_")] for name, kind in kinds.items()}
    rows["functions"] = functions
    rows["Task"] = [name for name in rows["Task"] if name not in rows["TaskView"]]
    rows = {name if name == "functions" else f"`{name}`": names for name, names in rows.items()}
    return [f"| {name} | {', '.join(f'`{one}`' for one in names)} |" for name, names in rows.items()]


def test_the_page_lists_all_names() -> None:
    page = Path(__file__).parents[2] / "docs" / "tracking.md"
    section = page.read_text().partition("### All names")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if re.match(r"\| (`|functions)", line)] == table()


if __name__ == "__main__":
    print("\n".join(table()))


def test_lists_are_spelled_as_clearml_spells_them() -> None:
    from ravenml.task.recorded import list_parameters

    values = {"names": ["a", "b"], "map": {"a": 1}, "classes": ["a", None], "net": {"widths": [1, True]}}
    arguments = {"names": "Args", "map": "Args"}
    assert list_parameters(values, arguments, cast=False) == {
        "Args/names": "['a', 'b']",
        "Args/map": "{'a': 1}",
        "General/classes": '["a", null]',
        "net/widths": "[1, true]",
    }
