"""Kinds of images beside PNG and JPEG: read right, or named; and damaged files of every kind."""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from projects import encoded, write_project

from ravenml.data.bitmap import chunk
from ravenml.data.formats.conversion import import_project
from ravenml.data.image_header import PNG_SIGNATURE, parse_header
from ravenml.data.images import decode_image, has_more_pages, read_header, read_image
from ravenml.data.inspection import as_text, inspect_project
from ravenml.data.problems import DataProblem
from ravenml.infer.inputs import open_inputs

PATH = Path("picture")
QUARTERS = np.zeros((32, 40, 3), np.uint8)
QUARTERS[:16, :20] = (250, 20, 20)
QUARTERS[16:, 20:] = (20, 240, 30)
LOSSLESS = [".png", ".bmp", ".tif", ".gif", ".jp2", ".ppm"]
EXTENSIONS = [*LOSSLESS, ".jpg", ".webp", ".avif", ".heic"]


@functools.cache
def picture(extension: str) -> bytes:
    """The picture as a file of this kind, made by another program than reads it where there is one."""
    image = QUARTERS
    if extension == ".heic":
        heif, out = pytest.importorskip("pillow_heif"), io.BytesIO()
        heif.from_bytes("RGB", image.shape[1::-1], image.tobytes()).save(out, quality=-1)
        return out.getvalue()
    if extension == ".gif":
        out = io.BytesIO()
        Image.fromarray(image).save(out, "GIF")
        return out.getvalue()
    return encoded(image, extension)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_each_kind_is_read_and_its_header_says_its_size(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{extension}"
    path.write_bytes(picture(extension))
    image = read_image(path)
    assert image.dtype == np.uint8 and image.shape == QUARTERS.shape
    assert np.abs(image.astype(int) - QUARTERS).mean() < (0.1 if extension in LOSSLESS else 8)
    assert read_header(path).size == QUARTERS.shape[:2]
    header = parse_header(picture(extension))
    assert header is not None
    assert header.stored == QUARTERS.shape[:2] or extension == ".heic"  # which is coded in larger blocks


@pytest.mark.parametrize(
    "content",
    [
        b"P6 # by hand\n#\n2 3 255\n" + bytes(range(18)),
        b"P5\n2 3\n255\n" + bytes(range(6)),
        b"P2\n2 3\n9\n0 1 2 3 4 5\n",
        b"P4\n9 2\n\xff\x80\x00\x00",
        b"P1\n2 2\n0 1\n1 0\n",
    ],
)
def test_a_netpbm_file_has_the_size_that_it_says(content: bytes) -> None:
    header = parse_header(content)
    assert header is not None and decode_image(content, PATH).shape[:2] == header.stored


@pytest.mark.parametrize("orientation", range(1, 9))
def test_how_a_phone_was_held_is_obeyed_in_avif(orientation: int) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x112] = orientation
    Image.fromarray(QUARTERS).save(out, "AVIF", exif=exif, quality=90)
    upright = [
        QUARTERS,
        QUARTERS[:, ::-1],
        QUARTERS[::-1, ::-1],
        QUARTERS[::-1],
        QUARTERS.transpose(1, 0, 2),
        np.rot90(QUARTERS, -1),
        QUARTERS[::-1, ::-1].transpose(1, 0, 2),
        np.rot90(QUARTERS),
    ][orientation - 1]
    image = decode_image(out.getvalue(), PATH)
    assert image.shape == upright.shape and np.abs(image.astype(int) - upright).mean() < 8


def test_heic_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataProblem, match=r"is HEIC, which takes the extra `formats` to read; install that"):
        decode_image(picture(".heic"), PATH)


def pages(*images: np.ndarray) -> bytes:
    return bytes(cv2.imencodemulti(".tif", list(images))[1])


def frames(kind: str, *images: np.ndarray) -> bytes:
    out = io.BytesIO()
    first, *others = map(Image.fromarray, images)
    first.save(out, kind, save_all=True, append_images=others)
    return out.getvalue()


def test_of_several_pages_or_frames_the_first_is_read_and_that_is_known() -> None:
    other = 255 - QUARTERS
    several = [
        pages(QUARTERS[..., ::-1], other),
        *(frames(k, QUARTERS, other) for k in ("GIF", "PNG", "WEBP")),
    ]
    for content in several:
        assert has_more_pages(content)
        assert np.abs(decode_image(content, PATH).astype(int) - QUARTERS).mean() < 8
    assert not any(has_more_pages(content) for content in map(picture, LOSSLESS))


