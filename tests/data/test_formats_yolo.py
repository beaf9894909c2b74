"""YOLO datasets as people have them: each of them read for what it means, or refused in a sentence."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from other_formats import Done, left_out, picture, run

from ravenml.data.editable_annotation import EditableAnnotation, read_editable
from ravenml.data.formats.yolo import Yolo
from ravenml.data.geometry import Polygon, Rectangle
from ravenml.data.project import Project

BOX = "0 0.5 0.5 0.25 0.5"  # of 80×60 pixels: from (30, 15) to (49, 44)
RECTANGLE = Rectangle(30, 15, 49, 44)
NAMES = "names: [crate, pallet]\n"


def dataset(folder: Path, files: Mapping[str, str | bytes], *images: str) -> Path:
    """A source with these texts and images; each image has a box beside `images` in `labels`, if not said."""
    for name in images:
        picture(folder / name)
        text = Path(name.replace("images/", "labels/")).with_suffix(".txt").as_posix()
        if "images/" in name and text not in files:
            files = {**files, text: BOX}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(source: Path, *options: object) -> tuple[Done, dict[str, EditableAnnotation]]:
    """What an import says, and the annotations that it makes, by the items' names."""
    target = source.parent / "imported"
    done = run("import", "yolo", source, target, *options)
    items = Project.open(target).items if target.exists() else []
    return done, {item.name: read_editable(item.annotation_path) for item in items}


def one_line(folder: Path, line: str, described: str = NAMES) -> tuple[Done, Any]:
    """What a single line of labels becomes, beside a box: the object, or None where it is left out."""
    labels = {"data.yaml": described, "labels/a.txt": f"{line}\n1 0.5 0.5 0.25 0.5\n"}
    done, items = read(dataset(folder / "src", labels, "images/a.png"))
    objects = [one for one in items["a.png"].labels if one.title == "crate"]
    return done, objects[0] if objects else None


def split_tags(items: dict[str, EditableAnnotation]) -> dict[str, str]:
    return {name: " ".join(str(tag["name"]) for tag in item.tags) for name, item in items.items()}


# Lines


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + BOX.encode(),
        f"{BOX}\r\n\r\n".encode(),
        BOX.replace(" ", "\t").encode(),
        f"\ufeff{BOX}\n".encode("utf-16-le"),
        f"{BOX}\n".encode("utf-16-be"),
        b"0.0" + BOX[1:].encode(),
        b"crate" + BOX[1:].encode(),
    ],
    ids=["mark", "crlf", "tabs", "utf-16", "utf-16 without a mark", "float", "name"],
)
def test_a_box_is_read_however_its_line_was_saved(content: bytes, tmp_path: Path) -> None:
    source = dataset(tmp_path / "src", {"data.yaml": NAMES, "labels/a.txt": content}, "images/a.png")
    done, items = read(source)
    assert done.exit_code == 0 and not done.stderr
    (label,) = items["a.png"].labels
    assert (label.title, label.geometry) == ("crate", RECTANGLE)


def test_a_confidence_behind_a_box_becomes_its_tag(tmp_path: Path) -> None:
    _, label = one_line(tmp_path, f"{BOX} 0.87")
    assert label.geometry == RECTANGLE and label.tags == [{"name": "confidence", "value": 0.87}]


@pytest.mark.parametrize(
    ("shape", "keypoints"),
    [
        ("[1, 3]", " 0.5 0.5 2"),
        ("[2, 3]", " 0.4 0.4 1 0.6 0.6 0"),
        ("[2, 2]", " 0.4 0.4 0.6 0.6"),
        ("[17, 2]", " 0.4 0.6" * 17),
        ("[2, 3]", ""),
    ],
)
def test_of_a_pose_the_box_is_kept(shape: str, keypoints: str, tmp_path: Path) -> None:
    done, label = one_line(tmp_path, BOX + keypoints, f"{NAMES}kpt_shape: {shape}\n")
    assert label.geometry == RECTANGLE and not label.tags
    assert "keypoints (kpt_shape), which are not imported" in done.stderr


