"""COCO's files: judged by pycocotools, read in pieces, and with everything that can be wrong in them."""

from __future__ import annotations

import json
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from other_formats import annotation, imported, left_out, picture, run, write_coco

from ravenml.data.demo import write_demo
from ravenml.data.editable_annotation import read_editable
from ravenml.data.formats.json_stream import elements, entries
from ravenml.data.formats.rle import flat_of, pack_runs, runs_of, unpack_runs
from ravenml.data.geometry import Bitmap, Polygon, Rectangle
from ravenml.data.masks import draw
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project

coco_mask = pytest.importorskip("pycocotools.mask")


def opened(path: Path) -> Any:
    from pycocotools.coco import COCO

    with redirect_stdout(StringIO()):
        return COCO(str(path))


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_runs_are_packed_as_pycocotools_packs_them(mask: np.ndarray) -> None:
    flat = mask.T.reshape(-1)
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert pack_runs(runs_of(flat)) == theirs
    assert (flat_of(unpack_runs(theirs), mask.size) == flat).all()


@given(st.lists(st.integers(0, 1 << 40), max_size=20))
def test_runs_of_any_length_come_back(runs: list[int]) -> None:
    assert unpack_runs(pack_runs(runs)) == runs


@given(st.text(max_size=20))
def test_any_text_is_runs_or_an_error(text: str) -> None:
    with suppress(ValueError):
        assert all(isinstance(length, int) for length in unpack_runs(text))


def test_what_is_exported_is_what_pycocotools_reads(tmp_path: Path) -> None:
    project = write_demo(tmp_path / "demo", 6)
    assert run("export", "coco", tmp_path / "demo", tmp_path / "coco").exit_code == 0
    seen = 0
    for split in ("train", "val"):
        found = opened(tmp_path / "coco" / "annotations" / f"instances_{split}.json")
        titles = {one["id"]: one["name"] for one in found.dataset["categories"]}
        assert list(titles.values()) == project.titles
        for image in found.dataset["images"]:
            item = project.item(image["file_name"])
            document = read_editable(item.annotation_path)
            assert (image["height"], image["width"]) == document.size
            assert (tmp_path / "coco" / "images" / image["file_name"]).samefile(item.image_path)
            theirs = found.loadAnns(found.getAnnIds(imgIds=image["id"]))
            for label, one in zip(document.labels, theirs, strict=True):
                assert titles[one["category_id"]] == label.title and one["iscrowd"] == 0
                ours = np.zeros(document.size, np.uint8)
                assert isinstance(label.geometry, Polygon | Bitmap | Rectangle)
                draw(ours, label.geometry, 1)
                rows, columns = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(ours.any(axis=0))
                extent = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert one["bbox"] == extent and one["area"] == ours.sum()
                if not isinstance(label.geometry, Rectangle):
                    shown = found.annToMask(one)
                    both = np.logical_and(shown, ours).sum() / np.logical_or(shown, ours).sum()
                    assert both == 1 if isinstance(one["segmentation"], dict) else both > 0.8
                seen += 1
    assert seen == sum(len(read_editable(item.annotation_path).labels) for item in project.items)


def test_an_export_scored_against_itself_is_perfect(tmp_path: Path) -> None:
    from pycocotools.cocoeval import COCOeval

    write_demo(tmp_path / "demo", 4)
    run("export", "coco", tmp_path / "demo", tmp_path / "coco")
    for kind in ("bbox", "segm"):
        truth = opened(tmp_path / "coco" / "annotations" / "instances_train.json")
        found = [
            {**one, "score": 0.9}
            for one in truth.dataset["annotations"]
            if one["segmentation"] or kind == "bbox"
        ]
        if kind == "segm":
            truth.dataset["annotations"] = [dict(one) for one in found]
            truth.createIndex()
        with redirect_stdout(StringIO()):
            judge = COCOeval(truth, truth.loadRes([dict(one) for one in found]), kind)
            judge.evaluate()
            judge.accumulate()
            judge.summarize()
        assert judge.stats[0] == pytest.approx(1.0)


