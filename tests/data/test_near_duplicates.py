"""`raven data inspect` finds images that look almost the same."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from other_formats import run
from projects import real_data, write_item, write_meta

from ravenml.data.images import read_image
from ravenml.data.near_duplicates import difference_hash, group_near_duplicates


def photographs() -> list[np.ndarray]:
    images = sorted((real_data("camvid_small") / "seq" / "img").iterdir())
    return [read_image(path) for path in images[:30]]


def test_copies_that_were_changed_a_little_are_found_and_different_scenes_are_not() -> None:
    scenes = photographs()
    again = cv2.imdecode(cv2.imencode(".jpg", scenes[0], [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)
    smaller = cv2.resize(scenes[1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    brighter = cv2.convertScaleAbs(scenes[2], alpha=1.1)
    hashes = [difference_hash(image) for image in [*scenes, again, smaller, brighter]]
    assert group_near_duplicates(hashes) == [[0, 30], [1, 31], [2, 32]]


def test_several_copies_are_one_group_and_images_without_content_are_none() -> None:
    scene = photographs()[0]
    hashes = [difference_hash(image) for image in (scene, np.zeros_like(scene), scene, scene)]
    hashes.append(difference_hash(np.full((9, 9, 3), 200, np.uint8)))
    assert group_near_duplicates(hashes) == [[0, 2, 3]]
    assert group_near_duplicates([]) == []


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A project with an image, a resized copy of it, and another image."""
    root = tmp_path / "copies"
    write_meta(root, {"car": "polygon"})
    one, other = photographs()[:2]
    for name, image in {"a.png": one, "b.png": cv2.resize(one, (240, 180)), "c.png": other}.items():
        write_item(root, "ds", name, image)
    return root


def test_inspect_tells_them_and_calls_it_no_problem(copies: Path) -> None:
    done = run("inspect", copies)
    assert done.exit_code == 0
    assert "2 images look almost the same as another one, such as ds/a.png and ds/b.png" in done.stdout
    said = json.loads(run("inspect", copies, "--json").stdout)
    assert said["near_duplicates"] == [["ds/a.png", "ds/b.png"]]