def test_a_line_of_a_pose_that_is_cut_off_is_not_an_outline(tmp_path: Path) -> None:
    done, label = one_line(tmp_path, f"{BOX} 0.4 0.4 1 0.6", f"{NAMES}kpt_shape: [2, 3]\n")
    assert label is None
    assert "line 1: has 8 numbers behind the class: a box has 4, with its keypoints 10" in done.stderr


@pytest.mark.parametrize(("line", "count"), [("0", 0), ("0 0.5", 1), (BOX.rsplit(" ", 1)[0], 3)])
def test_a_line_that_is_cut_off_says_what_a_box_has(line: str, count: int, tmp_path: Path) -> None:
    done, label = one_line(tmp_path, line)
    assert label is None
    assert f"line 1: has {count} numbers behind the class: a box has 4, an outline 6, 8, 10" in done.stderr


def test_a_pose_s_confidence_is_told_from_its_keypoints(tmp_path: Path) -> None:
    _, label = one_line(tmp_path, f"{BOX} 0.4 0.4 1 0.75", f"{NAMES}kpt_shape: [1, 3]\n")
    assert label.geometry == RECTANGLE and label.tags == [{"name": "confidence", "value": 0.75}]


@pytest.mark.parametrize(
    "keypoints", [" 0.5 0.5 2", " 0.4 0.4 2 0.6 0.6 0", " 0.4 0.4 1 0.6 0.6 0 0.1 0.1 1"]
)
def test_keypoints_that_nothing_declares_are_known_by_their_visibility(
    keypoints: str, tmp_path: Path
) -> None:
    done, label = one_line(tmp_path, BOX + keypoints)
    assert label.geometry == RECTANGLE and "Objects with keypoints lose these" in done.stderr


def test_an_outline_that_touches_the_border_is_not_a_pose(tmp_path: Path) -> None:
    _, label = one_line(tmp_path, "0 0.5 0.25 0.75 0.25 0.75 0.5 0 0.75 0.25 1")
    assert isinstance(label.geometry, Polygon) and len(label.geometry.exterior) == 5


def test_four_corners_are_a_polygon(tmp_path: Path) -> None:
    _, label = one_line(tmp_path, "0 0.25 0.1 0.75 0.2 0.7 0.9 0.2 0.8")
    assert isinstance(label.geometry, Polygon)
    assert label.geometry.exterior.tolist() == [[20, 6], [60, 12], [56, 54], [16, 48]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 320 240 50 60", "320 is not a share of a side of the image; write shares"),
        ("0 0.5 0.5 0.25", "has 3 numbers behind the class"),
        ("0 0.1 0.1 0.4 0.1 0.4 0.4 0.9", "keypoints are known by kpt_shape in data.yaml"),
        ("0 0.5 0.5 inf 0.5", "'inf' is not a number"),
        ("0 0.5 0,5 0.2 0.5", "'0,5' is not a number"),
        ("0 0.5 0_1 0.2 0.5", "'0_1' is not a number"),
    ],
)
def test_a_line_without_a_certain_meaning_is_named(line: str, said: str, tmp_path: Path) -> None:
    done, label = one_line(tmp_path, line)
    assert label is None and len(left_out(done)) == 1
    assert "a.txt, line 1: " in done.stderr and said in done.stderr


# Classes


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        ("[no, yes]", ["no", "yes"]),
        ("[1, 2.0]", ["1", "2.0"]),
        ('{"0": crate, "1": pallet}', ["crate", "pallet"]),
        ("{0: crate, 2: pallet}", ["crate", "class 1", "pallet"]),
        ("{crate: 0, pallet: 1}", ["crate", "pallet"]),
        ("crate, pallet", ["crate", "pallet"]),
        ("\"['crate', 'pallet']\"", ["crate", "pallet"]),
        ("crate", ["crate"]),
        ("lists/own.names", ["first", "second"]),
        ("/home/me/lists/own.names", ["first", "second"]),
    ],
)
def test_names_of_classes_are_read_in_every_form(names: str, titles: list[str], tmp_path: Path) -> None:
    files = {"data.yaml": f"names: {names}\n", "lists/own.names": "first\nsecond\n"}
    done, _ = read(dataset(tmp_path / "src", files, "images/a.png"))
    assert done.exit_code == 0, done.stderr
    assert Project.open(tmp_path / "imported").titles == titles


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ("names: own.names", "the file own.names is not there"),
        ("names: {crate: big}", "names: is not a list of classes (neither its keys nor its values"),
        ("names: {crate: 0, pallet: 0}", "two classes have the number 0"),
        ("names: [[crate]]", "the name of class 0 is not text"),
        ("train: images", "data.yaml, names: is missing"),
        ("- crate", "data.yaml: is not a mapping"),
        ("names: [crate]\nkpt_shape: 17", "kpt_shape: is not [number of keypoints, 2 or 3]"),
    ],
)
def test_a_description_without_usable_names_is_refused(described: str, said: str, tmp_path: Path) -> None:
    done, _ = read(dataset(tmp_path / "src", {"data.yaml": described}, "images/a.png"))
    assert done.exit_code == 2 and said in done.stderr


