"""The SDK by itself: shapes, annotations, classes' indices, what is printed, and the alias's modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from projects import write_project

import ravenml.sly as sly
from ravenml.data.masks import draw_mask
from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml.runs.output_parser import OutputParser
from ravenml.sly.class_indexing import CONTINUE_TRAINING, TRANSFER_LEARNING, create_segmentation_classes
from ravenml.sly.geometry import Geometry
from ravenml.sly.inference import DetectionNetworkPrediction, detection_preds_to_sly_rects
from ravenml.sly.trainer import EvalPlanner

SIZE = (24, 30)
places = st.builds(sly.Point, st.integers(0, SIZE[0] - 1), st.integers(0, SIZE[1] - 1))
rectangles = st.builds(
    lambda a, b: sly.Rectangle(min(a.row, b.row), min(a.col, b.col), max(a.row, b.row), max(a.col, b.col)),
    places,
    places,
)
polygons = st.builds(sly.Polygon, st.lists(places, min_size=3, max_size=6))
masks = hnp.arrays(bool, (9, 7)).filter(lambda mask: bool(mask.any()))
bitmaps = st.builds(sly.Bitmap, st.builds(sly.Point, st.integers(0, 15), st.integers(0, 20)), masks)
shapes = st.one_of(rectangles, polygons, bitmaps)


def painted(*geometries: Geometry, size: tuple[int, int] = SIZE) -> np.ndarray:
    """What shapes set in an image."""
    canvas = np.zeros(size, np.uint8)
    for geometry in geometries:
        geometry.draw(canvas, 1)
    return canvas


@given(shapes)
def test_a_shape_survives_json(geometry: Geometry) -> None:
    again = type(geometry).from_json(json.loads(json.dumps(geometry.to_json())))
    assert again == geometry and np.array_equal(painted(again), painted(geometry))


@given(shapes, rectangles)
def test_cropping_keeps_exactly_the_pixels_inside(geometry: Geometry, window: sly.Rectangle) -> None:
    inside = painted(geometry) * painted(window)
    assert np.array_equal(painted(*geometry.crop(window)), inside)
    relative = painted(*geometry.relative_crop(window), size=window.to_size())
    assert np.array_equal(relative, window.get_cropped_numpy_slice(inside))


@given(shapes, st.integers(-5, 5), st.integers(-5, 5))
def test_moving_moves_the_pixels(geometry: Geometry, down: int, right: int) -> None:
    wide = painted(geometry.translate(10, 10), size=(50, 50))
    moved = painted(geometry.translate(10 + down, 10 + right), size=(50, 50))
    assert np.array_equal(np.roll(wide, (down, right), (0, 1)), moved)
    assert geometry.area == wide.sum()


@given(st.one_of(rectangles, bitmaps), st.integers(1, 3))
def test_scaling_up_makes_each_pixel_larger(geometry: Geometry, factor: int) -> None:
    larger = (SIZE[0] * factor, SIZE[1] * factor)
    scaled = painted(geometry.resize(SIZE, larger), size=larger)
    assert np.array_equal(scaled, np.kron(painted(geometry), np.ones((factor, factor), np.uint8)))


@given(shapes)
def test_mirroring_twice_gives_the_same(geometry: Geometry) -> None:
    assert np.array_equal(painted(geometry.fliplr(SIZE)), painted(geometry)[:, ::-1]) or isinstance(
        geometry, sly.Polygon
    )
    assert geometry.fliplr(SIZE).fliplr(SIZE) == geometry


def test_the_sdk_draws_what_raven_trains_on(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", images=4)
    ours, theirs = Project.open(folder), sly.Project(str(folder), sly.OpenMode.READ)
    titles = ours.titles
    for item in ours.items:
        ann = theirs.datasets.get(item.dataset).get_ann(item.name, theirs.meta)  # type: ignore[union-attr]
        canvas = np.zeros(ann.img_size, np.uint8)
        for label in ann.labels:
            label.draw(canvas, color=titles.index(label.obj_class.name) + 1)
        assert np.array_equal(canvas, draw_mask(ours.annotation(item), titles))


def test_what_we_do_not_know_in_an_annotation_is_kept() -> None:
    meta = sly.ProjectMeta([sly.ObjClass("cuboid", sly.AnyGeometry), sly.ObjClass("box", sly.Rectangle)])
    box = {"exterior": [[1, 2], [5, 6]], "interior": []}
    told: dict[str, Any] = {
        "size": {"height": 10, "width": 12},
        "description": "words",
        "customField": {"a": 1},
        "tags": [],
        "objects": [
            {"id": 7, "classTitle": "cuboid", "geometryType": "cuboid", "tags": [], "faces": [[1, 2]]},
            {"id": 8, "classTitle": "box", "geometryType": "rectangle", "tags": [], "points": box, "x": "y"},
        ],
    }
    ann = sly.Annotation.from_json(told, meta)
    again = ann.to_json()
    assert again["customField"] == {"a": 1} and again["description"] == "words"
    assert again["objects"][0]["faces"] == [[1, 2]] and again["objects"][0]["geometryType"] == "cuboid"
    assert again["objects"][1]["id"] == 8 and again["objects"][1]["x"] == "y"
    assert again["objects"][1]["points"] == box


def test_what_reaches_out_of_the_image_is_cut_off() -> None:
    known = sly.ObjClass("box", sly.Rectangle)
    ann = sly.Annotation((10, 10), [sly.Label(sly.Rectangle(5, 5, 30, 30), known)])
    assert ann.labels[0].geometry.to_bbox().to_size() == (5, 5)
    with pytest.raises(ValueError, match="shape rectangle"):
        sly.Label(sly.Bitmap(data=np.ones((2, 2), bool)), known)


def test_a_tags_value_must_be_of_its_kind() -> None:
    number = sly.TagMeta("sure", sly.TagValueType.ANY_NUMBER)
    assert sly.Tag(number, np.float32(0.5)).to_json() == {"name": "sure", "value": 0.5}
    with pytest.raises(ValueError, match="any_number"):
        sly.Tag(number, "much")
    with pytest.raises(ValueError, match="one of"):
        sly.Tag(sly.TagMeta("day", sly.TagValueType.ONEOF_STRING, ["sun", "rain"]), "snow")


def two_boxes(**fields: Any) -> dict[str, Any]:
    """An annotation with two boxes, the second of which has these fields."""
    points = {"exterior": [[1, 2], [5, 6]], "interior": []}
    box = {"classTitle": "box", "geometryType": "rectangle", "points": points}
    return {"objects": [box, box | fields]}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "The JSON: should be a JSON object, not NoneType (None)."),
        ([], "The JSON: should be a JSON object, not list ([])."),
        ({}, "size: is missing."),
        ({"size": {"height": 10**6, "width": 10**6}}, "size: is larger than any image that is read."),
        ({"objects": {}}, "objects: should be a list, not dict ({})."),
        ({"objects": [3]}, "objects[0]: should be a JSON object, not int (3)."),
        (two_boxes(classTitle=3), "objects[1].classTitle: should be text, not int (3)."),
        (two_boxes(classTitle="bux"), 'objects[1].classTitle: the class "bux" is not in meta.json'),
        (two_boxes(points=None), "objects[1].points: is missing."),
        (
            two_boxes(points={"exterior": [[0, 1e300], [1, 1]]}),
            "objects[1].points.exterior: has a coordinate",
        ),
        (two_boxes(tags=[{"name": 3}]), "objects[1].tags[0].name: should be text, not int (3)."),
        (two_boxes(tags=[{"name": "sure", "value": "x"}]), "objects[1].tags[0].value: The tag 'sure' takes"),
        ({"objects": [{"classTitle": "any"}]}, "objects[0].geometryType: is missing."),
        ({"tags": ["sure"]}, "tags[0]: The tag 'sure' takes any_number, not None."),
    ],
)
def test_an_annotation_that_cannot_be_read_raises_one_class_with_the_place(told: Any, said: str) -> None:
    classes = [sly.ObjClass("box", sly.Rectangle), sly.ObjClass("any", sly.AnyGeometry)]
    meta = sly.ProjectMeta(classes, [sly.TagMeta("sure", sly.TagValueType.ANY_NUMBER)])
    if told:
        told = {"size": {"height": 10, "width": 12}} | told
    for also in (sly.InvalidJson, InputError, ValueError, KeyError):
        with pytest.raises(also) as caught:
            sly.Annotation.from_json(told, meta)
        assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ("x", ""),
        ({"classes": 3}, "classes"),
        ({"classes": [{"shape": "any"}]}, "classes[0].title"),
        ({"classes": [{"title": "a", "shape": []}]}, "classes[0].shape"),
        ({"classes": [{"title": "a", "color": [1, 2, 300]}]}, "classes[0].color"),
        ({"classes": [{"title": "a"}, {"title": "a"}]}, "classes"),
        ({"tags": [{"name": "a", "values": "bc"}]}, "tags[0].values"),
        ({"tags_images": [None]}, "tags_images[0]"),
    ],
)
def test_a_meta_json_that_cannot_be_read_names_the_place_and_the_file(
    told: Any, place: str, tmp_path: Path
) -> None:
    with pytest.raises(sly.InvalidJson) as caught:
        sly.ProjectMeta.from_json(told)
    assert caught.value.field == place
    (tmp_path / "meta.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"meta\.json"):
        sly.Project(str(tmp_path), sly.OpenMode.READ)


# Classes' indices.


def indexed(
    special: dict[str, str], kind: str = TRANSFER_LEARNING, model: str = "none", start: int = 1
) -> Any:
    project = [sly.ObjClass(name, sly.Polygon) for name in ("car", "neutral", "bus")]
    return create_segmentation_classes(project, special, 0, kind, model, "class_title_to_idx", start)


def test_background_is_added_and_neutral_is_not_learned() -> None:
    classes, indices = indexed({"background": "bg", "neutral": "neutral"})
    assert indices == {"bg": 0, "bus": 1, "car": 2}
    assert classes.keys() == ["car", "bus", "bg"]
    assert {one.geometry_type for one in classes} == {sly.Bitmap}
    _, indices = indexed({}, start=0)
    assert indices == {"bus": 0, "car": 1, "neutral": 2}


def test_going_on_takes_the_models_indices_and_demands_its_classes(tmp_path: Path) -> None:
    model = tmp_path / "config.json"
    model.write_text(json.dumps({"class_title_to_idx": {"bus": 5, "car": 9, "neutral": 1}}))
    assert indexed({}, CONTINUE_TRAINING, str(model))[1] == {"bus": 5, "car": 9, "neutral": 1}
    with pytest.raises(RuntimeError, match="same classes"):
        indexed({"neutral": "neutral"}, CONTINUE_TRAINING, str(model))
    with pytest.raises(RuntimeError, match="not there"):
        indexed({}, CONTINUE_TRAINING, str(tmp_path / "nothing.json"))
    with pytest.raises(RuntimeError, match="weights_init_type"):
        indexed({}, "from_scratch")


@pytest.mark.parametrize(
    ("every", "epochs", "count"), [(0.5, 2, 4), (1, 3, 3), (0.1, 1, 10), (0.4, 1, 2), (2, 3, 1), (5, 2, 0)]
)
def test_validations_come_at_their_time(every: float, epochs: int, count: int) -> None:
    planner, done = EvalPlanner(epochs, every), 0
    for step in range(1, epochs * 10 + 1):
        if planner.need_validation(step / 10):
            planner.validation_performed()
            done += 1
    assert done == count == planner.total_val_cnt == planner.performed_val_cnt
    assert not planner.need_validation(epochs)


def test_boxes_above_the_threshold_become_rectangles_with_their_score() -> None:
    said = DetectionNetworkPrediction(
        np.array([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]]), np.array([[0.9, 0.2]]), np.array([[3, 3]])
    )
    score = sly.TagMeta("confidence", sly.TagValueType.ANY_NUMBER)
    (label,) = detection_preds_to_sly_rects(
        {3: sly.ObjClass("car", sly.Rectangle)}, said, (100, 200), 0.5, score
    )
    box = label.geometry.to_bbox()
    assert (box.top, box.left, box.bottom, box.right) == (10, 40, 50, 120)
    assert label.tags.get("confidence").value == 0.9  # type: ignore[union-attr]


# What is printed.

SAYS = """
import numpy as np
import ravenml.sly as sly
progress = sly.Progress("Work", 1000)
for _ in range(1000):
    progress.iter_done_report()
