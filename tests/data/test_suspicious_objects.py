"""Objects that `raven data inspect` would have a person look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from projects import HEIGHT, WIDTH, bitmap_of, box_of, polygon_of, write_item, write_meta

from ravenml.cli.data import data
from ravenml.data.inspection import Inspection, inspect_project
from ravenml.data.suspicious import DUPLICATED, OUTSIDE, REASONS, TINY, WHOLE_IMAGE, rare_classes

IMAGE = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
SHAPES = {"car": "any", "tree": "any"}
CORNERS = [[0, 0], [WIDTH - 1, 0], [WIDTH - 1, HEIGHT - 1], [0, HEIGHT - 1]]


def inspect(folder: Path, *images: list[dict[str, Any]]) -> Inspection:
    write_meta(folder, SHAPES)
    for number, objects in enumerate(images):
        write_item(folder, "ds", f"{number}.png", IMAGE, objects)
    return inspect_project(folder)


@pytest.mark.parametrize(
    ("wrong", "reason", "detail"),
    [
        (box_of("car", 30, 10, WIDTH + 4, 20), OUTSIDE, "reaches outside the image by 5 pixels"),
        (polygon_of("car", [[-9, 4], [8, 4], [8, 9]]), OUTSIDE, "reaches outside the image by 9 pixels"),
        (box_of("car", 5, 5, 7, 6), TINY, "tiny, 3×2 pixels"),
        (box_of("car", 5, 5, 5, 30), TINY, "tiny, 1×26 pixels"),
        (bitmap_of("car", (3, 3), np.zeros((9, 9))), TINY, "tiny, a bitmap without any pixel"),
        (box_of("car", 0, 0, WIDTH - 1, HEIGHT - 1), WHOLE_IMAGE, "covers the whole image"),
        (polygon_of("car", CORNERS), WHOLE_IMAGE, "covers the whole image"),
        (bitmap_of("car", (0, 0), np.ones((HEIGHT, WIDTH))), WHOLE_IMAGE, "covers the whole image"),
    ],
)
def test_an_object_that_looks_wrong_is_found(
    tmp_path: Path, wrong: dict[str, Any], reason: str, detail: str
) -> None:
    found = inspect(tmp_path, [box_of("tree", 4, 4, 14, 14), wrong]).suspicious
    assert {name: count for name, count in found.counts.items() if count} == {reason: 1}
    (one,) = found.examples[reason]
    assert (one.item.key, one.number, one.class_title, one.detail) == ("ds/0.png", 1, "car", detail)


@pytest.mark.parametrize(
    "right",
    [
        box_of("car", 30, 10, WIDTH, 20),  # an edge counted as a pixel: one too many, and harmless
        box_of("car", 5, 5, 8, 8),
        polygon_of("car", CORNERS, [[[9, 9], [30, 9], [30, 30], [9, 30]]]),  # a frame around the image
        bitmap_of("car", (0, 0), np.eye(HEIGHT)),
    ],
)
def test_an_object_that_looks_right_is_not(tmp_path: Path, right: dict[str, Any]) -> None:
    assert not inspect(tmp_path, [right]).suspicious.counts.total()


def test_an_object_that_is_drawn_twice_is_found_whatever_its_class(tmp_path: Path) -> None:
    ring, hole = [[3, 3], [20, 3], [20, 20]], [[9, 6], [15, 6], [15, 9]]
    blob = np.eye(9)
    found = inspect(
        tmp_path,
        [polygon_of("car", ring), polygon_of("car", ring), polygon_of("car", ring, [hole])],
        [bitmap_of("car", (2, 2), blob), bitmap_of("tree", (2, 2), blob), bitmap_of("car", (3, 2), blob)],
    ).suspicious
    assert found.counts[DUPLICATED] == found.counts.total() == 2
    assert [one.detail for one in found.examples[DUPLICATED]] == ["drawn twice", 'drawn twice, also as "car"']


def test_one_image_does_not_hide_the_others(tmp_path: Path) -> None:
    specks = [box_of("car", 3 * x, 2, 3 * x + 1, 3) for x in range(9)]
    found = inspect(tmp_path, specks, specks[:1]).suspicious
    assert found.counts[TINY] == 10
    assert [one.item.name for one in found.examples[TINY]] == ["0.png", "0.png", "1.png"]


def test_rare_classes_are_those_with_hardly_any_object() -> None:
    assert rare_classes({"road": 1000, "sign": 9, "lamp": 10, "tram": 0}) == ["tram", "sign"]
    assert rare_classes({"road": 0}) == ["road"] and rare_classes({}) == []


def test_scripts_get_them_too(tmp_path: Path) -> None:
    inspect(tmp_path, [box_of("car", 5, 5, 6, 6)])
    said = json.loads(CliRunner().invoke(data, ["inspect", "--json", str(tmp_path)]).stdout)
    assert said["suspicious"] == {reason: int(reason == TINY) for reason in REASONS}
    (one,) = said["suspicious_examples"]
    assert one["image"] == "ds/0.png" and one["class"] == "car" and one["box"] == [5, 5, 6, 6]
    assert said["rare_classes"] == ["tree"]
