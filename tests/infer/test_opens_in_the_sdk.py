"""What ravenML writes is opened by the package `supervisely`, and the reverse, pixel for pixel.

The package lives in an environment of its own: `RAVENML_TEST_SDK` names its Python; without it, one is made.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from as_user import Raven
from predicting import pack, write_predicting_plugins

from ravenml.data.demo import write_demo
from ravenml.data.editable_annotation import EditableAnnotation, Label, read_editable
from ravenml.data.geometry import Bitmap, Line, Point, Polygon, Rectangle
from ravenml.data.masks import draw_mask
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.data.project import Project
from ravenml.data.writing import ProjectWriter, meta_json

pytestmark = pytest.mark.slow  # the package is large

# Opens a project, draws every class of every image by itself, and writes a copy of the project.
DRAWS = """
import os, sys, numpy as np, supervisely as sly
project = sly.Project(sys.argv[1], sly.OpenMode.READ)
copy = sly.Project(sys.argv[3], sly.OpenMode.CREATE)
copy.set_meta(project.meta)
masks = {}
for dataset in project.datasets:
    place = os.path.relpath(dataset.directory, project.directory)
    into = copy.create_dataset(dataset.short_name, ds_path=place)
    for name in dataset:
        ann = sly.Annotation.load_json_file(dataset.get_ann_path(name), project.meta)
        into.add_item_file(name, dataset.get_img_path(name), ann=ann)
        for one in project.meta.obj_classes:
            mask = np.zeros(ann.img_size, np.uint8)
            for label in ann.labels:
                area = not isinstance(label.geometry, (sly.Point, sly.Polyline))
                if label.obj_class.name == one.name and area:
                    label.geometry.draw(mask, 1)
            masks[f"{dataset.name}|{name}|{one.name}"] = mask
        kinds = [type(label.geometry).__name__ for label in ann.labels]
        tags = [[tag.name, tag.value] for label in ann.labels for tag in label.tags]
        masks[f"{dataset.name}|{name}"] = np.array([repr(kinds), repr(tags)])
np.savez(sys.argv[2], **masks)
"""


def drawn_by(their_python: str, project: Path, folder: Path) -> tuple[dict[str, np.ndarray], Path]:
    """What the SDK draws, by dataset, image and class; and the copy that it wrote."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        [their_python, "-c", DRAWS, project, folder / "masks.npz", folder / "copy"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with np.load(folder / "masks.npz") as masks:
        return dict(masks), folder / "copy"


def same_pixels(project: Path, masks: dict[str, np.ndarray]) -> int:
    """Compare every class of every image, each drawn by itself; how many masks had pixels."""
    opened, filled = Project.open(project), 0
    for item in opened.items:
        annotation = opened.annotation(item)
        for title in opened.titles:
            ours = np.zeros(annotation.size, np.uint8)
            alone = [one for one in annotation.objects if one.class_title == title]
            annotation_of_one = type(annotation)(annotation.size, annotation.tags, alone)
            ours = draw_mask(annotation_of_one, [title])
            theirs = masks[f"{item.dataset}|{item.name}|{title}"]
            assert (ours == theirs).all(), (item.key, title)
            filled += bool(ours.any())
    return filled


@pytest.fixture
def every_shape(tmp_path: Path) -> Path:
    """A project of ours with every shape, tags with values, and a dataset within a dataset."""
    random = np.random.default_rng(0)
    writer = ProjectWriter(tmp_path / "every_shape")
    kinds = ("bitmap", "polygon", "rectangle", "line", "point")
    classes = [ObjClass(kind, kind, "#123456") for kind in kinds] + [ObjClass("any", "any", "#654321")]
    writer.write_meta(meta_json(classes, [TagMeta("sure", "any_number"), TagMeta("dusk")]))
    for dataset in ("north", "north/east"):
        for number in range(3):
            ring = random.integers(0, 60, (6, 2)).astype(np.int32)
            hole = random.integers(10, 50, (4, 2)).astype(np.int32)
            shapes = [
                Bitmap((3, 7), random.random((20, 31)) > 0.5),
                Polygon(ring, (hole,)),
                Rectangle(5, 6, 40, 41),
                Line(ring),
                Point(9, 9),
            ]
            labels = [
                Label.make(kind, one, [{"name": "sure", "value": 0.25}])
                for kind, one in zip(kinds, shapes, strict=True)
            ]
            labels.append(Label.make("any", shapes[number]))
            image = random.integers(0, 256, (64, 64, 3), np.uint8)
            document = EditableAnnotation((64, 64), tuple(labels), ({"name": "dusk", "value": None},))
            writer.add(dataset, f"{number}.png", image, document)
    return tmp_path / "every_shape"


def test_every_shape_that_we_write_is_drawn_alike_and_comes_back(
    their_python: str, every_shape: Path, tmp_path: Path
) -> None:
    masks, copy = drawn_by(their_python, every_shape, tmp_path / "theirs")
    assert same_pixels(every_shape, masks) >= 20
    assert "Point" in str(masks["north|0.png"][0]) and "['sure', 0.25]" in str(masks["north|0.png"][1])
    assert same_pixels(copy, masks) >= 20
    ours = read_editable(Project.open(every_shape).items[0].annotation_path)
    again = read_editable(Project.open(copy).items[0].annotation_path)
    assert [label.kind for label in again.labels] == [label.kind for label in ours.labels]
    lines = [label.geometry for label in (ours.labels[3], again.labels[3])]
    assert all(isinstance(line, Line) for line in lines)
    assert np.array_equal(*[line.points for line in lines if isinstance(line, Line)])
    assert again.labels[4].geometry == ours.labels[4].geometry


def test_what_infer_writes_is_opened_with_the_results_in_it(
    their_python: str, raven: Raven, site: Path, tmp_path: Path
) -> None:
    write_predicting_plugins(site)
    write_demo(tmp_path / "demo", images=4)
    out = tmp_path / "out"
    raven.ok(
        "infer", pack(tmp_path / "model.tar"), "--data", tmp_path / "demo", "--out", out, "--save", "masks"
    )
    masks, _ = drawn_by(their_python, out, tmp_path / "theirs")
    assert same_pixels(out, masks) > 8
    assert any(key.endswith("|red_tints") and mask.any() for key, mask in masks.items())
    spots = pack(tmp_path / "spots.tar", "spots")
    raven.ok("infer", spots, "--data", tmp_path / "demo", "--out", tmp_path / "boxes", "--window", "64")
    found, _ = drawn_by(their_python, tmp_path / "boxes", tmp_path / "theirs_too")
    assert same_pixels(tmp_path / "boxes", found) > 8 and "confidence" in json.dumps(
        [str(v) for v in found.values()]
    )
