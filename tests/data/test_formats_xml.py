"""VOC and CVAT as their tools and people leave them: encodings, folders, sets, and shapes that few know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from other_formats import left_out, picture, run

from ravenml.data.editable_annotation import EditableAnnotation, read_editable
from ravenml.data.formats.xml import outermost, read_tree
from ravenml.data.geometry import Polygon, Rectangle
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project

BOX = "<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox>"
RECTANGLE = Rectangle(10, 5, 29, 24)


def voc_object(shape: str = BOX, name: str = "crate", more: str = "") -> str:
    return f"<object><name>{name}</name>{more}{shape}</object>"


def voc(file: str, *objects: str, root: str = "<annotation>") -> str:
    return f"{root}<filename>{file}</filename>{''.join(objects or (voc_object(),))}</annotation>"


def write(folder: Path, files: Mapping[str, str | bytes], *images: str) -> Path:
    for name in images:
        picture(folder / name)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def items_of(project: Path) -> dict[str, EditableAnnotation]:
    return {item.key: read_editable(item.annotation_path) for item in Project.open(project).items}


def sets_of(items: dict[str, EditableAnnotation]) -> dict[str, str]:
    return {
        key.rsplit("/")[-1]: " ".join(str(tag["name"]) for tag in item.tags) for key, item in items.items()
    }


def images_of(source: Path, target: Path) -> tuple[int, int, int]:
    """How many images an import found, imported and left out."""
    balance = json.loads(run("import", source, target, "--json").stdout)["images"]
    return balance["found"], balance["imported"], balance["left_out"]


# Encodings


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("gbk", "gbk"),
        ("GB2312", "gb18030"),
        ("big5", "big5"),
        ("shift_jis", "shift_jis"),
        ("euc-kr", "euc-kr"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-8"),  # left there by a tool that converted the file
        ("utf-8", "utf-8-sig"),
        ("utf-8", "utf-16-le"),
    ],
)
def test_xml_is_read_in_the_encoding_that_it_has(declared: str, codec: str, tmp_path: Path) -> None:
    name = "상자" if codec == "euc-kr" else "大人"
    text = f'<?xml version="1.0" encoding="{declared}"?>\n{voc("a.png", voc_object(name=name))}'
    source = write(tmp_path / "src", {"a.xml": text.encode(codec)}, "a.png")
    done = run("import", source, tmp_path / "d")
    assert done.exit_code == 0 and "is read as voc" in done.stderr
    assert Project.open(tmp_path / "d").titles == [name]


def test_bytes_of_another_encoding_cost_only_the_text_that_they_stand_in(tmp_path: Path) -> None:
    objects = voc_object(), voc_object(), voc_object(name="größe")
    text = voc("a.png", *objects).replace("<object>", "<folder>Männer</folder><object>", 1)
    done = run("import", write(tmp_path / "src", {"a.xml": text.encode("cp1252")}, "a.png"), tmp_path / "d")
    assert done.exit_code == 1 and 'every object of the class "gr' in done.stderr
    assert "object[2].name: has bytes that are not of the file's encoding; declare the right" in done.stderr
    (item,) = items_of(tmp_path / "d").values()
    assert [label.title for label in item.labels] == ["crate", "crate"]


@pytest.mark.parametrize("name", ["klingon", "hex", "idna", "unicode_escape"])
def test_an_encoding_that_no_file_has_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(f'<?xml version="1.0" encoding="{name}"?><annotation/>')
    with pytest.raises(
        DataProblem, match=r"declares an encoding that does not exist.*save the file as UTF-8"
    ):
        read_tree(path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('<annotation verified="yes"/>', "annotation"),
        ("<?xml version='1.0'?>\n<!-- <a> --><!DOCTYPE annotations>\n<annotations>", "annotations"),
        ("<annotation/>", "annotation"),
        ("\n <annotation\n>", "annotation"),
        ("no XML", ""),
    ],
)
def test_the_outermost_element_is_known_by_a_file_s_beginning(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    assert outermost(tmp_path / "a.xml") == name


# VOC


def test_voc_is_recognised_by_any_of_its_first_files(tmp_path: Path) -> None:
    files = {
        "Annotations/a.xml": "<other/>",
        "Annotations/b.xml": voc("b.png", root='<annotation verified="yes">'),
    }
    done = run("import", write(tmp_path / "src", files, "JPEGImages/b.png"), tmp_path / "d")
    assert "is read as voc" in done.stderr and "is not an annotation of VOC but <other>" in done.stderr


@pytest.mark.parametrize(
    ("file", "image", "key"),
    [
        ("Annotations/x/a.xml", "JPEGImages/x/a.png", "x/a.png"),
        ("annotations/a.xml", "images/a.png", "src/a.png"),
        ("annotations/xmls/a.xml", "images/a.png", "src/a.png"),
        ("annotations/train/a.xml", "images/train/a.png", "train/a.png"),
        ("train/annotations/a.xml", "train/images/a.png", "train/a.png"),
        ("labels/a.xml", "Images/a.png", "src/a.png"),
        ("train/a.xml", "train/a.png", "train/a.png"),
    ],
)
def test_voc_s_folders_are_known_by_many_names(file: str, image: str, key: str, tmp_path: Path) -> None:
    source = write(tmp_path / "src", {file: voc("a.png")}, image)
    done = run("import", "voc", source, tmp_path / "d")
    assert done.exit_code == 0 and not left_out(done), done.stderr
    items = items_of(tmp_path / "d")
    assert list(items) == [key] and sets_of(items) == {"a.png": "train" if "train" in image else ""}


def sets(folder: Path, *, names: str = "abcde", **lists: str) -> Path:
    """VOC with an image per letter, and the lists of its sets, a letter per image."""
    files: dict[str, str | bytes] = {f"Annotations/{name}.xml": voc(f"{name}.png") for name in names}
    files |= {f"ImageSets/Main/{split}.txt": "\r\n".join(letters) for split, letters in lists.items()}
    return write(folder, files, *(f"JPEGImages/{name}.png" for name in names))


@pytest.mark.parametrize(
    ("lists", "wanted"),
    [
        ({"train": "ab", "val": "c", "trainval": "abc", "test": "de"}, "train train val test test"),
        ({"train": "ab", "trainval": "abc", "test": "de"}, "train train val test test"),
        ({"val": "c", "trainval": "abc", "test": "de"}, "train train val test test"),
        ({"trainval": "abc", "test": "de"}, "train train train test test"),
    ],
)
def test_voc_s_lists_are_its_sets(lists: dict[str, str], wanted: str, tmp_path: Path) -> None:
    done = run("import", "voc", sets(tmp_path / "src", **lists), tmp_path / "d")
    assert " ".join(sets_of(items_of(tmp_path / "d")).values()) == wanted
    assert ("neither train nor val" in done.stderr) == (set(lists) == {"trainval", "test"})


def test_voc_s_lists_may_say_folders_endings_and_presence(tmp_path: Path) -> None:
    source = sets(tmp_path / "src", train="", val="", test="")
    (source / "ImageSets" / "Main" / "train.txt").write_bytes("\ufeffa.png\nb  1\n".encode())
    (source / "ImageSets" / "Main" / "val.txt").write_text("c -1\nd.xml\n")
    write(
        source,
        {"Annotations/x/f.xml": voc("f.png"), "ImageSets/Main/test.txt": "x/f\n"},
        "JPEGImages/x/f.png",
    )
    run("import", "voc", source, tmp_path / "d")
    tags = sets_of(items_of(tmp_path / "d"))
    assert tags == {
        "a.png": "train",
        "b.png": "train",
        "c.png": "val",
        "d.png": "val",
        "e.png": "",
        "f.png": "test",
    }


def test_images_without_a_file_and_lists_without_images_are_told(tmp_path: Path) -> None:
    source = sets(tmp_path / "src", train="ax", test="b")
    picture(source / "JPEGImages" / "more.png")
    done = run("import", "voc", source, tmp_path / "d")
    assert "1 image has no XML file, and is not imported" in done.stderr and "more.png" in done.stderr
    assert "The set train lists 1 image without an XML file, such as x." in done.stderr


def test_a_link_that_leads_nowhere_is_not_a_second_image_of_a_file(tmp_path: Path) -> None:
    source = write(tmp_path / "src", {"a.xml": voc("")}, "a.png")
    (source / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    done = run("import", "voc", source, tmp_path / "d")
    assert done.exit_code == 0 and set(items_of(tmp_path / "d")) == {"src/a.png"}


def test_a_copied_file_belongs_to_the_image_that_is_called_after_it(tmp_path: Path) -> None:
    files = {"Annotations/a.xml": voc("a.png"), "Annotations/b.xml": voc("a.png", voc_object(), voc_object())}
    done = run(
        "import",
        "voc",
        write(tmp_path / "src", files, "JPEGImages/a.png", "JPEGImages/b.png"),
        tmp_path / "d",
    )
    assert [len(item.labels) for item in items_of(tmp_path / "d").values()] == [1, 2]
    assert "1 file names another image than the one called after the file" in done.stderr


TURNED = "<robndbox><cx>40</cx><cy>30</cy><w>20</w><h>10</h><angle>1.5707963</angle></robndbox>"
CORNERS = "".join(
    f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate([(40, 10), (50, 30), (30, 30)], 1)
)
BY_NAME = "".join(
    f"<x_{corner}>{x}</x_{corner}><y_{corner}>{y}</y_{corner}>"
    for corner, x, y in (("left_top", 40, 10), ("right_top", 50, 30), ("left_bottom", 30, 30))
)
POINTS = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((40, 10), (50, 30), (30, 30)))
ROTATION = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
TRIANGLE = [[40, 10], [50, 30], [30, 30]]


@pytest.mark.parametrize(
    ("shape", "corners"),
    [
        (TURNED, [[35, 20], [35, 40], [45, 20], [45, 40]]),
        (f"<robndbox>{BY_NAME}</robndbox>", TRIANGLE),
        (f"<bndbox>{CORNERS}</bndbox>", TRIANGLE),
        (f"<polygon>{CORNERS}</polygon>{BOX}", TRIANGLE),
        (f"<polygon>{POINTS}</polygon>", TRIANGLE),
        (
            ROTATION + "<bndbox><xmin>30</xmin><ymin>25</ymin><xmax>50</xmax><ymax>35</ymax></bndbox>",
            [[35, 20], [35, 40], [45, 20], [45, 40]],
        ),
    ],
)
def test_turned_boxes_and_outlines_of_voc_are_polygons(
    shape: str, corners: list[list[int]], tmp_path: Path
) -> None:
    source = write(tmp_path / "src", {"a.xml": voc("a.png", voc_object(shape))}, "a.png")
    run("import", "voc", source, tmp_path / "d")
    (item,) = items_of(tmp_path / "d").values()
    geometry = item.labels[0].geometry
    assert isinstance(geometry, Polygon)
    assert sorted(geometry.exterior.tolist()) == sorted(corners)


@pytest.mark.parametrize("outline", ["<polygon/>", "<polygon><x1>1</x1><y1>1</y1></polygon>"])
def test_a_broken_outline_of_voc_leaves_its_box(outline: str, tmp_path: Path) -> None:
    source = write(tmp_path / "src", {"a.xml": voc("a.png", voc_object(outline + BOX))}, "a.png")
    run("import", "voc", source, tmp_path / "d")
    (item,) = items_of(tmp_path / "d").values()
    assert item.labels[0].geometry == RECTANGLE


def test_the_objects_of_a_file_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    files = {
        "a.xml": voc("a.png"),
        "b.xml": voc("b.png", voc_object(), voc_object()).removesuffix("</annotation>"),
        "c.xml": voc("gone.png", voc_object()),
    }
    done = run("import", "voc", write(tmp_path / "src", files, "a.png", "b.png"), tmp_path / "d")
    assert done.exit_code == 1 and "3 of 4 objects were left out" in done.stderr
    assert "b.xml, line 1" in done.stderr and "the image gone.png is not below" in done.stderr
    assert images_of(tmp_path / "src", tmp_path / "e") == (3, 1, 2)


def test_a_class_whose_image_is_gone_is_named_as_lost(tmp_path: Path) -> None:
    files = {
        "a.xml": voc("a.png", voc_object(), voc_object()),
        "b.xml": voc("b.png", voc_object(name="tram")),
    }
    done = run("import", "voc", write(tmp_path / "src", files, "a.png"), tmp_path / "d")
    assert done.exit_code == 1 and 'every object of the class "tram" was left out' in done.stderr


# CVAT


def cvat(*images: str) -> str:
    return f"<annotations><version>1.1</version>{''.join(images)}</annotations>"


def cvat_image(name: str, *shapes: str, **attributes: str) -> str:
    said = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<image id="0" name="{name}"{said}>{"".join(shapes or (CVAT_BOX,))}</image>'


CVAT_BOX = '<box label="crate" xtl="10" ytl="5" xbr="30" ybr="25" z_order="0"/>'


@pytest.mark.parametrize("folder", ["images/Train", "images", "Images", "data", "."])
def test_cvat_s_images_are_found_in_folders_of_subsets_too(folder: str, tmp_path: Path) -> None:
    text = cvat(cvat_image("a.png", subset="Train"), cvat_image("b.png", subset="Test"))
    other = folder.replace("Train", "Test")
    source = write(tmp_path / "src", {"annotations.xml": text}, f"{folder}/a.png", f"{other}/b.png")
    run("import", "cvat", source, tmp_path / "d")
    assert sets_of(items_of(tmp_path / "d")) == {"a.png": "train", "b.png": "test"}


def test_images_of_one_name_in_two_subsets_are_told_apart(tmp_path: Path) -> None:
    text = cvat(
        cvat_image("a.png", subset="Train"), cvat_image("a.png", CVAT_BOX, CVAT_BOX, subset="Validation")
    )
    source = write(
        tmp_path / "src", {"annotations.xml": text}, "images/Train/a.png", "images/Validation/a.png"
    )
    done = run("import", "cvat", source, tmp_path / "d")
    found = {key: (len(item.labels), item.tags) for key, item in items_of(tmp_path / "d").items()}
    assert done.exit_code == 0
    assert found == {"Train/a.png": (1, ({"name": "train"},)), "Validation/a.png": (2, ({"name": "val"},))}


def test_folders_of_cvat_s_images_that_are_called_after_sets_are_sets(tmp_path: Path) -> None:
    source = write(tmp_path / "src", {"annotations.xml": cvat(cvat_image("val/a.png"))}, "images/val/a.png")
    run("import", "cvat", source, tmp_path / "d")
    assert sets_of(items_of(tmp_path / "d")) == {"a.png": "val"}


def test_shapes_that_are_not_read_are_counted(tmp_path: Path) -> None:
    shapes = [
        CVAT_BOX,
        '<skeleton label="me"><points label="nose" points="1,1"/></skeleton>',
        '<cuboid label="crate"/>',
        '<sphere label="crate"/>',
    ]
    track = '<track id="0" label="car"><box frame="0" outside="0"/><box frame="1" outside="1"/></track>'
    text = cvat(cvat_image("a.png", *shapes, '<tag label="night"/>'), track)
    done = run("import", "cvat", write(tmp_path / "src", {"a.xml": text}, "a.png"), tmp_path / "d")
    assert done.exit_code == 1 and "4 of 5 objects were left out" in done.stderr
    for said in ("is a skeleton, which is not read", "is a cuboid", "is a sphere", "is a track of a video"):
        assert said in done.stderr


def test_objects_behind_the_place_where_a_file_is_cut_off_are_counted(tmp_path: Path) -> None:
    text = cvat(cvat_image("a.png"), cvat_image("b.png", CVAT_BOX, CVAT_BOX, CVAT_BOX))
    files = {"annotations.xml": text[: text.rindex("</image>")]}
    done = run("import", "cvat", write(tmp_path / "src", files, "a.png", "b.png"), tmp_path / "d")
    assert done.exit_code == 1 and "3 of 4 objects were left out" in done.stderr
    assert images_of(tmp_path / "src", tmp_path / "e") == (2, 1, 1)
    assert "annotations.xml, line 1, column" in done.stderr and "is not valid XML" in done.stderr


def test_the_objects_of_an_image_that_is_gone_are_counted(tmp_path: Path) -> None:
    text = cvat(cvat_image("a.png"), cvat_image("b.png", CVAT_BOX, CVAT_BOX))
    done = run("import", "cvat", write(tmp_path / "src", {"a.xml": text}, "a.png"), tmp_path / "d")
    assert done.exit_code == 1 and "2 of 3 objects were left out" in done.stderr
    assert images_of(tmp_path / "src", tmp_path / "e") == (2, 1, 1)
