"""VOC, YOLO, LabelMe, CVAT and masks: files as their own tools write them, and ours read by other readers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from xml.dom import minidom

import cv2
import numpy as np
import pytest
import yaml
from other_formats import imported, left_out, picture, run
from projects import encoded

from ravenml.data.demo import write_demo
from ravenml.data.editable_annotation import read_editable
from ravenml.data.formats import cvat, image_finder, voc
from ravenml.data.formats.class_list import classes_in
from ravenml.data.formats.mask_values import read_mask, write_mask
from ravenml.data.geometry import Bitmap, Line, Point, Polygon, Rectangle
from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project
from ravenml.data.transforms import bounds


def demo(folder: Path) -> Project:
    return write_demo(folder / "demo", 6)


def export(folder: Path, format_name: str) -> Path:
    done = run("export", format_name, folder / "demo", folder / "out")
    assert done.exit_code == 0, done.output
    return folder / "out"


# VOC


def test_another_reader_finds_our_boxes_in_voc(tmp_path: Path) -> None:
    project = demo(tmp_path)
    out = export(tmp_path, "voc")
    for item in project.items:
        top = out / item.dataset
        stem = item.image_path.stem
        tree = minidom.parse(str(top / "Annotations" / f"{stem}.xml"))  # noqa: S318 - just written

        def text(node: Any, name: str) -> str:
            return str(node.getElementsByTagName(name)[0].firstChild.data)

        image = cv2.imread(str(top / "JPEGImages" / text(tree, "filename")))
        assert image.shape[:2] == (int(text(tree, "height")), int(text(tree, "width")))
        found = []
        for one in tree.getElementsByTagName("object"):
            corners = (int(text(one, name)) for name in ("xmin", "ymin", "xmax", "ymax"))
            found.append((text(one, "name"), *corners))
        wanted = []
        for label in read_editable(item.annotation_path).labels:
            assert label.geometry is not None
            box = bounds(label.geometry)
            wanted.append((label.title, box.left + 1, box.top + 1, box.right + 1, box.bottom + 1))
        assert found == wanted
        sets = [split for split in ("train", "val") if stem in names(top, split)]
        assert sets == sorted(project.tags_of(item))


def names(top: Path, split: str) -> list[str]:
    path = top / "ImageSets" / "Main" / f"{split}.txt"
    return path.read_text().splitlines() if path.exists() else []


def write_voc(folder: Path, objects: str, size: str = "<width>80</width><height>60</height>") -> Path:
    picture(folder / "a.jpg")
    head = f"<annotation><filename>a.jpg</filename><size>{size}</size>"
    (folder / "a.xml").write_text(f"{head}{objects}</annotation>")
    return folder


def voc_object(name: str, *corners: object, more: str = "") -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def test_voc_beside_the_images_is_read_with_its_flags(tmp_path: Path) -> None:
    flags = "<difficult>1</difficult><truncated>0</truncated>"
    source = write_voc(tmp_path / "src", voc_object("dog", 1, 2, 10, 20, more=flags))
    (document,) = imported("voc", source)
    (label,) = document.labels
    assert label.geometry == Rectangle(0, 1, 9, 19) and label.tags == [{"name": "difficult"}]


def test_bad_xml_is_named(tmp_path: Path) -> None:
    objects = voc_object("dog", 5, 5, 2, 9) + voc_object("", 1, 1, 5, 5) + voc_object("cat", "x", 1, 5, 5)
    source = write_voc(tmp_path / "src", objects)
    (source / "b.xml").write_text("<annotation><filename>")
    (source / "c.xml").write_text("<html/>")
    bomb = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    bomb += "<annotation><filename>&x;</filename></annotation>"
    (source / "d.xml").write_text(bomb)
    done = run("import", "voc", source, tmp_path / "d")
    assert done.exit_code == 1 and len(left_out(done)) == 6, done.stderr
    for said in ("no area", "object[1].name: is missing", "'x' is not a number", "not valid XML", "<html>"):
        assert said in done.stderr
    assert "root:" not in done.stderr


def test_a_size_that_contradicts_the_image_is_named(tmp_path: Path) -> None:
    source = write_voc(tmp_path / "src", "", "<width>60</width><height>80</height>")
    done = run("import", "voc", source, tmp_path / "d")
    assert done.exit_code == 2 and "is 60×80, but it is 80×60" in done.stderr


# YOLO


def test_another_reader_finds_our_boxes_and_outlines_in_yolo(tmp_path: Path) -> None:
    project = demo(tmp_path)
    out = export(tmp_path, "yolo")
    described = yaml.safe_load((out / "data.yaml").read_text())
    assert list(described["names"].values()) == project.titles
    listed = {
        split: [(out / line).resolve() for line in (out / described[split]).read_text().splitlines()]
        for split in ("train", "val")
    }
    for item in project.items:
        image = out / "images" / item.dataset / item.name
        height, width = cv2.imread(str(image)).shape[:2]
        assert [s for s in listed if image.resolve() in listed[s]] == sorted(project.tags_of(item))
        # Ultralytics finds a text by putting `labels` for the last `images` in the path.
        lines = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt").read_text().splitlines()
        boxes = []
        for line in lines:
            number, *shares = line.split()
            values = np.array(shares, float).reshape(-1, 2) * (width, height)
            if len(values) == 2:
                box = [*(values[0] - values[1] / 2), *(values[0] + values[1] / 2)]
            else:
                box = [*values.min(axis=0), *values.max(axis=0)]
            boxes.append((described["names"][int(number)], box))
        wanted = [label for label in read_editable(item.annotation_path).labels if label.kind != "bitmap"]
        for label in wanted:
            assert label.geometry is not None
            extent = bounds(label.geometry)
            near = [extent.left, extent.top, extent.right + 1, extent.bottom + 1]
            assert any(title == label.title and np.allclose(box, near, atol=0.51) for title, box in boxes)


def write_yolo(folder: Path, *lines: str, names: Any = ("car", "bus")) -> Path:
    picture(folder / "train" / "images" / "a.jpg")
    picture(folder / "valid" / "images" / "b.jpg")
    (folder / "train" / "labels").mkdir()
    (folder / "train" / "labels" / "a.txt").write_text("\n".join(lines))
    described = {"train": "../train/images", "val": "../valid/images", "nc": 2, "names": names}
    (folder / "data.yaml").write_text(yaml.safe_dump(described))
    return folder


def test_yolo_as_roboflow_lays_it_out_is_read(tmp_path: Path) -> None:
    source = write_yolo(
        tmp_path / "src", "1 0.5 0.5 0.25 0.5", "0 0.1 0.1 0.5 0.1 0.5 0.6", names=["car", "bus"]
    )
    train, val = imported("yolo", source)
    assert train.labels[0].geometry == Rectangle(30, 15, 49, 44) and train.labels[0].title == "bus"
    assert isinstance(train.labels[1].geometry, Polygon)
    assert train.labels[1].geometry.exterior.tolist() == [[8, 6], [40, 6], [40, 36]]
    assert train.tags == ({"name": "train"},) and val.tags == ({"name": "val"},) and not val.labels


def test_bad_lines_are_named_by_number(tmp_path: Path) -> None:
    source = write_yolo(
        tmp_path / "src",
        "0 0.5 0.5 0.1 0.1",
        "2 0.5 0.5 0.1 0.1",
        "0 0.5 0.5 0.1",
        "0 0.5 0.5 0 0.1",
        "van 0.5 0.5 0.1 0.1",
        "0 nan 0.5 0.1 0.1",
        "-1 0.5 0.5 0.1 0.1",
        "0 1.7 0.5 0.1 0.1",
        names=["car", "bus"],
    )
    done = run("import", "yolo", source, tmp_path / "d")
    said = left_out(done)
    assert len(said) == 5 and "7 bad records were left out" in done.stderr, done.stderr
    assert all("a.txt, line" in line or "a.txt, object" in line for line in said), said
    assert "Left out, 3 times" in said[0] and "Also: line 5: 'van' is not a class" in said[0]
    assert "with 1 object of 1 class" in done.stdout and "1 image has no text of labels" in done.stderr


def test_yolo_without_names_asks_for_them(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", "0 0.5 0.5 0.1 0.1")
    (source / "data.yaml").unlink()
    done = run("import", "yolo", source, tmp_path / "d")
    assert done.exit_code == 2 and "--classes" in done.stderr
    (tmp_path / "names.txt").write_text("car\nbus\n")
    done = run("import", "yolo", source, tmp_path / "d", "--classes", tmp_path / "names.txt")
    assert done.exit_code == 0
    assert Project.open(tmp_path / "d").titles == ["car", "bus"]


# LabelMe


def test_labelme_s_shapes_are_read(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "pictures" / "a.png")
    mask = base64.b64encode(encoded(np.full((3, 4), 255, np.uint8))).decode()
    shapes = [
        {"label": "car", "points": [[1.5, 2.5], [9.9, 2.5], [9.9, 8]], "shape_type": "polygon"},
        {"label": "car", "points": [[20, 30], [10, 20]], "shape_type": "rectangle"},
        {"label": "car", "points": [[40, 30], [43, 34]], "shape_type": "circle"},
        {"label": "car", "points": [[1, 1], [5, 5]], "shape_type": "line"},
        {"label": "car", "points": [[7.9, 8.1]], "shape_type": "point", "flags": {"old": True, "new": False}},
        {"label": "car", "points": [[5, 6], [8, 8]], "shape_type": "mask", "mask": mask, "group_id": 3},
        {"label": "car", "points": [[1, 1]], "shape_type": "rectangle"},
        {"label": "car", "points": [[1, 1], [2, 2]], "shape_type": "points"},
        {"points": []},
    ]
    data = {
        "version": "5.0.1",
        "flags": {"night": True},
        "shapes": shapes,
        "imagePath": "..\\pictures\\a.png",
        "imageData": None,
        "imageHeight": 60,
        "imageWidth": 80,
    }
    (tmp_path / "src" / "labels").mkdir()
    (tmp_path / "src" / "labels" / "a.json").write_text(json.dumps(data))
    done = run("import", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 0 and len(left_out(done)) == 3, done.output
    (item,) = Project.open(tmp_path / "d").items
    document = read_editable(item.annotation_path)
    shapes_read = [label.geometry for label in document.labels]
    kinds = [Polygon, Rectangle, Polygon, Line, Point, Bitmap]
    assert [type(shape) for shape in shapes_read] == kinds and document.tags == ({"name": "night"},)
    assert shapes_read[1] == Rectangle(10, 20, 19, 29) and shapes_read[4] == Point(7, 8)
    assert isinstance(shapes_read[5], Bitmap)
    assert shapes_read[5].origin == (5, 6) and shapes_read[5].mask.shape == (3, 4)
    assert document.labels[4].tags == [{"name": "old"}]
    assert document.labels[5].tags == [{"name": "group_id", "value": 3}]


# CVAT


CVAT = """<?xml version="1.0"?><annotations><version>1.1</version><meta><task><labels>
<label><name>car</name><color>#ff0000</color><attributes><attribute><name>old</name>
<input_type>checkbox</input_type></attribute></attributes></label>
<label><name>bus</name><color>#00ff00</color></label></labels></task></meta>
<image id="0" name="a.png" subset="Validation" width="80" height="60">
<box label="car" occluded="1" xtl="10" ytl="20" xbr="30" ybr="25.2" z_order="2">
<attribute name="old">true</attribute></box>
<polygon label="car" points="1,1;9,1;9,9" z_order="1"/>
<mask label="bus" rle="0, 2, 1, 3" left="5" top="6" width="3" height="2" z_order="3"/>
<points label="bus" points="3.5,4;8,9" z_order="3"/>
<box label="bus" xtl="10" ytl="20" xbr="30" ybr="30" rotation="90" z_order="4"/>
<ellipse label="bus" cx="40" cy="30" rx="10" ry="5" z_order="5"/>
<mask label="bus" rle="0, 2" left="5" top="6" width="3" height="2" z_order="3"/>
<cuboid label="bus" z_order="3"/>
<tag label="night"/></image></annotations>"""


def test_cvat_is_read_in_the_order_of_drawing(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "a.png")
    (tmp_path / "src" / "annotations.xml").write_text(CVAT)
    done = run("import", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 0 and len(left_out(done)) == 2, done.output
    project = Project.open(tmp_path / "d")
    assert [(one.title, one.color) for one in project.classes] == [("car", "#FF0000"), ("bus", "#00FF00")]
    document = read_editable(project.items[0].annotation_path)
    shapes = [label.geometry for label in document.labels]
    assert [type(s) for s in shapes] == [Polygon, Rectangle, Bitmap, Point, Point, Polygon, Polygon]
    assert shapes[1] == Rectangle(10, 20, 29, 24)
    assert document.labels[1].tags == [{"name": "occluded"}, {"name": "old"}]
    assert isinstance(shapes[2], Bitmap) and shapes[2].mask.tolist() == [[True, True, False], [True] * 3]
    assert document.tags == ({"name": "val"}, {"name": "night"})


# Masks


def test_our_masks_are_what_training_draws(tmp_path: Path) -> None:
    project = demo(tmp_path)
    out = export(tmp_path, "masks")
    for item in project.items:
        path = out / "masks" / item.dataset / f"{item.image_path.stem}.png"
        drawn = draw_mask(project.annotation(item), project.titles)
        assert (read_mask(path)[0] == drawn).all()
        # Another reader sees the classes' colours, as the palette says them.
        colours = np.array([(0, 0, 0), *(one.rgb for one in project.classes)], np.uint8)
        assert (read_image(path) == colours[drawn]).all()


def write_masks(folder: Path, mask: np.ndarray | bytes, ending: str = ".png") -> Path:
    picture(folder / "images" / "a.png", 6, 8)
    (folder / "masks").mkdir(parents=True)
    content = mask if isinstance(mask, bytes) else encoded(mask, ending)
    (folder / "masks" / f"a_mask{ending}").write_bytes(content)
    return folder


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_black_and_white_is_one_class(tmp_path: Path, ending: str) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:6] = 255
    (document,) = imported("masks", write_masks(tmp_path / "src", mask, ending), "--class", "drop")
    (label,) = document.labels
    assert label.title == "drop" and isinstance(label.geometry, Bitmap)
    assert label.geometry.origin == (2, 1) and label.geometry.mask.shape == (2, 4)


def test_numbers_and_palettes_are_classes_by_their_place_in_the_list(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[0, 0], mask[1, :], mask[2, :], mask[5, 5] = 255, 1, 2, 9
    palette = np.zeros((256, 3), np.uint8)
    listed = tmp_path / "names.txt"
    listed.write_text("background\nsea\nland\n")
    for number, content in enumerate((mask, write_mask(mask, palette))):
        source = write_masks(tmp_path / str(number) / "src", content)
        done = run("import", "masks", source, tmp_path / f"d{number}", "--classes", listed)
        project = Project.open(tmp_path / f"d{number}")
        assert project.titles == ["sea", "land"] and len(left_out(done)) == 1, done.stderr
        assert "has the value 9, which is not a class" in done.stderr
        labels = read_editable(project.items[0].annotation_path).labels
        assert [label.title for label in labels] == ["sea", "land"]


def test_colours_are_classes(tmp_path: Path) -> None:
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[1, :], mask[2, :] = (0, 0, 255), (200, 10, 0)
    source = write_masks(tmp_path / "src", mask)
    done = run("import", "masks", source, tmp_path / "d")
    assert (
        Project.open(tmp_path / "d").titles == ["#0000FF", "#C80A00"] and "after their colours" in done.stderr
    )
    (source / "classes.txt").write_text("sea 0 0 255\n200 10 0 land\n")
    run("import", "masks", source, tmp_path / "e")
    project = Project.open(tmp_path / "e")
    assert [(one.title, one.color) for one in project.classes] == [("sea", "#0000FF"), ("land", "#C80A00")]


def test_masks_that_are_missing_or_of_another_size_are_named(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "src", np.zeros((6, 8), np.uint8))
    picture(source / "images" / "b.png", 6, 8)
    picture(source / "images" / "c.png", 6, 8)
    (source / "masks" / "c.png").write_bytes(encoded(np.zeros((9, 9), np.uint8)))
    done = run("import", "masks", source, tmp_path / "d")
    assert "b.png: has no mask" in done.stderr and "is 9×9, but its image 8×6" in done.stderr


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits_are_read(tmp_path: Path, bits: int) -> None:
    import zlib

    from ravenml.data.bitmap import chunk
    from ravenml.data.image_header import PNG_SIGNATURE

    values = np.arange(8, dtype=np.uint8) % (1 << bits)
    wide = np.unpackbits(values[:, None], axis=1)[:, 8 - bits :].reshape(-1)
    row = b"\0" + np.packbits(wide).tobytes()
    header = (8).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([bits, 3, 0, 0, 0])
    png = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"PLTE", bytes(range(3 << bits)))
    png += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    assert read_mask(tmp_path / "a.png")[0].tolist() == [values.tolist()]


def test_what_the_files_of_a_folder_share_is_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []

    def noted(function: Any) -> Any:
        return lambda *given: looks.append(given) or function(*given)

    for number in range(9):
        picture(tmp_path / "me" / f"{number}.png")
        shape = {"label": "a", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
        data = {"imagePath": f"D:\\other\\{number}.png", "shapes": [shape], "imageData": None}
        (tmp_path / "me" / f"{number}.json").write_text(json.dumps(data))
        picture(tmp_path / "voc" / "JPEGImages" / f"{number}.png")
        path = tmp_path / "voc" / "Annotations" / f"{number}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<annotation><filename>{number}.png</filename></annotation>")
    (tmp_path / "voc" / "ImageSets" / "Main").mkdir(parents=True)
    files_below = image_finder.files_below
    monkeypatch.setattr(image_finder, "files_below", noted(files_below))
    assert len(imported("labelme", tmp_path / "me")) == 9
    assert len([given for given in looks if len(given) == 1]) == 1  # beside the listing of the JSON files
    monkeypatch.setattr(image_finder, "files_below", files_below)
    monkeypatch.setattr(voc, "_names", noted(voc._names))
    looks.clear()
    assert len(imported("voc", tmp_path / "voc")) == 9 and len(looks) == 4  # the lists of the sets


@pytest.mark.parametrize("content", ["5", "{}", '{"a": "b"}', '{"4000000000": "far"}', "null"])
def test_a_list_of_classes_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(content)
    with pytest.raises(DataProblem, match="lists no classes"):
        classes_in(path)


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("dog 1 2 3\n\ncat\n", ["dog", "class 1", "cat"]),
        ("boeing 737 800 900\nairbus 320 10 10\n", ["boeing 737 800 900", "airbus 320 10 10"]),
        ("256 0 0 red\ncar 010 0 255\n", ["256 0 0 red", "car"]),
        ("# label:color_rgb\n\nsea:0,0,255::\n\nland:0,255,0::\n", ["sea", "land"]),
        ("\nsky\n", ["class 0", "sky"]),
    ],
)
def test_a_list_of_names_with_numbers_keeps_its_order(tmp_path: Path, text: str, titles: list[str]) -> None:
    (tmp_path / "classes.txt").write_text(text)
    assert [one.title for one in classes_in(tmp_path / "classes.txt")] == titles


def test_a_class_of_meta_json_is_called_as_it_says(tmp_path: Path) -> None:
    classes = [
        {"title": "car", "color": None},
        {"title": "tram 1 2 3", "color": "#FF0000"},
        {"title": "bus"},
    ]
    (tmp_path / "meta.json").write_text(json.dumps({"classes": classes}))
    found = [("car", None), ("tram 1 2 3", (255, 0, 0)), ("bus", None)]
    assert classes_in(tmp_path / "meta.json") == found


def test_cvat_s_images_are_counted_in_a_file_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(
        "<annotations>" + "".join(f'<image id="{n}"/>' for n in range(200_000)) + "</annotations>"
    )
    assert cvat._count(path) == 200_000 and cvat._count(tmp_path / "missing.xml") == 0
