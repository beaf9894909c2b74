"""Which image a name means that was written on another machine, or by another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravenml.data.formats.image_finder import Images, read_ends
from ravenml.data.problems import DataProblem


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("a%20b.png", "a b.png"),
        ("a b.png", "a%20b.png"),
        ("c%3Ad.png", "c%3Ad.png"),
        ("IMG_1.JPG", "img_1.jpg"),
        ("Images/IMG_1.JPG", "images/img_1.jpg"),
        (" a.png ", "a.png"),
        ("https://files.example.org/set/a.png", "a.png"),
        ("https://files.example.org/set/a%20b.png?token=1&x=a.jpg", "set/a b.png"),
        ("s3://bucket/frames/a.png", "frames/a.png"),
        ("file:///home/somebody/a.png", "a.png"),
        ("/data/local-files/?d=frames/a.png", "frames/a.png"),
        ("http://[/a.png", "a.png"),
        ("a.jpg", "a.png"),
        ("a.dcm", "a.png"),
        ("frame_000001", "images/frame_000001.PNG"),
        ("frame.0001", "frame.0001.png"),
        (7, "7.png"),
        ("7", "7.jpg"),
    ],
)
def test_an_image_is_found_however_its_name_is_spelt(name: object, there: str, tmp_path: Path) -> None:
    root = files(tmp_path, there, "another.png")
    assert Images(root).find(name, root / "a.json", "file_name") == root / there


def test_the_very_name_is_meant_before_others(tmp_path: Path) -> None:
    root = files(tmp_path, "a.jpg", "a.png", "A.png", "a%20b.png", "a b.png", "frame.png", "frame")
    for name in ("a.jpg", "a.png", "A.png", "a%20b.png", "a b.png", "frame.png"):
        assert Images(root).find(name, root / "a.json", "file_name").name == name


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("a.jpg", ("a.png", "a.bmp")),
        ("a", ("a.png", "a.jpg")),
        ("B.png", ("b.png", "b.PNG")),
        ("a.png", ("one/a.png", "two/a.png")),
        ("three/a.png", ("one/a.png", "two/a.png")),
    ],
)
def test_where_several_may_be_meant_none_is(name: str, there: tuple[str, ...], tmp_path: Path) -> None:
    root = files(tmp_path, *there)
    with pytest.raises(DataProblem, match="2 images there have that name"):
        Images(root).find(name, root / "a.json", "file_name")


@pytest.mark.parametrize("name", ["b.jpg", "frame.0001", "https://h/c.png", "https://h", "x.jpg"])
def test_no_other_image_is_taken_for_one_that_is_not_there(name: str, tmp_path: Path) -> None:
    root = files(tmp_path, "a.png", "frame.png", "masks/b.png", "x.txt", "other/x.json")
    with pytest.raises(DataProblem, match="is not below"):
        Images(root).find(name, root / "a.json", "file_name")


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("seq1/1.png", ("seq1/2.png", "seq2/1.png")),
        ("Seq1/1.JPG", ("seq1/2.png", "seq2/1.png")),
        (r"C:\set\seq1\1.png", ("images/seq1/2.png", "images/seq2/1.png")),
        ("seq1/left/1.png", ("seq1/left/2.png", "seq2/left/1.png", "seq3/left/1.png", "1.png")),
    ],
)
def test_no_image_is_taken_from_another_folder_than_the_name_says(
    name: str, there: tuple[str, ...], tmp_path: Path
) -> None:
    root = files(tmp_path, *there)
    with pytest.raises(DataProblem, match="is not below"):
        Images(root).find(name, root / "a.json", "file_name")


@pytest.mark.parametrize(
    ("name", "there", "other"),
    [
        ("/home/val/set/train/1.png", "train/1.png", "val/1.png"),
        ("set/images/1.png", "images/train/1.png", "images/val/2.png"),
        ("train/images/1.png", "images/train/1.png", "images/val/1.png"),
        ("train/1.jpg", "train/1.png", "val/1.jpg"),
        ("session/1.png", "seq1/1.png", "seq2/2.png"),
    ],
)
def test_folders_of_another_machine_are_in_nobodys_way(
    name: str, there: str, other: str, tmp_path: Path
) -> None:
    root = files(tmp_path, there, other)
    assert Images(root).find(name, root / "a.json", "file_name") == root / there


def test_of_images_with_one_name_the_folders_say_which_is_meant(tmp_path: Path) -> None:
    root = files(tmp_path, "images/a/1.png", "images/b/1.png", "c/img/2.png", "d/img/2.png")
    images = Images(root)
    assert images.find("1.png", root / "ann" / "b" / "1.json", "imagePath") == root / "images/b/1.png"
    assert images.find("2.png", root / "d" / "ann" / "2.json", "imagePath") == root / "d/img/2.png"
    assert images.find(r"C:\set\a\1.png", root / "x.json", "imagePath") == root / "images/a/1.png"
    assert images.find(r"C:\set\A\1.jpg", root / "x.json", "imagePath") == root / "images/a/1.png"
    assert (
        images.find("1.png", root / "x.json", "imagePath", root / "images" / "a") == root / "images/a/1.png"
    )


def test_an_image_of_another_kind_is_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    root = files(tmp_path, "a.png", "b.png")
    images = Images(root, notice=said.append)
    for name in ("a.png", "a.jpg", "b.jpg"):
        images.find(name, root / "a.json", "file_name")
    assert said == ["a.json names a.jpg, and a.png is taken; other endings are ignored."]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_words_are_found_in_text_of_every_unicode_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [], "shapes": []}', encoding=encoding)
    content = read_ends(tmp_path / "a.json", 60, 60)
    assert content.startswith(b'{"images"') and b'"shapes"' in content