def test_a_name_that_two_classes_have_is_told(tmp_path: Path) -> None:
    done, _ = read(dataset(tmp_path / "src", {"data.yaml": "names: [a, b, a]\n"}, "images/a.png"))
    assert "gives a name to several classes, which become one: a." in done.stderr


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({"own.yaml": "path: x\n'names':\n  0: crate\n"}, True),
        ({"own.yml": '{"nc": 1, "train": "images"}'}, True),
        ({"data/obj.data": "classes = 1\nnames = obj.names\n"}, True),
        ({"valid/Labels/a.txt": BOX}, True),
        ({"settings.yaml": "user: me\nusernames: [a]\nlearning rate: 1\n"}, False),
        ({"valid/notes/a.txt": BOX}, False),
    ],
)
def test_yolo_is_recognised_by_its_description_or_its_labels(
    files: dict[str, str], known: bool, tmp_path: Path
) -> None:
    assert Yolo().recognises(dataset(tmp_path / "src", files)) is known


def test_a_number_of_classes_without_names_gives_them_numbers(tmp_path: Path) -> None:
    done, _ = read(dataset(tmp_path / "src", {"data.yaml": "nc: 2\n"}, "images/a.png"))
    assert "not their names" in done.stderr
    assert Project.open(tmp_path / "imported").titles == ["class 0", "class 1"]


def test_a_number_of_classes_that_is_not_that_of_the_names_is_told(tmp_path: Path) -> None:
    done, _ = read(dataset(tmp_path / "src", {"data.yaml": f"{NAMES}nc: 3\n"}, "images/a.png"))
    assert "says that there are 3 classes, but names 2" in done.stderr


@pytest.mark.parametrize(
    "place", ["classes.txt", "labels/classes.txt", "labels/train/classes.txt", "own.names"]
)
def test_a_blank_line_in_a_list_of_classes_keeps_the_numbers_in_place(place: str, tmp_path: Path) -> None:
    files = {place: "crate\r\n\r\npallet\r\n\r\n", "labels/train/a.txt": f"2{BOX[1:]}"}
    _, items = read(dataset(tmp_path / "src", files, "images/train/a.png"))
    assert [one.title for one in items["a.png"].labels] == ["pallet"]


# Where things are


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("images/a.JPG", "Labels/a.txt"),
        ("Images/Train/a.png", "labels/train/a.txt"),
        ("train/a.png", "train/labels/a.txt"),
        ("train/images/a.png", "labels/train/a.txt"),
        ("JPEGImages/a.png", "labels/a.TXT"),
        ("a.png", "a.txt"),
        ("images/a/a.png", "labels/a.txt"),
    ],
)
def test_a_text_of_labels_is_found(image: str, text: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / image)
    done, items = read(dataset(tmp_path / "src", {"data.yaml": NAMES, text: BOX}))
    assert done.exit_code == 0 and not done.stderr
    (item,) = items.values()
    assert [label.geometry for label in item.labels] == [RECTANGLE]


def test_labels_are_found_beside_a_folder_of_images_that_was_named(tmp_path: Path) -> None:
    dataset(tmp_path / "elsewhere", {}, "images/train/a.png")
    source = dataset(tmp_path / "src", {"data.yaml": NAMES})
    _, items = read(source, "--images", tmp_path / "elsewhere" / "images")
    assert len(items["a.png"].labels) == 1