def test_masks_polygons_crowds_and_boxes_are_read(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[5:9, 3:17] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    counts = runs_of(mask.T.reshape(-1) > 0)
    square, other = [10.5, 10.5, 20.2, 10.5, 20.2, 30.9], [40, 10, 50, 10, 50, 20]
    said = [
        annotation(1, segmentation={"size": [60, 80], "counts": packed["counts"].decode()}),
        annotation(2, segmentation={"size": [60, 80], "counts": counts}, iscrowd=1),
        annotation(3, segmentation=[square]),
        annotation(4, segmentation=[square, other]),
        annotation(5, segmentation=[], attributes={"old": True, "new": False, "colour": "red"}),
        annotation(6, bbox=[10.4, 19.6, 30.2, 5.1]),
    ]
    (document,) = imported("coco", write_coco(tmp_path / "src", said))
    one, crowd, polygon, parts, box, rough = (label.geometry for label in document.labels)
    for bitmap in (one, crowd):
        assert isinstance(bitmap, Bitmap) and bitmap.origin == (3, 5) and bitmap.mask.shape == (4, 14)
    assert isinstance(polygon, Polygon) and polygon.exterior.tolist() == [[10, 10], [20, 10], [20, 30]]
    assert isinstance(parts, Bitmap) and parts.origin == (10, 10)
    assert box == Rectangle(10, 20, 39, 24) and rough == Rectangle(10, 20, 40, 24)
    assert [tag["name"] for tag in document.labels[1].tags] == ["crowd"]
    assert document.labels[4].tags == [{"name": "old"}, {"name": "colour", "value": "red"}]
    assert document.tags == ({"name": "train"},)


def test_everything_that_is_wrong_is_named(tmp_path: Path) -> None:
    wrong = {
        "annotations[1].image_id: 99 is not an image": annotation(2, image_id=99),
        "annotations[2].category_id: 8 is not a category": annotation(3, category_id=8),
        "annotations[3].bbox: the box has no area": annotation(5, bbox=[1, 1, 0, 4]),
        "annotations[4].bbox: is missing": annotation(6, bbox=None),
        "has no polygon of at least three points": annotation(7, segmentation=[[1, 1, 5, 5]], bbox=[1, 1]),
        "segmentation.counts: covers 5 pixels of 4800": annotation(
            8, segmentation={"size": [60, 80], "counts": [2, 3]}
        ),
        "segmentation.size: is 8×6": annotation(9, segmentation={"size": [6, 8], "counts": "abc"}),
        "lies outside of the image": annotation(10, bbox=[500, 500, 4, 4]),
        "annotations[9]: is not an object": 12,
        "annotations[10].image_id: is missing": {"id": 12, "category_id": 7},
    }
    source = write_coco(tmp_path / "src", [annotation(1), *wrong.values()])
    done = run("import", "coco", source, tmp_path / "d")
    assert done.exit_code == 1 and "with 1 object of" in done.stdout
    assert len(left_out(done)) == len(wrong), done.stderr
    for said in wrong:
        assert said in done.stderr
    assert run("import", "coco", source, tmp_path / "e", "--strict").exit_code == 2


def test_broken_lists_of_images_and_categories_are_named(tmp_path: Path) -> None:
    size = {"height": 60, "width": 80}
    images = [
        {"id": 1, "file_name": "a.png", **size},
        {"id": 1, "file_name": "b.png", **size},
        {"id": 2, "file_name": "../../../etc/passwd", **size},
        {"id": 3, "file_name": "gone.png", **size},
        {"id": 4, "file_name": "c.png", "height": 8, "width": 8},
        {"file_name": "d.png"},
        7,
        {"id": "fünf", "file_name": "ü.png", **size},
    ]
    categories = [{"id": 7, "name": "car"}, {"id": 9, "name": "bus"}, {"id": 9, "name": "van"}, {"id": 8}, 3]
    objects = [annotation(image_id="fünf"), annotation(2), annotation(3, image_id="fünf", category_id=9)]
    source = write_coco(tmp_path / "src", objects, images=images, categories=categories)
    for name in "bcü":
        picture(source / "images" / f"{name}.png")
    done = run("import", "coco", source, tmp_path / "d")
    assert [item.name for item in Project.open(tmp_path / "d").items] == ["ü.png"]
    assert "with 1 object of 1 class" in done.stdout
    for said in (
        "images[0].id: is that of images[1] too, so that the objects of neither are known",
        "images[1].id: is that of images[0] too",
        "annotations[1].image_id: is that of more than one image",
        "images[6]: is not an object",
        "images[2].file_name: the image ../../../etc/passwd is not below",
        "Also: images[3].file_name: the image gone.png is not below",
        "is 8×8, but it is 80×60",
        "images[5].id: is missing",
        'categories[2].id: 9 is that of "bus" too',
        'annotations[2].category_id: 9 is the id of "bus" and of "van"',
        "categories[3]: has no id and name",
        "categories[4]",
    ):
        assert said in done.stderr, said


def test_annotations_may_come_before_their_images(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation(), annotation(2, image_id="b")])
    picture(source / "images" / "b.png")
    path = source / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["images"].append({"id": "b", "file_name": "b.png", "height": 60, "width": 80})
    path.write_text(json.dumps(dict(sorted(data.items()))))
    assert [len(document.labels) for document in imported("coco", source)] == [1, 1]