sly.report_metrics_training(0.5, {"loss": np.float32(0.25), "bad": float("nan"), "all": np.arange(2)})
sly.report_checkpoint_saved(
    checkpoint_idx=3, subdir="00000003", sizeb=9, best_now=np.bool_(True), optional_data=None
)
sly.logger.trace("said %s", "quietly", extra={"path": sly.TaskPaths})
sly.report_inference_finished()
def fails():
    raise ValueError("no such thing")
sly.main_wrapper("MINE", fails)
"""


def test_reports_are_events_that_the_agent_reads() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", SAYS], capture_output=True, env={**os.environ})
    parser = OutputParser()
    said = [*parser.feed(done.stdout), *parser.end()]
    found = [item for item in said if isinstance(item, dict)]
    assert done.returncode == 1 and not done.stderr, done.stderr
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for event in found:
        by_kind.setdefault(event["event_type"].removeprefix("EventType."), []).append(event)
    assert 100 <= len(by_kind["PROGRESS"]) <= 110 and by_kind["PROGRESS"][-1]["current"] == 1000
    (metrics,) = by_kind["METRICS"]
    assert metrics["metrics"] == {"loss": 0.25, "bad": "NaN", "all": [0, 1]} and metrics["type"] == "train"
    (checkpoint,) = by_kind["CHECKPOINT"]
    assert (checkpoint["id"], checkpoint["best_now"], checkpoint["optional"]) == (3, True, None)
    assert "MODEL_APPLIED" in by_kind and by_kind["TASK_CRASHED"][0]["exc_str"] == "no such thing"
    texts = [json.loads(item) for item in said if isinstance(item, str)]
    assert "said quietly" in [text["message"] for text in texts]


def test_every_public_name_is_there() -> None:
    assert all(getattr(sly, name) is not None for name in sly.__all__)
    with pytest.raises(AttributeError, match="nobody"):
        sly.nobody  # noqa: B018