def test_a_bigtiff_is_read_and_its_size_is_known() -> None:
    pixels = QUARTERS.tobytes()
    tags = [(256, 40), (257, 32), (258, 8), (262, 2), (273, 16), (277, 3), (278, 32), (279, len(pixels))]
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 16 + len(pixels))
    directory = struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", t, 4, 1, v) for t, v in tags)
    content = head + pixels + directory + struct.pack("<Q", 0)
    header = parse_header(content)
    assert header is not None and header.stored == (32, 40) and not header.more
    assert (decode_image(content, PATH) == QUARTERS).all()


def test_a_tiff_of_floats_is_named() -> None:
    content = bytes(cv2.imencode(".tif", QUARTERS.astype(np.float32))[1])
    with pytest.raises(DataProblem, match="samples of the kind float32, whose range is not known; scale"):
        decode_image(content, PATH)


def bilevel(size: int) -> bytes:
    """A PNG of one bit that says it has this many rows, and holds a thousandth of them."""
    header = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)
    rows = (b"\0" + b"\xff" * (size // 8)) * (size // 1000)
    data = chunk(b"IDAT", zlib.compress(rows))
    return PNG_SIGNATURE + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bilevel(16_000))
    for read in (read_header, read_image):
        with pytest.raises(DataProblem, match=r"it has 16000×16000 pixels, in a file of \d+ bytes"):
            read(path)


def test_a_large_scan_in_black_and_white_is_not_a_bomb() -> None:
    from ravenml.data.image_header import Header, why_too_large

    page = Header((23_400, 33_100), bits=1)  # A0 at 600 dpi
    assert not why_too_large(page, length=1_500_000, pixels_per_byte=300)
    assert why_too_large(page, length=94_000, pixels_per_byte=300)


def test_inspecting_a_project_with_a_bomb_makes_no_room_for_its_mask(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", images=2)
    (root / "scenes" / "img" / "scene_000.png").write_bytes(bilevel(16_000))
    annotation = root / "scenes" / "ann" / "scene_000.png.json"
    annotation.write_text(annotation.read_text().replace('"height": 40', '"height": 900000'))
    found = inspect_project(root)
    assert [problem.file.name for problem in found.problems] == ["scene_000.png"]


def test_inspection_tells_of_pages_that_are_not_read(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", names=["a.tif", "b.tif"])
    image = read_image(root / "scenes" / "img" / "a.tif")
    (root / "scenes" / "img" / "a.tif").write_bytes(pages(image, image))
    found = inspect_project(root)
    assert not found.problems
    assert "a.tif holds several pages or frames, of which the first is used." in as_text(found)


def test_inference_names_images_of_kinds_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(picture(".gif"))
    (tmp_path / "b.psd").write_bytes(b"8BPS")
    inputs = open_inputs(str(tmp_path))
    assert [one.name for one in inputs.pictures] == ["a.gif"]
    assert 'b.psd: images of the kind ".psd" are not read; convert it to PNG or JPEG.' in str(
        inputs.faults[0]
    )


def test_an_import_reads_all_kinds_and_names_what_it_cannot(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for extension in LOSSLESS:
        (source / f"{extension[1:]}{extension}").write_bytes(picture(extension))
    (source / "pages.tif").write_bytes(pages(QUARTERS, QUARTERS))
    (source / "layers.psd").write_bytes(b"8BPS")
    for image in list(source.iterdir()):
        image.with_suffix(".txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (source / "data.yaml").write_text("names: [crate]\n")
    done = import_project(source, tmp_path / "out", "yolo")
    assert done.images == len(LOSSLESS) + 1 == done.objects
    assert "pages.tif holds several pages or frames, of which the first is used." in " ".join(done.notices)
    (reason,) = done.losses.reasons
    assert 'layers.psd: images of the kind ".psd" are not read; convert it' in str(reason)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 0.999))
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_file_that_is_cut_off_is_named_or_read_whole(extension: str, share: float) -> None:
    content = picture(extension)
    try:
        image = decode_image(content[: int(share * len(content))], PATH)
    except DataProblem as problem:
        assert str(problem).startswith("picture: ")
    else:
        assert (image == decode_image(content, PATH)).all()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_damaged_file_becomes_an_image_or_a_sentence(extension: str, data: st.DataObject) -> None:
    content = bytearray(picture(extension))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(200, len(content) - 1)))
        cut = data.draw(st.integers(0, 3))
        content[at : at + cut] = data.draw(st.binary(max_size=4))
        if not content:
            break
    try:
        image = decode_image(bytes(content), PATH)
    except DataProblem as problem:
        assert str(problem).startswith("picture: ")
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


@given(content=st.binary(max_size=200), extension=st.sampled_from(EXTENSIONS))
@example(content=b"", extension=".gif")
def test_no_header_is_parsed_with_a_traceback(content: bytes, extension: str) -> None:
    whole = picture(extension)[: 200 - len(content)] + content
    with contextlib.suppress(IndexError, ValueError):
        parse_header(whole)