def test_images_without_any_label_are_refused(tmp_path: Path) -> None:
    files = {"data.yaml": NAMES, "labels/other.txt": BOX}
    source = dataset(tmp_path / "src", files)
    picture(source / "images" / "a.png")
    done, _ = read(source)
    assert done.exit_code == 2
    assert (
        "has labels: a.txt is neither beside" in done.stderr
        and "other.txt is of another image" in done.stderr
    )


def test_labels_without_an_image_are_counted_as_lost(tmp_path: Path) -> None:
    files = {
        "data.yaml": NAMES,
        "labels/b.txt": f"{BOX}\n{BOX}\n",
        "README.txt": "0 images were changed by us\n",
    }
    done, _ = read(dataset(tmp_path / "src", files, "images/a.png"))
    assert done.exit_code == 1 and "2 of 3 objects were left out" in done.stderr
    assert "b.txt: its image is not there" in done.stderr and "README" not in done.stderr


def test_a_labelled_image_of_a_kind_that_is_not_read_is_named(tmp_path: Path) -> None:
    source = dataset(tmp_path / "src", {"data.yaml": NAMES, "labels/b.txt": BOX}, "images/a.png")
    (source / "images" / "b.xcf").write_bytes(b"gimp xcf v011")
    (source / "images" / "b.psd").write_bytes(b"8BPS")
    done, _ = read(source)
    assert 'b.psd: images of the kind ".psd" are not read; convert it to PNG or JPEG' in done.stderr
    again = run("import", "yolo", source, tmp_path / "again", "--json", "--max-lost", 1)
    assert json.loads(again.stdout)["images"]["left_out"] == 2


def test_only_the_folder_that_path_names_is_imported(tmp_path: Path) -> None:
    files = {"own.yaml": f"path: own\ntrain: images/a\n{NAMES}", "other/labels/b.txt": f"7{BOX[1:]}"}
    source = dataset(tmp_path / "src", files, "own/images/a/a.png", "other/images/b.png")
    done, items = read(source / "own.yaml")
    assert list(items) == ["a.png"] and not left_out(done) and split_tags(items) == {"a.png": "train"}


def test_a_path_that_leads_out_of_the_source_is_not_followed(tmp_path: Path) -> None:
    dataset(tmp_path / "other", {}, "images/z.png")
    source = dataset(tmp_path / "src", {"data.yaml": f"path: ../other\n{NAMES}"}, "images/a.png")
    done, items = read(source)
    assert list(items) == ["a.png"] and "the path ../other is not below" in done.stderr


def test_a_dataset_in_the_only_folder_of_an_archive_is_found(tmp_path: Path) -> None:
    source = dataset(tmp_path / "src", {"inner/data.yaml": NAMES}, "inner/train/images/a.png")
    _, items = read(source)
    assert split_tags(items) == {"a.png": "train"}
    dataset(source, {"second/data.yaml": NAMES}, "second/images/b.png")
    done = run("import", "yolo", source, tmp_path / "d")
    assert done.exit_code == 2 and "holds 2 datasets" in done.stderr and "import one at a time" in done.stderr


# Sets


@pytest.mark.parametrize(
    ("described", "folders"),
    [
        ("train: images/train\nval: images/val\ntest: images/test\n", "images/{}"),
        ("train: ../train/images\nval: ../valid/images\ntest: ../test/images\n", "{}/images"),
        ("train: my-project-1/train/images\nval: my-project-1/valid/images\n", "{}/images"),
        ("path: /content/x\ntrain: /content/x/images/train\nval: /content/x/images/val\n", "images/{}"),
        ("train: C:\\data\\images\\train\nval: C:\\data\\images\\val\n", "images/{}"),
        ("train: Images/Train\nval: Images/Val\n", "images/{}"),
        ("train: nowhere/a\nval: nowhere/b\n", "images/{}"),
        ("train: images/train/*.png\n", "images/{}"),
        ("", "images/{}"),
    ],
)
def test_the_sets_are_known_by_paths_or_by_the_names_of_folders(
    described: str, folders: str, tmp_path: Path
) -> None:
    val = "valid" if "valid" in described else "val"
    images = [
        f"{folders.format(folder)}/{name}.png" for folder, name in (("train", "a"), (val, "b"), ("test", "c"))
    ]
    done, items = read(dataset(tmp_path / "src", {"data.yaml": NAMES + described}, *images))
    assert split_tags(items) == {"a.png": "train", "b.png": "val", "c.png": "test"}
    assert ("the folders' names decide" in done.stderr) == ("nowhere" in described or "*" in described)


