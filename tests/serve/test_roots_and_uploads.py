"""Which files a server touches, and which images it decodes."""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from ravenml.data.problems import DataProblem
from ravenml.errors import InputError
from ravenml.serve.allowed_paths import AllowedPaths
from ravenml.serve.uploads import Refused, check_upload, decode_upload, image_size

PICTURE = np.random.default_rng(0).integers(0, 255, (30, 50, 3), dtype=np.uint8)


def test_paths_below_the_roots_are_accepted_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "link").symlink_to("inner")
    roots = AllowedPaths([tmp_path / "data", tmp_path / "other"])
    assert roots.resolve(tmp_path / "data") == tmp_path / "data"
    assert roots.resolve("inner/a.png") == tmp_path / "data/inner/a.png"  # begins at the first root
    assert roots.resolve(tmp_path / "data" / "link") == tmp_path / "data" / "inner"
    assert roots.resolve(tmp_path / "other" / "not" / "there") == tmp_path / "other/not/there"


def test_no_way_leads_out_of_the_roots(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "data2").mkdir()
    (root / "link").symlink_to("/etc")
    roots = AllowedPaths([root])
    for path in (
        "/etc/passwd",
        "../data2",
        "link/passwd",
        "a\0b",
        "~nobody-here/x",
        "~",
    ):
        with pytest.raises(InputError, match="not below the folders that this server may use"):
            roots.resolve(path)


def test_by_default_the_roots_are_the_folder_of_start_and_ravenml_s_home(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "start").mkdir()
    monkeypatch.chdir(tmp_path / "start")
    roots = AllowedPaths()
    assert roots.resolve("x") == tmp_path / "start" / "x"
    assert roots.resolve(home / "runs") == home / "runs"
    with pytest.raises(InputError):
        roots.resolve(tmp_path / "elsewhere")


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_the_size_is_read_from_the_header_of_every_format(extension: str) -> None:
    content = cv2.imencode(extension, PICTURE)[1].tobytes()
    assert image_size(content) == (50, 30)
    assert decode_upload(content, "a").shape == (30, 50, 3)


@pytest.mark.parametrize(
    "options",
    [
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),  # without losses
        (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    ],
)
def test_the_size_is_read_of_other_kinds_too(options: tuple[str, list[int]]) -> None:
    assert image_size(cv2.imencode(options[0], PICTURE, options[1])[1].tobytes()) == (50, 30)


def png_bomb(side: int) -> bytes:
    """A valid PNG of side × side black pixels, a thousandth of that in bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + b"\x01\x00\x00\x00\x00"
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    import resource

    bomb = png_bomb(20000)  # 1.2 GB once decoded
    assert len(bomb) < 100_000 and image_size(bomb) == (20000, 20000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Refused, match="20000×20000, which is more than") as refused:
        decode_upload(bomb, "bomb.png")
    assert refused.value.status == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_small_tiff_with_an_enormous_tile_is_refused() -> None:
    fields = [(256, 10), (257, 10), (258, 8), (277, 1), (322, 30000), (323, 30000)]
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in fields
    )
    content = b"II*\0\x08\0\0\0" + len(fields).to_bytes(2, "little") + entries + b"\0\0\0\0"
    with pytest.raises(Refused, match="30000×30000"):
        decode_upload(content, "tile.tif")


def test_a_small_png_with_a_chunk_that_claims_to_be_enormous_is_refused() -> None:
    content = bytearray(cv2.imencode(".png", PICTURE)[1].tobytes())
    content[33] = 0x7F  # the highest byte of the first chunk's length
    with pytest.raises(Refused, match="truncated or damaged"):
        decode_upload(bytes(content), "chunk.png")


def test_what_is_too_large_damaged_or_no_image_is_told() -> None:
    content = cv2.imencode(".png", PICTURE)[1].tobytes()
    with pytest.raises(Refused, match=r"a\.png has \d+ bytes, and at most 100 are accepted"):
        decode_upload(content, "a.png", max_bytes=100)
    with pytest.raises(Refused, match="50×30"):
        decode_upload(content, "a.png", max_pixels=1499)
    with pytest.raises(Refused, match="not a supported image") as refused:
        decode_upload(b"GIF89a" + bytes(100), "a.gif")
    assert refused.value.status == 415
    with pytest.raises(Refused, match="truncated or damaged"):
        decode_upload(content[:-20], "a.png")
    with pytest.raises(DataProblem, match="damaged"):
        decode_upload(content[:60] + bytes(100) + content[160:], "a.png")
    for part in range(len(content[:40])):
        with pytest.raises(InputError):
            decode_upload(content[:part], "a.png")


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_damaged_headers_raise_nothing_else(extension: str) -> None:
    random = np.random.default_rng(1)
    content = np.frombuffer(cv2.imencode(extension, PICTURE)[1].tobytes(), np.uint8)
    for _ in range(60):
        damaged = content.copy()
        places = random.integers(0, min(len(content), 64), 4)
        damaged[places] = random.integers(0, 256, 4)
        cut = damaged[: int(random.integers(1, len(content)))] if random.random() < 0.3 else damaged
        with suppress(InputError):
            decode_upload(cut.tobytes(), "a", max_pixels=10**5)


def test_a_link_that_changes_after_the_check_leads_nowhere(tmp_path: Path) -> None:
    """What is returned is free of links, so that a later change of one does not lead elsewhere."""
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to("a")
    checked = AllowedPaths([tmp_path / "root"]).resolve("link/file")
    os.unlink(tmp_path / "root" / "link")
    (tmp_path / "root" / "link").symlink_to("/etc")
    assert checked == tmp_path / "root" / "a" / "file"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff" + b"\xff" * 2**24,
        b"\xff\xd8" + b"\xff\xe1\x00\x02" * 2**22,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IDAT\0\0\0\0" * 2**20,
    ],
    ids=["fill bytes", "empty segments", "empty chunks"],
)
def test_a_header_of_millions_of_parts_takes_no_time(content: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Refused, match="is not a supported image"):
        check_upload(content, "a.jpg")
    assert time.process_time() - began < 0.5


def test_bytes_that_fill_up_are_stepped_over() -> None:
    jpeg = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    assert image_size(jpeg[:2] + b"\xff" * 5 + jpeg[2:]) == (50, 30)
