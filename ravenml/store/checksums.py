"""Checksums: CRC-32 of files, in one piece and put together from parts, and the ETags that S3 gives."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

MIB = 1 << 20
PART = 16 * MIB  # larger files go up in parts of this size
MAX_PARTS = 9_000  # S3 takes 10,000
_PLAIN = re.compile(r"[0-9a-f]{32}")
_OF_PARTS = re.compile(r"([0-9a-f]{32})-(\d{1,5})")
_USUAL = (5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512)  # part sizes that programs use, in MiB


def part_size(size: int) -> int:
    """The size of the parts in which a file of ``size`` bytes goes up; the same one every time."""
    return max(PART, -(-size // MAX_PARTS // MIB) * MIB)


def part_ranges(size: int, part: int) -> list[tuple[int, int]]:
    """Begin and length of each part."""
    return [(begin, min(part, size - begin)) for begin in range(0, size, part)]


def format_crc(crc: int) -> str:
    """A CRC-32 as ravenML writes it: 8 hexadecimal digits."""
    return f"{crc:08x}"


def crc_header(crc: int) -> str:
    """A CRC-32 as S3 writes it: base64 of 4 bytes, the highest first."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def parse_crc_header(text: str | None) -> int | None:
    """The CRC-32 in S3's ``x-amz-checksum-crc32``; None where there is none, or one of parts (``…-3``)."""
    return None if text is None or "-" in text else int.from_bytes(base64.b64decode(text), "big")


def md5_header(digest: bytes) -> str:
    """An MD5 as the header ``Content-MD5`` wants it."""
    return base64.b64encode(digest).decode()


def compute_crc(path: Path, begin: int = 0, length: int | None = None) -> int:
    """The CRC-32 of a file, or of a part of it."""
    crc = 0
    with path.open("rb") as file:
        file.seek(begin)
        left = os.fstat(file.fileno()).st_size - begin if length is None else length
        while left > 0 and (chunk := file.read(min(MIB, left))):
            crc = zlib.crc32(chunk, crc)
            left -= len(chunk)
    return crc


def combine_crcs(parts: Sequence[tuple[int, int]]) -> int:
    """The CRC-32 of contents one after another, from each one's CRC-32 and length.

    A CRC is linear: appending n zero bytes multiplies it by x^(8n) modulo the polynomial, and what
    follows is added.  (zlib has this as ``crc32_combine``, which Python does not pass on.)
    """
    total = 0
    for crc, length in parts:
        total = _times(total, _power(8 * length)) ^ crc
    return total


def _times(a: int, b: int) -> int:
    """a · b modulo the polynomial of CRC-32, lowest power in the highest bit."""
    product = 0
    while a:
        if a & 0x80000000:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (0xEDB88320 if b & 1 else 0)
    return product


def _power(exponent: int) -> int:
    """x to the power of ``exponent`` modulo the polynomial."""
    result, square = 0x80000000, 0x40000000
    while exponent:
        if exponent & 1:
            result = _times(result, square)
        square = _times(square, square)
        exponent >>= 1
    return result


def is_md5(etag: str) -> bool:
    """Whether an ETag has the form of an MD5 of the content."""
    return bool(_PLAIN.fullmatch(etag))


def etag_of_parts(digests: Sequence[bytes]) -> str:
    """The ETag that S3 gives an object that came in parts with these MD5s."""
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def etag_matches(content: Path | bytes, etag: str) -> bool | None:
    """Whether a content is the one that ``etag`` stands for; None where the ETag does not tell.

    That of an object that came in parts depends on the parts' size; the usual ones are tried.
    """
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if is_md5(etag):
        return _md5s(content, max(size, 1))[0].hex() == etag
    found = _OF_PARTS.fullmatch(etag)
    if found is None:
        return None
    count = int(found[2])
    even = -(-size // count // MIB) * MIB
    for part in dict.fromkeys((part_size(size), *(usual * MIB for usual in _USUAL), even)):
        if part and -(-size // part) == count and etag_of_parts(_md5s(content, part)) == etag:
            return True
    return None  # parts of another size


def _md5s(content: Path | bytes, part: int) -> list[bytes]:
    digests: list[bytes] = []
    with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        while True:
            digest, left = hashlib.md5(usedforsecurity=False), part
            while left and (chunk := file.read(min(MIB, left))):
                digest.update(chunk)
                left -= len(chunk)
            if left == part and digests:
                return digests
            digests.append(digest.digest())
            if left:
                return digests
