"""A network that was written with the SDK: in several processes, behind the older REST server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravenml.sly as sly
from ravenml.sly import image as images
from ravenml.sly.inference import segmentation_scores_to_per_class_labels
from ravenml.sly.rest import InactiveRPCServicer, ModelRest, RestInferenceServer

LIGHT = sly.ObjClass("light", sly.Bitmap, [255, 255, 0])


class Threshold(sly.SingleImageInferenceBase):
    """Finds what is light."""

    def inference(self, image: np.ndarray, ann: sly.Annotation) -> sly.Annotation:
        light = image.mean(axis=2) > self._config.get("threshold", 127)
        labels = [sly.Label(sly.Bitmap(light), LIGHT)] if light.any() else []
        return sly.Annotation(image.shape[:2], labels)


class Failing(Threshold):
    """Cannot do it."""

    def inference(self, image: np.ndarray, ann: sly.Annotation) -> sly.Annotation:
        raise ValueError("no such image")


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task's folder with a project of five images and a model."""
    project = sly.Project(str(tmp_path / "data" / "lights"), sly.OpenMode.CREATE)
    project.set_meta(sly.ProjectMeta([sly.ObjClass("box", sly.Rectangle)]))
    for name in ("day", "night"):
        dataset = project.create_dataset(name)
        for number in range(2 + (name == "day")):
            image = np.zeros((20, 30, 3), np.uint8)
            image[:, : 5 + number] = 200
            dataset.add_item_np(f"{number}.png", image)
    (tmp_path / "model").mkdir()
    model = {"settings": {}, "classes": [LIGHT.to_json()], "class_title_to_idx": {"light": 0}}
    (tmp_path / "model" / "config.json").write_text(json.dumps(model))
    (tmp_path / "task_config.json").write_text(json.dumps({"model": {"threshold": 100}}))
    for name, value in vars(sly.TaskPaths).items():
        if isinstance(value, str) and value.startswith(sly.TaskPaths.TASK_DIR) and name != "TASK_DIR":
            place = str(tmp_path / value.removeprefix(sly.TaskPaths.TASK_DIR).lstrip("/"))
            monkeypatch.setattr(sly.TaskPaths, name, place)
    return tmp_path


def test_several_processes_annotate_a_project_like_one(task: Path, capfd: pytest.CaptureFixture[str]) -> None:
    default = sly.InfModeFullImage.make_default_config(model_result_suffix="_found")
    results = []
    for applier in (
        sly.BatchInferenceMultiprocessApplier(Threshold, 2, default),
        sly.BatchInferenceApplier(Threshold(), default),
    ):
        applier.run_inference()
        made = sly.Project(str(task / "results" / "lights"), sly.OpenMode.READ)
        assert made.meta.obj_classes.keys() == ["box", "light_found"]
        anns = {
            (dataset.name, name): dataset.get_ann(name, made.meta).to_json()
            for dataset in made
            for name in dataset
        }
        assert len(anns) == 5
        results.append(anns)
    assert results[0] == results[1]
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [one["message"] for one in said].count("model applied") == 2
    assert {"current": 5, "total": 5}.items() <= said[-2].items()


def test_an_error_in_one_of_the_processes_is_raised(task: Path) -> None:
    default = sly.InfModeFullImage.make_default_config()
    with pytest.raises(ValueError, match="no such image"):
        sly.BatchInferenceMultiprocessApplier(Failing, 2, default).run_inference()