def test_paths_that_name_nothing_are_told_where_no_folder_s_name_helps(tmp_path: Path) -> None:
    described = f"{NAMES}train: nowhere/a\nval: nowhere/b\n"
    done, items = read(dataset(tmp_path / "src", {"data.yaml": described}, "images/a.png"))
    assert split_tags(items) == {"a.png": ""}
    assert "nowhere/a, nowhere/b are not below" in done.stderr and "decide" not in done.stderr


def test_darknet_s_lists_name_images_by_the_ends_of_their_paths(tmp_path: Path) -> None:
    files = {
        "obj.data": "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "obj.names": "crate\npallet\n",
        "train.txt": "data/obj_train_data/one/a.png\r\ndata/obj_train_data/gone.png\r\n",
        "valid.txt": "\\\\server\\data\\obj_train_data\\two\\a.jpg\n",
        "obj_train_data/one/a.txt": BOX,
        "obj_train_data/two/a.txt": BOX,
    }
    source = dataset(tmp_path / "src", files, "obj_train_data/one/a.png", "obj_train_data/two/a.png")
    done = run("import", source, tmp_path / "d")
    assert done.exit_code == 0 and "is read as yolo" in done.stderr
    assert "train.txt: 1 line names no image" in done.stderr and "gone.png" in done.stderr
    items = Project.open(tmp_path / "d").items
    tags = {item.dataset: read_editable(item.annotation_path).tags for item in items}
    assert tags == {"obj_train_data/one": ({"name": "train"},), "obj_train_data/two": ({"name": "val"},)}


def test_lists_that_nothing_describes_are_sets_too(tmp_path: Path) -> None:
    files = {"classes.txt": "crate\n", "train.txt": "./images/a.png\n", "test.txt": "./images/b.png\n"}
    _, items = read(dataset(tmp_path / "src", files, "images/a.png", "images/b.png"))
    assert split_tags(items) == {"a.png": "train", "b.png": "test"}


def test_what_is_in_two_sets_or_in_none_is_told(tmp_path: Path) -> None:
    described = f"{NAMES}train: [images/a.txt, images/both.txt]\nval: images/both.txt\n"
    files = {"data.yaml": described, "images/a.txt": "a.png\n", "images/both.txt": "b.png\n"}
    done, _ = read(dataset(tmp_path / "src", files, "images/a.png", "images/b.png", "images/c.png"))
    assert "1 image is in both train and val" in done.stderr
    assert "1 image is in no set, and imported without a tag" in done.stderr


def test_a_test_set_that_is_the_validation_set_again_is_validation(tmp_path: Path) -> None:
    described = f"{NAMES}train: ../train/images\nval: ../valid/images\ntest: ../valid/images\n"
    source = dataset(tmp_path / "src", {"data.yaml": described}, "train/images/a.png", "valid/images/b.png")
    done, items = read(source)
    assert split_tags(items) == {"a.png": "train", "b.png": "val"}
    assert "val and test are the same images, which get the tag val alone." in done.stderr
    assert "in both" not in done.stderr


def test_one_folder_for_all_sets_says_nothing(tmp_path: Path) -> None:
    described = f"{NAMES}train: images\nval: images\ntest: images\n"
    _, items = read(dataset(tmp_path / "src", {"data.yaml": described}, "images/a.png"))
    assert split_tags(items) == {"a.png": ""}


def test_the_same_images_for_training_and_validation_are_not_tagged(tmp_path: Path) -> None:
    described = f"{NAMES}train: images/train\nval: images/train\ntest: images/test\n"
    source = dataset(tmp_path / "src", {"data.yaml": described}, "images/train/a.png", "images/test/b.png")
    _, items = read(source)
    assert split_tags(items) == {"a.png": "", "b.png": "test"}