def test_what_is_no_coco_file_is_said(tmp_path: Path) -> None:
    for number, text in enumerate(('{"images": [', "[1]", '{"images": []}', '{"images": [1 2]}', "", "{}")):
        (tmp_path / f"{number}.json").write_text(text)
        done = run("import", "coco", tmp_path / f"{number}.json", tmp_path / "d")
        assert done.exit_code == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "d").exists()


def test_a_file_for_each_split_and_an_image_folder_elsewhere(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    folder = source / "annotations"
    (folder / "instances_val2017.json").write_text((folder / "instances_train.json").read_text())
    (folder / "captions_val2017.json").write_text((folder / "instances_train.json").read_text())
    for name in ("train", "val2017"):
        picture(tmp_path / "pictures" / name / "a.png")
    done = run("import", "coco", source, tmp_path / "d", "--images", tmp_path / "pictures")
    assert "captions_val2017.json are left alone" in done.stderr
    items = Project.open(tmp_path / "d").items
    assert [item.key for item in items] == ["train/a.png", "val2017/a.png"]
    said = [read_editable(item.annotation_path).tags for item in items]
    assert said == [({"name": "train"},), ({"name": "val"},)]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


files = st.dictionaries(st.text(max_size=6), st.lists(values, max_size=4) | values, max_size=4)


@given(data=files, chunk=st.integers(1, 40))
def test_a_file_is_read_in_pieces_of_any_size(tmp_path_factory: Any, data: Any, chunk: int) -> None:
    path = tmp_path_factory.mktemp("pieces") / "a.json"
    for content in (json.dumps(data).encode(), b"\xef\xbb\xbf" + json.dumps(data, indent=1).encode()):
        path.write_bytes(content)
        found: dict[str, Any] = {}
        for entry in entries(path, chunk):
            key = orjson.loads(json.dumps(entry.key))
            if entry.number < 0:
                found[key] = entry.value
            else:
                value = json.loads(content[entry.start : entry.end])
                assert len(found[key]) == entry.number
                found[key] = [*found[key], value]
        assert found == data


def test_a_broken_file_says_where() -> None:
    path = Path("/dev/null")
    with pytest.raises(DataProblem, match="ends too early"):
        list(entries(path))


def test_what_is_written_in_pieces_is_json() -> None:
    assert json.loads(b"[" + b"".join(elements([1, {"a": "ü"}])) + b"]") == [1, {"a": "ü"}]


@pytest.mark.parametrize("value", ["[" * 200_000, "1" * 5000])
def test_what_is_absurd_is_told_and_no_traceback(tmp_path: Path, value: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"images": [{{"id": {value}')
    with pytest.raises(DataProblem, match="not valid JSON"):
        list(entries(path))


def test_a_large_file_says_that_it_is_read_through_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    assert "read through" not in run("import", "coco", source, tmp_path / "one").stderr
    monkeypatch.setattr("ravenml.data.formats.base._LARGE", 1)
    said = run("import", "coco", source, tmp_path / "two").stderr
    assert "instances_train.json (0 MiB) is read through before its images come" in said
