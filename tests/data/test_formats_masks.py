"""Masks as people have them: soft edges, transparency, sizes, names and folders; and damaged ones."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from projects import encoded

from ravenml.data.annotation import read_annotation
from ravenml.data.bitmap import chunk
from ravenml.data.editable_annotation import read_editable
from ravenml.data.formats.base import ImportOptions
from ravenml.data.formats.conversion import Imported, import_project
from ravenml.data.formats.mask_values import has_soft_edges, nearest, read_mask, resized
from ravenml.data.image_header import PNG_SIGNATURE
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project
from ravenml.errors import InputError

SIZE = (40, 56)
PICTURE = np.full((*SIZE, 3), 90, np.uint8)
WHITE = np.zeros(SIZE, np.uint8)
WHITE[8:30, 10:40] = 255
NUMBERS = np.where(WHITE > 0, 2, 0).astype(np.uint8)
NUMBERS[20:30, 10:40] = 1


def put(path: Path, image: np.ndarray | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image if isinstance(image, bytes) else encoded(image, path.suffix))


def load(source: Path, **options: object) -> Imported:
    target = source.with_name(f"{source.name}_out{len(list(source.parent.iterdir()))}")
    return import_project(source, target, "masks", ImportOptions(**options))  # type: ignore[arg-type]


def areas(done: Imported) -> dict[str, dict[str, int]]:
    """Per image, the pixels of each class."""
    found = {}
    for item in Project.open(done.root).items:
        labels = read_editable(item.annotation_path).labels
        found[item.key] = {label.title: int(label.geometry.mask.sum()) for label in labels}  # type: ignore[union-attr]
    return found


AREA = int((WHITE > 0).sum())


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.png", "masks/mask_a.png"),
        ("images/a.png", "masks/a-seg.png"),
        ("imgs/a.jpg", "masks/a_mask.gif"),
        ("Images/a.JPG", "Masks/a.PNG"),
        ("images/img_7.png", "masks/mask_7.png"),
        ("images/7_sat.jpg", "masks/7_mask.png"),
        ("images/image.7.png", "masks/label.7.png"),
        ("train/a.png", "train_masks/a_mask.png"),
        ("train/a.png", "trainannot/a.png"),
        ("val_images/a.png", "val_masks/a.png"),
        ("test/images/a.png", "test/masks/a.png"),
        ("images/a.png", "annotations/trimaps/a.png"),
        ("leftImg8bit/train/ulm/ulm_1_leftImg8bit.png", "gtFine/train/ulm/ulm_1_gtFine_labelIds.png"),
        ("imagesTr/a_0000.png", "labelsTr/a.png"),
        ("a.png", "a_mask.png"),
        ("b/a (1).png", "b/a (1)_mask.png"),
    ],
)
def test_a_mask_is_found_by_its_folder_and_name(image: str, mask: str, tmp_path: Path) -> None:
    put(tmp_path / "src" / image, PICTURE)
    if mask.endswith(".gif"):
        out = io.BytesIO()
        Image.fromarray(WHITE).save(out, "GIF")
        put(tmp_path / "src" / mask, out.getvalue())
    else:
        put(tmp_path / "src" / mask, WHITE)
    done = load(tmp_path / "src")
    assert not done.losses.reasons and not done.notices
    (found,) = areas(done).values()
    assert found == {"object": AREA}


def test_splits_are_folders_and_become_tags(tmp_path: Path) -> None:
    for split in ("train", "val"):
        put(tmp_path / "src" / f"{split}_images" / "a.png", PICTURE)
        put(tmp_path / "src" / f"{split}_masks" / "a.png", WHITE)
    project = Project.open(load(tmp_path / "src").root)
    assert {item.dataset: set(project.tags_of(item)) for item in project.items} == {
        "train": {"train"},
        "val": {"val"},
    }


def test_cityscapes_other_pictures_of_the_same_objects_are_not_in_the_way(tmp_path: Path) -> None:
    put(tmp_path / "src" / "leftImg8bit" / "val" / "a_leftImg8bit.png", PICTURE)
    for kind in ("labelIds", "labelTrainIds", "instanceIds", "color"):
        put(tmp_path / "src" / "gtFine" / "val" / f"a_gtFine_{kind}.png", NUMBERS)
    done = load(tmp_path / "src")
    assert not done.losses.reasons
    assert set(areas(done)["val/a_leftImg8bit.png"]) == {"class 1", "class 2"}


def test_a_mask_is_never_taken_from_another_split(tmp_path: Path) -> None:
    for name in ("train/a.png", "val/b.png"):
        put(tmp_path / "src" / "images" / name, PICTURE)
    for name in ("train/b.png", "val/b.png"):
        put(tmp_path / "src" / "masks" / name, WHITE)
    done = load(tmp_path / "src")
    (reason,) = done.losses.reasons
    assert "train/a.png: has no mask below" in str(
        reason
    ) and "such as a.png, a_mask.png or mask_a.png" in str(reason)
    assert "train/b.png belongs to no image" in done.notices[0]


@pytest.mark.parametrize("in_the_folder", [("1.png",), ()])
def test_the_mask_of_another_folders_image_is_not_taken(
    in_the_folder: tuple[str, ...], tmp_path: Path
) -> None:
    for name in ("s1/1.png", "s1/2.png", "s2/1.png"):
        put(tmp_path / "src" / "images" / name, PICTURE)
    for name in (*(f"s1/{one}" for one in in_the_folder), "s2/1.png", "s2/2.png"):
        put(tmp_path / "src" / "masks" / name, WHITE)
    done = load(tmp_path / "src")
    assert set(areas(done)) == {*(f"s1/{one}" for one in in_the_folder), "s2/1.png"}
    assert all("has no mask below" in str(reason) for reason in done.losses.reasons)


def test_masks_in_folders_of_their_own_belong_to_the_images_of_their_names(tmp_path: Path) -> None:
    for name in ("s1/1.png", "s2/2.png"):
        put(tmp_path / "src" / "images" / name, PICTURE)
    for name in ("1.png", "checked/2.png"):
        put(tmp_path / "src" / "masks" / name, WHITE)
    assert set(areas(load(tmp_path / "src"))) == {"s1/1.png", "s2/2.png"}


def test_nnunet_says_its_classes_in_dataset_json(tmp_path: Path) -> None:
    for name in ("a_0000.png", "b_0000.png"):
        put(tmp_path / "src" / "imagesTr" / name, PICTURE)
        put(tmp_path / "src" / "labelsTr" / name.replace("_0000", ""), np.where(NUMBERS == 1, 3, NUMBERS))
    labels = {"background": 0, "pond": 1, "hedge": 2, "ignore": 3}
    (tmp_path / "src" / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".png"}))
    done = load(tmp_path / "src")
    assert areas(done)["src/a_0000.png"] == {"hedge": int((NUMBERS == 2).sum())}
    (tmp_path / "src" / "dataset.json").write_text(
        '{"labels": {"0": "background", "2": "roof", "3": "yard"}}'
    )
    assert set(areas(load(tmp_path / "src"))["src/a_0000.png"]) == {"roof", "yard"}
    (tmp_path / "src" / "dataset.json").write_text('{"labels": {"background": 0, "whole": [1, 2]}}')
    with pytest.raises(InputError, match=r"labels\.whole: is not a class's number .* with --classes"):
        load(tmp_path / "src")


def test_what_was_looked_for_is_said(tmp_path: Path) -> None:
    put(tmp_path / "src" / "pictures" / "a.png", PICTURE)
    with pytest.raises(
        InputError, match=r"images/ and masks/, imgs/ and masks/, .*a_mask\.png.* with --images"
    ):
        load(tmp_path / "src")


@pytest.mark.parametrize("blur", [3, 5])
def test_soft_edges_are_cut_at_half(blur: int, tmp_path: Path) -> None:
    put(tmp_path / "src" / "images" / "a.png", PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", cv2.GaussianBlur(WHITE, (blur, blur), 0))
    done = load(tmp_path / "src")
    (found,) = areas(done).values()
    assert list(found) == ["object"] and abs(found["object"] - AREA) < 12
    assert "a.png, have soft edges; what is brighter than 127" in done.notices[0]


def test_wide_smooth_edges_are_soft_too_and_scribbles_of_many_classes_are_not() -> None:
    large = cv2.resize(WHITE, (560, 400), interpolation=cv2.INTER_NEAREST)
    assert has_soft_edges(cv2.GaussianBlur(large, (25, 25), 0))
    scribbles = np.full((400, 400), 255, np.uint8)
    for number in range(1, 60):
        scribbles[6 * number : 6 * number + 6, 20:80] = number
    assert not has_soft_edges(scribbles)


def test_soft_edges_of_16_bits_are_cut_too(tmp_path: Path) -> None:
    put(tmp_path / "a.png", cv2.GaussianBlur(WHITE.astype(np.uint16) * 257, (3, 3), 0))
    values = read_mask(tmp_path / "a.png")[0]
    assert values.dtype == np.uint8 and has_soft_edges(values)


@pytest.mark.parametrize("shades", [(0, 1, 2), (0, 85, 170, 255)])
def test_numbers_in_a_jpeg_are_refused_and_not_lost(shades: tuple[int, ...], tmp_path: Path) -> None:
    mask = np.repeat(np.array(shades, np.uint8), 16)[None].repeat(40, axis=0)
    put(tmp_path / "a.jpg", mask)
    with pytest.raises(DataProblem, match=r"a\.jpg: is a JPEG of shades .* save the masks as PNG"):
        read_mask(tmp_path / "a.jpg")


def test_a_mask_of_several_pages_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.tif", bytes(cv2.imencodemulti(".tif", [WHITE, NUMBERS])[1]))
    with pytest.raises(DataProblem, match="holds several pages or frames; save each"):
        read_mask(tmp_path / "a.tif")


def test_a_jpeg_saved_as_png_has_soft_edges_too() -> None:
    assert has_soft_edges(cv2.imdecode(np.frombuffer(encoded(WHITE, ".jpg"), np.uint8), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("values", [(1, 2, 255), (85, 170, 255), (1, 128, 255), (40, 41, 42)])
def test_numbers_of_classes_are_not_taken_for_soft_edges(values: tuple[int, int, int]) -> None:
    mask = np.zeros(SIZE, np.uint8)
    for number, value in enumerate(values):
        mask[4:34, 4 + 14 * number : 16 + 14 * number] = value
    assert not has_soft_edges(mask)


def test_one_listed_class_is_what_white_means(tmp_path: Path) -> None:
    put(tmp_path / "src" / "images" / "a.png", PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", WHITE)
    (tmp_path / "src" / "classes.txt").write_text("background\npond\n")
    assert areas(load(tmp_path / "src")) == {"src/a.png": {"pond": AREA}}
    (tmp_path / "src" / "classes.txt").write_text("background\npond\nhedge\n")
    with pytest.raises(InputError, match="holds no image that could be imported"):
        load(tmp_path / "src")


def test_transparent_pixels_are_background_whatever_their_colour(tmp_path: Path) -> None:
    put(tmp_path / "src" / "images" / "a.png", PICTURE)
    colour = np.where(WHITE[..., None] > 0, (255, 0, 0, 255), (255, 255, 255, 0)).astype(np.uint8)
    put(tmp_path / "src" / "masks" / "a.png", colour)
    (tmp_path / "src" / "classes.txt").write_text("pond #FF0000\n")
    assert areas(load(tmp_path / "src")) == {"src/a.png": {"pond": AREA}}
    put(
        tmp_path / "src" / "masks" / "a.png", np.dstack([np.zeros((*SIZE, 3), np.uint8), WHITE])
    )  # alpha alone
    assert areas(load(tmp_path / "src")) == {"src/a.png": {"pond": AREA}}


def test_colours_with_soft_edges_become_the_nearest_of_the_listed(tmp_path: Path) -> None:
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[8:30, 10:25], mask[8:30, 25:40] = (200, 30, 40), (20, 180, 60)
    put(tmp_path / "src" / "images" / "a.png", PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", cv2.GaussianBlur(mask, (3, 3), 0))
    (tmp_path / "src" / "classes.txt").write_text("roof 200 30 40\nhedge 20 180 60\n")
    done = load(tmp_path / "src")
    (found,) = areas(done).values()
    assert set(found) == {"roof", "hedge"} and not done.losses.reasons
    assert "have colours between those of the classes" in done.notices[0]
    assert nearest(np.full((20, 20), 0x8080FF, np.uint32), [0xC81E28]) is None


def test_white_is_a_colour_among_colours(tmp_path: Path) -> None:
    red = np.where(WHITE[..., None] > 0, (255, 0, 0), (0, 0, 0)).astype(np.uint8)
    for name, mask in (("a.png", red), ("b.png", np.dstack([WHITE] * 3))):
        put(tmp_path / "src" / "images" / name, PICTURE)
        put(tmp_path / "src" / "masks" / name, mask)
    assert areas(load(tmp_path / "src")) == {"src/a.png": {"#FF0000": AREA}, "src/b.png": {"#FFFFFF": AREA}}
    (tmp_path / "src" / "classes.txt").write_text("bg 0 0 0\nroof 255 0 0\nsnow 255 255 255\n")
    assert areas(load(tmp_path / "src")) == {"src/a.png": {"roof": AREA}, "src/b.png": {"snow": AREA}}


@pytest.mark.parametrize("listed", ["car #FF0000\nroad #00FF00\nsky #0000FF\n", "car\nroad\nsky\n"])
def test_a_first_class_that_looks_like_background_is_told(listed: str, tmp_path: Path) -> None:
    put(tmp_path / "src" / "images" / "a.png", PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", NUMBERS)
    (tmp_path / "src" / "classes.txt").write_text(listed)
    done = load(tmp_path / "src")
    assert areas(done)["src/a.png"]["car"] == WHITE.size - AREA
    (notice,) = done.notices
    assert 'Most of the masks\' pixels are 0, which is "car", the first class in' in notice
    for first in ("background", "unlabeled #000000"):
        (tmp_path / "src" / "classes.txt").write_text(f"{first}\n{listed}")
        assert not load(tmp_path / "src").notices


def test_a_first_class_that_few_pixels_have_is_not_told(tmp_path: Path) -> None:
    put(tmp_path / "src" / "images" / "a.png", PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", np.where(WHITE > 0, 0, 1).astype(np.uint8))
    (tmp_path / "src" / "classes.txt").write_text("car\nroad\n")
    done = load(tmp_path / "src")
    assert areas(done)["src/a.png"]["car"] == AREA and not done.notices


def test_few_bits_of_grey_are_numbers(tmp_path: Path) -> None:
    for value in (1, 3, 15):
        header = (4).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([4, 0, 0, 0, 0])
        row = b"\0" + bytes([value << 4 | value, value << 4])
        png = (
            PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
        )
        put(tmp_path / "a.png", png)
        white = 255 if value == 15 else value
        assert read_mask(tmp_path / "a.png")[0].tolist() == [[white, white, white, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_of_the_upright_and_of_the_stored_size_fit_a_turned_image(
    orientation: int, tmp_path: Path
) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x112] = orientation
    stored = np.dstack([WHITE] * 3)
    Image.fromarray(stored).save(out, "JPEG", exif=exif, quality=95)
    with Image.open(out) as image:
        upright = np.array(ImageOps.exif_transpose(image).convert("L")) > 127
    put(tmp_path / "src" / "images" / "a.jpg", out.getvalue())
    put(tmp_path / "src" / "images" / "b.jpg", out.getvalue())
    put(tmp_path / "src" / "masks" / "a.png", np.where(upright, 255, 0).astype(np.uint8))
    put(tmp_path / "src" / "masks" / "b.png", WHITE if orientation >= 5 else np.where(upright, 255, 0))
    project = Project.open(load(tmp_path / "src").root)
    for item in project.items:
        (label,) = read_annotation(item.annotation_path, {"object": "bitmap"}).objects
        box = label.geometry.mask.shape  # type: ignore[union-attr]
        rows, columns = np.nonzero(upright)
        assert abs(box[0] - (np.ptp(rows) + 1)) <= 1 and abs(box[1] - (np.ptp(columns) + 1)) <= 1
        assert np.abs(np.array(label.geometry.origin) - (columns.min(), rows.min())).max() <= 1  # type: ignore[union-attr]


def test_a_mask_of_another_size_leaves_its_image_out_or_is_resized_when_asked(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        put(tmp_path / "src" / "images" / name, PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", WHITE)
    put(tmp_path / "src" / "masks" / "b.png", WHITE[:, 1:])
    put(tmp_path / "src" / "masks" / "c.png", WHITE[::2, ::2])
    put(tmp_path / "src" / "masks" / "d.png", WHITE[:, :30])
    done = load(tmp_path / "src")
    assert list(areas(done)) == ["src/a.png"] and done.losses.images == 3
    said = " ".join(map(str, done.losses.reasons))
    assert "is 55×40, but its image 56×40; put the right mask there, or scale it" in said
    assert "--resize-annotations" in said
    asked = load(tmp_path / "src", resize_annotations=True)
    assert asked.losses.images == 1 and "is 30×40" in str(asked.losses.reasons[0])
    found = areas(asked)
    assert found["src/c.png"]["object"] == AREA and abs(found["src/b.png"]["object"] - AREA) <= SIZE[0]


def test_a_mask_of_values_that_are_no_classes_leaves_its_image_out(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        put(tmp_path / "src" / "images" / name, PICTURE)
    put(tmp_path / "src" / "masks" / "a.png", NUMBERS)
    put(tmp_path / "src" / "masks" / "b.png", np.where(NUMBERS > 0, 9, 0).astype(np.uint8))
    (tmp_path / "src" / "classes.txt").write_text("background\npond\nhedge\n")
    done = load(tmp_path / "src")
    assert list(areas(done)) == ["src/a.png"]
    assert "b.png: has the value 9, which is not a class" in str(done.losses.reasons[0])


@given(height=st.integers(1, 90), width=st.integers(1, 90), factor=st.sampled_from([0.5, 1, 2, 3]))
def test_a_resized_mask_has_its_image_s_size_and_no_new_value(height: int, width: int, factor: float) -> None:
    mask = np.arange(height * width).reshape(height, width) % 7
    size = (max(round(height * factor), 1), max(round(width * factor), 1))
    found = resized(mask, size)
    if found is not None:
        assert found.shape == size and set(found.flat) <= set(mask.flat)
    assert resized(mask, (height, width)) is not None


VALID = {
    "grey.png": encoded(WHITE, ".png"),
    "numbers.png": encoded(NUMBERS, ".png"),
    "colours.bmp": encoded(np.dstack([WHITE, WHITE // 2, NUMBERS]), ".bmp"),
    "alpha.png": encoded(np.dstack([WHITE, WHITE, WHITE, WHITE]), ".png"),
    "grey.jpg": encoded(WHITE, ".jpg"),
    "grey.tif": encoded(WHITE, ".tif"),
    "deep.png": encoded(NUMBERS.astype(np.uint16) * 300, ".png"),
}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(VALID))
def test_a_damaged_mask_gives_objects_or_leaves_its_image_out_by_name(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    content = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)) | st.integers(0, min(60, len(content))))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    source = tmp_path / str(len(list(tmp_path.iterdir())))
    put(source / "images" / f"a{Path(name).suffix}", PICTURE)
    put(source / "images" / "b.png", PICTURE)
    put(source / "masks" / f"a{Path(name).suffix}", bytes(content))
    put(source / "masks" / "b.png", WHITE)
    done = load(source)
    lost = [one for reason in done.losses.reasons for one in reason.examples]
    assert done.images + done.losses.images == 2
    assert done.images == 2 or lost[0].file.name.startswith("a.")