def test_an_older_rest_client_gets_annotations(task: Path) -> None:
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    model = ModelRest(model_applier_cls=Threshold, rpc_servicer_cls=InactiveRPCServicer)
    client = TestClient(RestInferenceServer(model.serv_instance, "name", port="").make_app())
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :7] = 200
    file = images.write_bytes(image, ".png")

    found = client.post("/model/inference", files={"image": file}).json()
    assert [one["classTitle"] for one in found["objects"]] == ["light_model"]
    mode: dict[str, Any] = {"name": "roi", "bounds": {"left": "5px"}, "model_classes": {"add_suffix": ""}}
    found = client.post("/model/inference", files={"image": file, "mode": json.dumps(mode)}).json()
    (label,) = sly.Annotation.from_json(found, sly.ProjectMeta([LIGHT])).labels
    assert label.geometry.to_bbox() == sly.Rectangle(0, 5, 19, 6)
    meta = client.post("/model/get_out_meta", data={"meta": '{"classes": [{"title": "box"}]}'}).json()
    assert [one["title"] for one in meta["classes"]] == ["box", "light_model"]
    for parts, said in (
        ({"nothing": b"x"}, "no part `image`"),
        ({"image": file, "mode": b"{"}, "`mode` of the form is not JSON"),
        ({"image": b"text"}, "is not a"),
        ({"image": file, "mode": b'{"name": "sideways"}'}, "sideways"),
    ):
        answer = client.post("/model/inference", files=parts)
        assert answer.status_code == 400 and said in answer.json()["error"]
    with pytest.raises(RuntimeError, match="RestInferenceServer"):
        model.run()


class Scores(Threshold):
    """Says for each pixel how light it is, and tags what it sees."""

    def _model_out_tags(self) -> Any:
        return sly.TagMetaCollection([sly.TagMeta("seen")])

    def inference(self, image: np.ndarray, ann: sly.Annotation) -> sly.Annotation:
        found = super().inference(image, ann)
        scores = segmentation_scores_to_per_class_labels({0: LIGHT}, image[:, :, :1] / np.float32(255))
        seen = self.model_out_meta.tag_metas.get("seen")
        assert seen is not None
        return found.add_pixelwise_score_labels(scores).add_tag(sly.Tag(seen))


@pytest.mark.parametrize(
    "mode",
    [
        {"name": "full_image"},
        {"name": "roi", "bounds": {"left": "0px"}},
        {"name": "sliding_window", "window": {"width": 12, "height": 12}, "min_overlap": {"x": 4, "y": 4}},
    ],
)
@pytest.mark.parametrize("save", [False, True])
def test_probabilities_are_kept_in_the_annotation_where_they_are_asked_for(
    task: Path, mode: dict[str, Any], save: bool
) -> None:
    config = {"model": {}, "mode": {**mode, "save_probabilities": save}}
    (task / "task_config.json").write_text(json.dumps(config))
    sly.BatchInferenceApplier(Scores(), sly.InfModeFullImage.make_default_config()).run_inference()
    made = sly.Project(str(task / "results" / "lights"), sly.OpenMode.READ)
    (day, _) = made
    labels = day.get_ann("1.png", made.meta).pixelwise_scores_labels
    assert len(labels) == save
    if save:
        image = images.read(day.get_img_path("1.png"))
        scores = labels[0].geometry.data[:, :, 0]  # type: ignore[attr-defined]
        assert np.allclose(scores, image[:, :, 0] / 255, atol=1e-3) and labels[0].obj_class.name == "light"


def test_windows_that_are_kept_have_the_tags_that_the_network_gave_them(task: Path) -> None:
    window = {"width": 15, "height": 20}
    for name in ("sliding_window", "sliding_window_det"):
        mode = {"name": name, "window": window, "save": True, "model_tags": {"add_suffix": "_x"}}
        (task / "task_config.json").write_text(json.dumps({"model": {}, "mode": mode}))
        sly.BatchInferenceApplier(Scores(), {}).run_inference()
        made = sly.Project(str(task / "results" / "lights"), sly.OpenMode.READ)
        ann = next(iter(made)).get_ann("1.png", made.meta)
        windows = [label for label in ann.labels if label.obj_class.name == "sliding_window"]
        assert [label.geometry.to_bbox().left for label in windows] == [0, 15]
        assert [label.tags.keys() for label in windows] == [["seen_x"], ["seen_x"]]
