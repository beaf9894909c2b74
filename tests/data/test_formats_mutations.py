"""Whatever is changed in a valid file: an equal result, a problem with a name, or a refusal; never a
traceback, and never an object that is lost without a word.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from other_formats import picture

from ravenml.data.formats.conversion import Imported, import_project
from ravenml.errors import InputError

NAN, INFINITY = float("nan"), float("inf")
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 2.0, 2.5, NAN, INFINITY, -INFINITY, 10**400, 1e308, -(10**20)),
    *("", " ", "x", "1", "7", "07", "-3.0", "NaN", "\ud83d", "a\0", "a.png", "b.jpg", "../a.png", "x" * 300),
    *(
        "https://h/a.png",
        [],
        {},
        [[]],
        [1],
        [1, 2],
        [[1, 2], [3, 4]],
        [NAN],
        {"a": 1},
        [None],
        [{}],
        {"": []},
    ),
]
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gbk"]
BOXES = [[1, 2, 10, 12], [20, 5, 9, 30], [30, 30, 20, 10]]
RING = [5, 5, 30, 5, 5, 25]  # a triangle, which is cut into one piece wherever its corners are


def coco() -> dict[str, Any]:
    images = [
        {"id": n, "file_name": f"{name}.png", "height": 60, "width": 80} for n, name in enumerate("ab", 1)
    ]
    objects = [
        {"id": n, "image_id": n % 2 + 1, "category_id": 7 + n % 2, "bbox": box, "iscrowd": 0, "area": 9}
        for n, box in enumerate(BOXES)
    ]
    objects.append({**objects[0], "id": 9, "segmentation": [RING], "attributes": {"old": True, "depth": 2.5}})
    objects.append({**objects[1], "id": 10, "segmentation": {"size": [60, 80], "counts": [5, 9, 4786]}})
    categories = [{"id": 7, "name": "car", "supercategory": "none"}, {"id": 8, "name": "bus"}]
    return {"info": {"year": 2026}, "images": images, "annotations": objects, "categories": categories}


def labelme() -> dict[str, Any]:
    corners = [RING[:2], RING[2:4], RING[4:]]
    shapes = [
        {"label": "car", "points": corners, "shape_type": "polygon", "group_id": 1, "flags": {"old": True}},
        {"label": "bus", "points": corners[:2], "shape_type": "linestrip", "group_id": None},
        {"label": "bus", "points": [[4, 5], [20, 30]], "shape_type": "rectangle"},
        {"label": "car", "points": [[30, 30], [35, 30]], "shape_type": "circle"},
    ]
    size = {"imageHeight": 60, "imageWidth": 80}
    return {"version": "5", "flags": {}, "shapes": shapes, "imagePath": "a.png", "imageData": None, **size}


def via() -> dict[str, Any]:
    shapes: list[dict[str, Any]] = [
        {"name": "polygon", "all_points_x": RING[::2], "all_points_y": RING[1::2]},
        {"name": "rect", "x": 3, "y": 4, "width": 10, "height": 6},
        {"name": "circle", "cx": 40, "cy": 30, "r": 10},
        {"name": "point", "cx": 7, "cy": 8},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"class": "car"}} for shape in shapes]
    return {
        f"{name}.png1": {"filename": f"{name}.png", "size": 1, "regions": some, "file_attributes": {"x": "y"}}
        for name, some in (("a", regions), ("b", {"0": copy.deepcopy(regions[1])}))
    }


def length(given: Any) -> int:
    return len(given) if isinstance(given, list | dict) else 0


def in_via(data: Any) -> int:
    entries = data.get("_via_img_metadata", data) if isinstance(data, dict) else data
    entries = entries.values() if isinstance(entries, dict) else entries
    return sum(length(one.get("regions")) for one in entries if isinstance(one, dict))


FORMATS: dict[str, tuple[Callable[[], Any], Callable[[Any], int]]] = {
    "coco": (coco, lambda data: length(data.get("annotations"))),
    "labelme": (labelme, lambda data: length(data.get("shapes"))),
    "via": (via, in_via),
}


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from places(one, *path, key)


@st.composite
def mutated(draw: Any, valid: Any) -> Any:
    """A valid file's content with one, two or three places changed."""
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(data)) or [("x",)]))
        holder = data
        for key in path[:-1]:
            holder = holder[key]
        key = path[-1]
        how = draw(st.sampled_from(["replace", "replace", "remove", "again", "wrap", "text", "rename"]))
        if how == "remove":
            del holder[key]
        elif how == "again" and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif how == "wrap":
            holder[key] = [holder[key]]
        elif how == "text":
            holder[key] = str(holder[key])
        elif how == "rename" and isinstance(holder, dict):
            holder[key.upper()] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        if not data:
            break
    return data


def outcome(format_name: str, content: bytes) -> Imported | None:
    """What an import of a file gives; None where it is refused."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        for name in "ab":
            picture(source / f"{name}.png")
        (source / "a.json").write_bytes(content)
        try:
            return import_project(source / "a.json", Path(folder) / "out", format_name)
        except InputError as refusal:
            assert str(refusal).count("\n") == 0
            return None


def check_balance(done: Imported | None, found: int) -> None:
    """Every object was imported or left out; or its image was, which is named."""
    if done is None:
        return
    told = done.objects + done.losses.objects
    if done.losses.images:
        assert told <= found
    elif not any("named twice" in notice for notice in done.notices):  # where equal objects are taken once
        assert told == found
    assert all(reason.examples[0].problem and reason.examples[0].file for reason in done.losses.reasons)


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_is_valid_is_imported_whole(format_name: str) -> None:
    make, count = FORMATS[format_name]
    data = make()
    done = outcome(format_name, json.dumps(data).encode())
    assert done is not None and done.objects == count(data) and not done.problems and not done.notices


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_change_of_a_value_loses_an_object_without_a_word(format_name: str, data: Any) -> None:
    make, count = FORMATS[format_name]
    changed = data.draw(mutated(make()))
    check_balance(outcome(format_name, json.dumps(changed).encode()), count(changed))


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0), st.integers(0, 40), st.binary(max_size=4))
@example(0, 1 << 20, b"")
@example(0, 0, b"\xff\xfe")
@example(1, 0, b"\0")
@example(40, 0, b"\xf6\xdf")
def test_no_change_of_bytes_loses_an_object_without_a_word(
    format_name: str, place: int, cut: int, put: bytes
) -> None:
    make, count = FORMATS[format_name]
    content = json.dumps(make()).encode()
    place %= len(content)
    content = content[:place] + put + content[place + cut :]
    done = outcome(format_name, content)
    try:
        changed = json.loads(content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        assert done is None or done.losses.images  # UTF-16 is not what a few bytes make of it
        return
    check_balance(done, count(changed) if isinstance(changed, dict) else 0)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gbk"]
)
def test_no_encoding_loses_an_object(format_name: str, encoding: str) -> None:
    make, count = FORMATS[format_name]
    name = {"gbk": "行人"}.get(encoding, "Fußgänger")
    content = json.dumps(make()).replace('"car"', f'"{name}"').encode(encoding)
    done = outcome(format_name, content)
    assert done is not None and done.objects == count(make()) and done.classes[name] > 0
    assert bool(done.notices) == (encoding != "utf-8-sig")
