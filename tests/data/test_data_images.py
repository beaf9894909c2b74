"""Reading image files: formats, kinds of pixels, orientation, and files that are not whole."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from projects import encoded

from ravenml.data.images import decode_image, encode_png, read_image
from ravenml.data.problems import DataProblem

PATH = Path("picture")
RANDOM = np.random.default_rng(0)
SMOOTH = cv2.resize(
    RANDOM.integers(0, 255, (6, 8, 3)).astype(np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC
)


@pytest.mark.parametrize(
    ("extension", "tolerance"), [(".png", 0), (".bmp", 0), (".tif", 0), (".webp", 0), (".jpg", 6)]
)
def test_each_format_is_read_as_rgb(tmp_path: Path, extension: str, tolerance: int) -> None:
    path = tmp_path / f"a{extension}"
    path.write_bytes(encoded(SMOOTH, extension))
    image = read_image(path)
    assert image.shape == (60, 80, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - SMOOTH).mean() <= tolerance


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".jpg"])
def test_grey_images_have_three_equal_channels(extension: str) -> None:
    image = decode_image(encoded(SMOOTH[:, :, 0], extension), PATH)
    assert image.shape == (60, 80, 3)
    assert (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp"])
def test_transparency_is_dropped_and_hidden_colours_stay(extension: str) -> None:
    alpha = np.full((60, 80, 1), 100, np.uint8)
    image = decode_image(encoded(np.dstack([SMOOTH, alpha]), extension), PATH)
    assert image.shape == (60, 80, 3) and np.abs(image.astype(int) - SMOOTH).mean() < 3


@pytest.mark.parametrize("extension", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_images_are_scaled_to_8(extension: str, channels: int) -> None:
    deep = SMOOTH.astype(np.uint16) * 256 + 77
    given = deep[:, :, 0] if channels == 1 else deep
    image = decode_image(
        bytes(cv2.imencode(extension, given[..., ::-1] if channels == 3 else given)[1]), PATH
    )
    assert image.dtype == np.uint8
    expected = SMOOTH if channels == 3 else np.dstack([SMOOTH[:, :, 0]] * 3)
    assert np.abs(image.astype(int) - expected).max() <= 1


def exif(orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0"


def jpeg_with(orientation: int) -> bytes:
    content = encoded(SMOOTH, ".jpg")
    segment = b"Exif\0\0" + exif(orientation)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]


def png_with(orientation: int) -> bytes:
    content = encoded(SMOOTH)
    chunk = b"eXIf" + exif(orientation)
    return (
        content[:33]
        + struct.pack(">I", len(chunk) - 4)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + content[33:]
    )


def tiff_with(orientation: int) -> bytes:
    """An uncompressed TIFF, written by hand."""
    height, width = SMOOTH.shape[:2]
    pixels = SMOOTH.tobytes()
    short, long = 3, 4
    tags = [
        (256, long, 1, width), (257, long, 1, height), (258, short, 1, 8), (259, short, 1, 1),
        (262, short, 1, 2), (273, long, 1, 8), (274, short, 1, orientation), (277, short, 1, 3),
        (278, long, 1, height), (279, long, 1, len(pixels)), (284, short, 1, 1),
    ]  # fmt: skip
    directory = (
        struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    )
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + directory


UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: np.rot90(image),
}


@pytest.mark.parametrize("orientation", list(UPRIGHT))
@pytest.mark.parametrize(("make", "tolerance"), [(jpeg_with, 6), (png_with, 0), (tiff_with, 0)])
def test_the_exif_orientation_is_applied(make: object, tolerance: int, orientation: int) -> None:
    expected = UPRIGHT[orientation](SMOOTH)
    image = decode_image(make(orientation), PATH)  # type: ignore[operator]
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() <= tolerance


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("keep", [0.05, 0.3, 0.6, 0.9, -40, -13, -2])
def test_a_truncated_image_is_an_error(extension: str, keep: float) -> None:
    content = encoded(SMOOTH, extension)
    part = content[: int(len(content) * keep)] if keep > 0 else content[: int(keep)]
    with pytest.raises(DataProblem, match=r"picture: .*(cut off|damaged)"):
        decode_image(part, PATH)


def test_a_truncated_jpeg_with_a_whole_thumbnail_in_it_is_an_error() -> None:
    content, thumbnail = encoded(SMOOTH, ".jpg"), encoded(SMOOTH[:20, :20], ".jpg")
    segment = b"Exif\0\0" + exif(1) + thumbnail
    whole = content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]
    assert decode_image(whole, PATH).shape == SMOOTH.shape
    with pytest.raises(DataProblem, match="cut off"):
        decode_image(whole[:-300], PATH)


def test_a_png_with_damaged_pixels_is_an_error() -> None:
    content = bytearray(encoded(SMOOTH))
    content[len(content) // 2] ^= 0x55
    with pytest.raises(DataProblem, match="damaged"):
        decode_image(bytes(content), PATH)


def test_bytes_after_the_image_do_no_harm() -> None:
    for extension in (".png", ".jpg"):
        assert decode_image(encoded(SMOOTH, extension) + b"\0" * 3000, PATH).shape == SMOOTH.shape


def test_what_is_no_image_says_which_formats_are_read(tmp_path: Path) -> None:
    with pytest.raises(
        DataProblem,
        match="is not a PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, AVIF, HEIC or PNM image; convert it",
    ):
        decode_image(b"hello, world", PATH)
    with pytest.raises(DataProblem, match="the file is empty"):
        decode_image(b"", PATH)
    with pytest.raises(DataProblem, match="does not exist"):
        read_image(tmp_path / "nowhere.png")


def test_writing_a_png_and_reading_it_gives_the_same_pixels() -> None:
    assert (decode_image(encode_png(SMOOTH), PATH) == SMOOTH).all()
