"""Large files into a bucket: in parts, side by side, going on with what an earlier attempt left."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.errors import RavenError
from ravenml.store.base import Digest, Progress
from ravenml.store.checksums import (
    crc_combined,
    crc_of,
    crc_text,
    etag_of_parts,
    is_md5,
    part_ranges,
    part_size,
    read_range,
)
from ravenml.store.s3_errors import ChecksumMismatch, error_code, is_missing

if TYPE_CHECKING:
    from ravenml.store.s3 import S3Store

# What servers say that do not list unfinished uploads, or (rclone's) that have none.
_NONE_KNOWN = ("NotImplemented", "MethodNotAllowed", "AccessDenied", "NoSuchUpload")

Sent = tuple[int, str, bytes, dict[str, str]]  # number, ETag, MD5, checksum fields


def put_in_parts(store: S3Store, key: str, source: Path, size: int, progress: Progress) -> Digest:
    """Upload a large file.

    Parts that an interrupted upload left on the server are kept where their MD5s are those of the file.

    Raises:
        RavenError: it cannot be stored, or the file was changed meanwhile.
    """
    ranges = part_ranges(size, part_size(size))
    crcs = list(store.parts_pool.map(lambda one: crc_of(source, *one), ranges))
    crc = crc_combined([(one, length) for one, (_, length) in zip(crcs, ranges, strict=True)])
    upload, there = _unfinished(store, key)
    if upload is not None and not _usable(there, source, ranges):
        _abort(store, key, upload)
        upload = None
    kept = there if upload is not None else {}
    if upload is None:
        upload = _begin(store, key, crc)
    _send(store, key, upload, source, ranges, crcs, kept, progress)
    if kept and not _is(store, key, crc):
        # The upload had been begun for another content of the file: it carries that one's checksum.
        _send(store, key, _begin(store, key, crc), source, ranges, crcs, {}, lambda count: None)
    return Digest(size, crc_text(crc))


_buffers = threading.local()


def _read(file: int, begin: int, length: int) -> bytes | bytearray:
    """A part of a file, in a buffer that this thread uses again for its next part.

    New memory for every part costs more than reading it does.
    """
    buffer: bytearray | None = getattr(_buffers, "buffer", None)
    if buffer is None or len(buffer) != length:
        buffer = _buffers.buffer = bytearray(length)
    view, got = memoryview(buffer), 0
    while got < length and (more := os.preadv(file, [view[got:]], begin + got)):
        got += more
    view.release()
    return buffer if got == length else bytes(buffer[:got])


def _begin(store: S3Store, key: str, crc: int) -> str:
    from ravenml.store.s3 import CRC_NAME

    fields: dict[str, Any] = {"Metadata": {CRC_NAME: crc_text(crc)}}
    if store.connection.checksums == "when_supported":
        fields["ChecksumAlgorithm"] = "CRC32"
    answer = store.retry(
        f"storing {key}",
        lambda: store.request("create_multipart_upload", Key=store.full_key(key), **fields),
    )
    return str(answer["UploadId"])


def _send(
    store: S3Store,
    key: str,
    upload: str,
    source: Path,
    ranges: list[tuple[int, int]],
    crcs: list[int],
    kept: dict[int, str],
    progress: Progress,
) -> None:
    """Send the parts that are not there, and put all together."""
    full_key = store.full_key(key)
    file = os.open(source, os.O_RDONLY)
    shows_nothing = threading.Event()  # whether an answer had neither a CRC-32 nor an MD5

    def send(number: int) -> Sent:
        begin, length = ranges[number - 1]
        content, crc = _read(file, begin, length), crcs[number - 1]
        if len(content) != length:
            raise RavenError(f"{source} was changed while it was being stored; store it again.")
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        part_fields = store.checksum_fields(crc, None)
        if number in kept:
            progress(length)
            return number, kept[number], md5, part_fields

        def once() -> Any:
            # The server computes a part's MD5 for its ETag in any case; told ours to compare, it would do so
            # twice.  Nothing is an object yet: a part that arrived changed is sent again.
            own_md5 = md5 if not part_fields or shows_nothing.is_set() else None
            answer = store.request(
                "upload_part",
                Key=full_key,
                UploadId=upload,
                PartNumber=number,
                Body=content,
                **store.checksum_fields(crc, own_md5),
            )
            arrived = store.confirms(answer, crc, md5)
            if arrived is None and own_md5 is None:
                shows_nothing.set()  # from now on it has to compare the MD5 itself
                return once()
            if arrived is False:
                raise ChecksumMismatch(f"{store.name}: a part of {key} arrived changed, again and again.")
            return answer

        answer = store.retry(f"storing {key}", once)
        progress(length)
        return number, str(answer["ETag"]), md5, part_fields

    try:
        sent = list(_together([store.parts_pool.submit(send, number + 1) for number in range(len(ranges))]))
    finally:
        os.close(file)
    expected = etag_of_parts([md5 for _, _, md5, _ in sent])
    parts = [{"PartNumber": number, "ETag": etag, **fields} for number, etag, _, fields in sent]

    def finish() -> str:
        try:
            answer = store.request(
                "complete_multipart_upload", Key=full_key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except Exception as error:
            if error_code(error) == "NoSuchUpload":  # it was done, and only the answer was lost
                found = store.head(key)
                if found is not None and found.size == sum(length for _, length in ranges):
                    return found.etag
            raise
        return str(answer["ETag"]).strip('"')

    etag = store.retry(f"storing {key}", finish)
    if (
        is_md5(etag.partition("-")[0])
        and "-" in etag
        and all(is_md5(one.strip('"')) for _, one, _, _ in sent)
    ):
        honest = [one.strip('"') == md5.hex() for _, one, md5, _ in sent]
        if all(honest) and etag != expected:
            raise ChecksumMismatch(f"{store.name}: {key} was put together wrongly; store it again.")


def _together(waiting: list[Future[Sent]]) -> Iterator[Sent]:
    """The results in order; the first failure stops what has not begun."""
    try:
        for one in waiting:
            yield one.result()
    except BaseException:
        for one in waiting:
            one.cancel()
        for one in waiting:
            if not one.cancelled():
                one.exception()
        raise


def _unfinished(store: S3Store, key: str) -> tuple[str | None, dict[int, str]]:
    """The newest unfinished upload of this key, and its parts' ETags; older ones are given up."""
    full_key = store.full_key(key)
    try:
        answer = store.retry(
            f"storing {key}", lambda: store.request("list_multipart_uploads", Prefix=full_key)
        )
    except RavenError as error:
        if error_code(error.__cause__ or error) in _NONE_KNOWN:
            return None, {}  # then it is sent whole
        raise
    mine = sorted(
        (one for one in answer.get("Uploads", ()) if one["Key"] == full_key), key=lambda one: one["Initiated"]
    )
    for old in mine[:-1]:
        _abort(store, key, old["UploadId"])
    if not mine:
        return None, {}
    upload: str = mine[-1]["UploadId"]
    parts: dict[int, str] = {}
    more: dict[str, Any] = {}
    while True:
        ask = partial(store.request, "list_parts", Key=full_key, UploadId=upload, **more)
        page = store.retry(f"storing {key}", ask)
        parts |= {one["PartNumber"]: one["ETag"] for one in page.get("Parts", ())}
        if not page.get("IsTruncated"):
            return upload, parts
        more = {"PartNumberMarker": page["NextPartNumberMarker"]}


def _usable(there: dict[int, str], source: Path, ranges: list[tuple[int, int]]) -> bool:
    """Whether every part on the server is one of this file."""
    if not there:
        return False
    with source.open("rb") as file:
        for number, etag in there.items():
            if number > len(ranges):
                return False
            content = read_range(file.fileno(), *ranges[number - 1])
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != etag.strip('"'):
                return False
    return True


def _is(store: S3Store, key: str, crc: int) -> bool:
    """Whether the object carries this CRC-32."""
    from ravenml.store.s3 import recorded_crc

    answer = store.retry(f"checking {key}", lambda: store.request("head_object", Key=store.full_key(key)))
    return recorded_crc(answer) == crc


def _abort(store: S3Store, key: str, upload: str) -> None:
    def abort() -> None:
        try:
            store.request("abort_multipart_upload", Key=store.full_key(key), UploadId=upload)
        except Exception as error:
            if error_code(error) != "NoSuchUpload" and not is_missing(error):
                raise

    store.retry(f"storing {key}", abort)
