"""Files of a project that are something else, far too large, or made to harm: a sentence each."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from projects import write_project

from ravenml.data.bitmap import chunk
from ravenml.data.formats.conversion import export_project, import_project
from ravenml.data.image_header import PNG_SIGNATURE
from ravenml.data.images import read_header, read_image
from ravenml.data.inspection import inspect_project
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project
from ravenml.errors import InputError


def png(height: int, width: int, pixels: bytes = b"") -> bytes:
    """A grey PNG that says it has this size, whatever it holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels))
    return PNG_SIGNATURE + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def test_an_image_that_says_it_is_huge_is_refused_before_there_is_room_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(30_000, 30_000))
    with pytest.raises(DataProblem, match=r"it has 30000×30000 pixels, in a file of \d+ bytes"):
        read_image(path)


def test_a_chunk_that_is_longer_than_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    content = png(4, 4, b"\0" * 20)
    path.write_bytes(content[:33] + b"\x7f\xff\xff\xff" + content[37:])
    with pytest.raises(DataProblem, match="cut off or damaged"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_header])
def test_a_named_pipe_in_place_of_an_image_is_not_waited_for(read: object, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert callable(read)
    with pytest.raises(DataProblem, match="it is a named pipe, not a file"):
        read(tmp_path / "a.png")


def test_a_link_to_itself_is_one_problem_of_a_project(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", images=2)
    image = root / "scenes" / "img" / "scene_000.png"
    image.unlink()
    image.symlink_to(image.name)
    problems = inspect_project(root).problems
    assert [problem.file.name for problem in problems] == ["scene_000.png.json"]


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", images=1)
    (root / Path(*["a"] * 200)).mkdir(parents=True)
    with pytest.raises(InputError, match="more than 100 folders deep"):
        Project.open(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("names: " + "[" * 200_000, "more than 100 deep"),
        ("names: !!python/object/apply:os.system [ls]", "the tag tag:yaml.org,2002:python/object/apply"),
        ("names: &a [*a]", "stands for itself"),
        ("train: x\nnames: [a]\ntrain: y", "has the key 'train' twice"),
    ],
)
def test_a_data_yaml_that_is_made_to_harm_is_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "src" / "labels").mkdir(parents=True)
    (tmp_path / "src" / "data.yaml").write_text(text)
    with pytest.raises(DataProblem, match=r"data\.yaml") as caught:
        import_project(tmp_path / "src", tmp_path / "out", "yolo")
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png", "../../../etc/passwd", "\ud83d.png"])
def test_an_image_of_a_name_that_no_file_can_have_is_left_out(name: str, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "a.png").write_bytes(png(4, 4, b"\0" * 20))
    images = [{"id": 1, "file_name": name}, {"id": 2, "file_name": "a.png"}]
    boxes = [
        {"id": 1, "image_id": 2, "category_id": 1, "bbox": [0, 0, 2, 2], "attributes": {"n": 10**400}},
        {"id": 2, "image_id": 2, "category_id": [1], "bbox": [0, 0, 2, 2]},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [0, 0, float("nan"), 2]},
        {"id": 4, "image_id": 2, "category_id": 1, "bbox": [0, 0, 10**400, 2]},
    ]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (source / "a.json").write_text(json.dumps(content))
    done = import_project(source, tmp_path / "out", "coco")
    assert (done.images, done.objects, done.problems) == (1, 1, 4)


def test_a_folder_of_a_name_that_is_too_long_is_not_there(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "labels").mkdir(parents=True)
    (source / "data.yaml").write_text("names: [a]\ntrain: " + "x" * 300)
    (source / "labels" / "a.txt").touch()
    (source / "a.png").write_bytes(png(4, 4, b"\0" * 20))
    assert import_project(source, tmp_path / "out", "yolo").images == 1


@pytest.mark.parametrize("number", ["9" * 5000, "²", "٣", "-1", "1e3", "7"])
def test_a_class_number_that_there_is_not_leaves_out_one_object(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project.open(write_project(tmp_path / "p", images=2))
    export_project(project, tmp_path / "yolo", "yolo", copy=True)
    labels = sorted((tmp_path / "yolo").rglob("*.txt"))[0]
    labels.write_text(f"{number} 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    done = import_project(tmp_path / "yolo", tmp_path / "again", "yolo")
    said = capsys.readouterr().err
    assert done.problems == 1 and said.count("is not a class") == 1 and len(said) < 2000
