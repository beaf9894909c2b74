"""Export and import again: the same project, where the format can hold it; else what changed is counted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from other_formats import run
from projects import encoded

from ravenml.data.bitmap import trim
from ravenml.data.demo import write_demo
from ravenml.data.editable_annotation import EditableAnnotation, Label, read_editable
from ravenml.data.formats.base import EVERYTHING, SHAPES
from ravenml.data.formats.geometry_parsing import area
from ravenml.data.formats.registry import load_format
from ravenml.data.geometry import AnyGeometry, Bitmap, Line, Point, Polygon, Rectangle
from ravenml.data.inspection import inspect_project
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.data.project import Project
from ravenml.data.writing import ProjectWriter, meta_json

FORMATS = ["coco", "cvat", "labelme", "masks", "via", "voc", "yolo"]
OBJECTS = [name for name in FORMATS if name != "masks"]  # in masks, objects are joined
HEIGHT, WIDTH = 24, 31
TITLES = ["car", "tree & bush", "größe, 5"]
IMAGES = ["a.png", "b c.png", "d.jpg", "ü.png", "no.objects.png"]
DATASETS = ["scenes", "outer/inner dir"]

place = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1))
ring = (
    st.lists(place, min_size=3, max_size=7)
    .map(lambda corners: np.array(corners, np.int32))
    .filter(lambda corners: area(corners) > 0)
)


def holed(exterior: np.ndarray) -> Polygon:
    return Polygon(exterior, (exterior[:3].copy(),))


def rectangle(one: tuple[int, int], two: tuple[int, int]) -> Rectangle:
    (left, right), (top, bottom) = sorted((one[0], two[0])), sorted((one[1], two[1]))
    return Rectangle(left, top, right, bottom)


@st.composite
def bitmaps(draw: Any) -> Bitmap:
    x, y = draw(place)
    sides = st.tuples(st.integers(1, HEIGHT - y), st.integers(1, WIDTH - x))
    (dx, dy), mask = trim(draw(hnp.arrays(bool, sides).filter(np.any)))
    return Bitmap((x + dx, y + dy), mask)


KINDS: dict[str, st.SearchStrategy[AnyGeometry]] = {
    "polygon": ring.map(Polygon),
    "holes": ring.map(holed),
    "rectangle": st.builds(rectangle, place, place),
    "bitmap": bitmaps(),
    "line": st.lists(place, min_size=2, max_size=5).map(lambda points: Line(np.array(points, np.int32))),
    "point": place.map(lambda at: Point(*at)),
}


@st.composite
def tags(draw: Any, values: bool, names: list[str]) -> list[dict[str, Any]]:
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
    words = st.sampled_from(["x", "two words", "ü", "7"])
    # A tag has a value or has none, wherever it stands.
    return [
        {"name": n, "value": draw(words)} if values and n.startswith("v") else {"name": n} for n in chosen
    ]


@st.composite
def documents(draw: Any, holds: frozenset[str]) -> EditableAnnotation:
    values = "tag values" in holds
    shapes = st.one_of(*(KINDS[kind] for kind in sorted(holds & SHAPES)))
    own = tags(values, ["old", "v1", "v 2"]) if "object tags" in holds else st.just([])
    of_image = tags(values, ["night", "vweather"]) if "image tags" in holds else st.just([])
    labels = draw(st.lists(st.builds(Label.make, st.sampled_from(TITLES), shapes, own), max_size=4))
    sets = st.sampled_from(["train", "val", "test"])
    split = [{"name": draw(sets)}] if "splits" in holds else []
    return EditableAnnotation((HEIGHT, WIDTH), tuple(labels), (*split, *draw(of_image)))


@st.composite
def projects(draw: Any, holds: frozenset[str]) -> dict[tuple[str, str], EditableAnnotation]:
    # A name without its ending is unique, as many formats name their files by it.
    keys = st.tuples(st.sampled_from(DATASETS), st.sampled_from(IMAGES))
    return draw(st.dictionaries(keys, documents(holds), min_size=1, max_size=4))


def write(root: Path, items: dict[tuple[str, str], EditableAnnotation]) -> Project:
    writer = ProjectWriter(root)
    shade = np.random.default_rng(0)
    for (dataset, name), document in items.items():
        image = root / "made" / name
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(encoded(shade.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8), image.suffix))
        writer.add(dataset, name, image, document)
    colors = ["#FF0000", "#00FF7F", "#123456"]
    classes = [ObjClass(title, "any", color) for title, color in zip(TITLES, colors, strict=True)]
    names = ["train", "val", "test", "old", "night"]
    valued = [TagMeta(name, "any_string") for name in ("v1", "v 2", "vweather")]
    writer.write_meta(meta_json(classes, [*map(TagMeta, names), *valued]))
    return Project.open(root)


def what_is_said(project: Project) -> dict[str, Any]:
    """Everything about the items that must come back."""
    said = {}
    for item in project.items:
        document = read_editable(item.annotation_path)
        objects = [
            (
                label.title,
                label.kind,
                label.entry.get("points"),
                label.entry.get("bitmap"),
                by_name(label.tags),
            )
            for label in document.labels
        ]
        said[item.key] = (item.image_path.read_bytes(), document.size, by_name(document.tags), objects)
    return said


def by_name(tags: Any) -> dict[str, Any]:
    return {tag["name"]: tag.get("value") for tag in tags}


@pytest.mark.parametrize("format_name", OBJECTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_what_the_format_holds_comes_back(format_name: str, data: Any) -> None:
    holds = load_format(format_name).holds
    assert holds <= EVERYTHING
    with TemporaryDirectory() as folder:
        root = Path(folder)
        project = write(root / "project", data.draw(projects(holds)))
        done = run("export", format_name, root / "project", root / "other")
        assert done.exit_code == 0 and "Left out" not in done.stderr, done.output
        lost = [line for line in done.stderr.splitlines() if "cannot hold" in line]
        assert all("classes" in line for line in lost), lost
        done = run("import", root / "other", root / "again")
        assert done.exit_code == 0 and "Left out" not in done.stderr, done.output
        assert f"is read as {format_name}" in done.stderr
        again = Project.open(root / "again")
        assert what_is_said(again) == what_is_said(project)
        if "unused classes" in holds:
            assert again.titles == project.titles
        if "colours" in holds:
            assert [one.color for one in again.classes] == [one.color for one in project.classes]


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_it_cannot_hold_is_counted_and_named(tmp_path: Path, format_name: str) -> None:
    shapes = [
        Polygon(np.array([[2, 2], [20, 2], [20, 20], [2, 20]], np.int32)),
        Polygon(
            np.array([[2, 2], [20, 2], [20, 20], [2, 20]], np.int32),
            (np.array([[5, 5], [9, 5], [9, 9]], np.int32),),
        ),
        Bitmap((3, 3), np.ones((4, 5), bool)),
        Rectangle(1, 1, 9, 9),
        Line(np.array([[1, 1], [8, 8]], np.int32)),
        Point(4, 4),
    ]
    given = [{"name": "old"}, {"name": "v1", "value": "x"}]
    labels = tuple(Label.make("car", shape, given) for shape in shapes)
    write(
        tmp_path / "p",
        {("scenes", "a.png"): EditableAnnotation((HEIGHT, WIDTH), labels, ({"name": "night"},))},
    )
    done = run("export", format_name, tmp_path / "p", tmp_path / "o")
    assert done.exit_code == 0, done.output
    holds = load_format(format_name).holds
    words = {
        "polygon": ("polygons",),
        "holes": ("holes", "polygons", "polygons with holes"),
        "bitmap": ("bitmaps",),
        "rectangle": ("rectangles",),
        "line": ("lines",),
        "point": ("points",),
        "image tags": ("image tags",),
        "object tags": ("object tags",),
        "tag values": ("tag values", "object tags"),
        "colours": ("the colours of classes",),
        "unused classes": ("classes without objects",),
    }
    for what, said in words.items():
        if what not in holds:
            assert any(f"cannot hold {word}" in done.stderr or word in done.stderr for word in said), (
                what,
                done,
            )
    assert run("import", format_name, tmp_path / "o", tmp_path / "again").exit_code == 0
    assert not inspect_project(tmp_path / "again").problems


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_demo_project_keeps_its_images_splits_and_classes(tmp_path: Path, format_name: str) -> None:
    write_demo(tmp_path / "demo", 6)
    assert run("export", format_name, tmp_path / "demo", tmp_path / "o", "--copy").exit_code == 0
    assert not [path for path in (tmp_path / "o").rglob("*") if path.is_symlink()]
    assert run("import", format_name, tmp_path / "o", tmp_path / "again").exit_code == 0
    before, after = inspect_project(tmp_path / "demo"), inspect_project(tmp_path / "again")
    assert after.datasets == before.datasets and not after.problems
    assert set(after.classes) == set(before.classes)
    if "bitmap" in load_format(format_name).holds:  # where polygons' holes and bitmaps keep their pixels
        for title, count in before.classes.items():
            assert after.classes[title].pixel_share == pytest.approx(count.pixel_share, abs=1e-6)
    if {"splits", "image tags"} & load_format(format_name).holds:
        assert {t: after.image_tags[t] for t in ("train", "val")} == dict(before.image_tags)
