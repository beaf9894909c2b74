"""Large objects into a bucket and out of it: in parallel parts, resuming what an earlier attempt left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from ravenml.common.io import write_bytes
from ravenml.common.permissions import open_file
from ravenml.errors import RavenError
from ravenml.store.base import Digest, Entry, Progress, no_progress
from ravenml.store.checksums import (
    MIB,
    combine_crcs,
    compute_crc,
    crc_header,
    etag_matches,
    etag_of_parts,
    format_crc,
    is_md5,
    md5_header,
    parse_crc_header,
    part_ranges,
    part_size,
)
from ravenml.store.s3_client import BucketClient
from ravenml.store.s3_errors import (
    ChecksumMismatch,
    GarbledAnswer,
    Response,
    TruncatedBody,
    error_code,
    is_missing,
)

T = TypeVar("T")

CRC_NAME = "ravenml-crc32"  # every object carries its CRC-32, so that any server lets it be checked
RANGE_SIZE = 64 << 20  # smaller objects are fetched by one request; larger ones in ranges of this size
# What servers say that do not list unfinished uploads, or (rclone's) that have none.
_NONE_KNOWN = ("NotImplemented", "MethodNotAllowed", "AccessDenied", "NoSuchUpload")

_buffers = threading.local()


# What goes up.


def upload_in_parts(
    bucket: BucketClient, key: str, source: Path, size: int, progress: Progress = no_progress
) -> Digest:
    """Upload a large file.

    Parts that an interrupted upload left on the server are kept where their MD5s are those of the file.

    Raises:
        RavenError: it cannot be stored, or the file was changed meanwhile.
    """
    return _Upload(bucket, key, source, size).run(progress)


class _Upload:
    """One file's parts on their way into one object."""

    def __init__(self, bucket: BucketClient, key: str, source: Path, size: int) -> None:
        self.bucket, self.key, self.source, self.size = bucket, key, source, size
        self.ranges = part_ranges(size, part_size(size))
        self.crcs = list(bucket.parts_pool.map(lambda one: compute_crc(source, *one), self.ranges))
        self.crc = combine_crcs(
            [(crc, length) for crc, (_, length) in zip(self.crcs, self.ranges, strict=True)]
        )
        self.may_have_begun_twice = False  # an answer that was lost hides that there is an upload
        self.answers_prove_nothing = threading.Event()  # an answer had neither a CRC-32 nor an MD5

    def run(self, progress: Progress) -> Digest:
        upload, there = self._unfinished()
        if upload is not None and not self._is_usable(there):
            self._abort(upload)
            upload = None
        kept = there if upload is not None else {}
        self._send(upload or self._begin(), kept, progress)
        if kept and recorded_crc(self._request("head_object")) != self.crc:
            # The upload had been begun for another content of the file: it carries that one's checksum.
            self._send(self._begin(), {}, no_progress)
        if self.may_have_begun_twice:
            for left in self._uploads():
                self._abort(left)
        return Digest(self.size, format_crc(self.crc))

    def _once(self, operation: str, **fields: object) -> Response:
        answer: Response = self.bucket.request(operation, Key=self.bucket.full_key(self.key), **fields)
        return answer

    def _request(self, operation: str, **fields: object) -> Response:
        return self.bucket.retry(f"storing {self.key}", partial(self._once, operation, **fields))

    def _begin(self) -> str:
        fields: dict[str, object] = {"Metadata": {CRC_NAME: format_crc(self.crc)}}
        if self.bucket.connection.checksums == "when_supported":
            fields["ChecksumAlgorithm"] = "CRC32"
        tries = 0

        def begin() -> str:
            nonlocal tries
            tries += 1
            return str(self._once("create_multipart_upload", **fields)["UploadId"])

        upload = self.bucket.retry(f"storing {self.key}", begin)
        self.may_have_begun_twice |= tries > 1
        return upload

    def _send(self, upload: str, kept: dict[int, str], progress: Progress) -> None:
        """Send the parts that are not there, and put all together."""
        file = os.open(self.source, os.O_RDONLY)

        def send(number: int) -> tuple[str, bytes]:
            """Send a part; the server's ETag for it, and its MD5."""
            content = self._read(file, number)
            if len(content) != self.ranges[number - 1][1]:
                raise RavenError(f"{self.source} was changed while it was being stored; store it again.")
            md5 = hashlib.md5(content, usedforsecurity=False).digest()
            etag = kept.get(number)
            if etag is None:
                etag = self.bucket.retry(
                    f"storing {self.key}", lambda: self._send_part(upload, number, content, md5)
                )
            progress(len(content))
            return etag, md5

        try:
            sent = _in_threads(self.bucket, send, range(1, len(self.ranges) + 1))
        finally:
            os.close(file)
        parts = [
            {"PartNumber": number, "ETag": etag, **checksum_fields(self.bucket, crc, None)}
            for number, ((etag, _), crc) in enumerate(zip(sent, self.crcs, strict=True), start=1)
        ]

        def finish() -> str:
            try:
                answer = self._once(
                    "complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": parts}
                )
            except Exception as error:
                if error_code(error) == "NoSuchUpload":  # it was done, and only the answer was lost
                    found = self.bucket.head(self.key)
                    if found is not None and found.size == self.size:
                        return found.etag
                raise
            return str(answer["ETag"]).strip('"')

        etag = self.bucket.retry(f"storing {self.key}", finish)
        digest, dash, _ = etag.partition("-")
        # Where the server's ETags are MD5s, so is that of the whole.
        are_md5s = dash and is_md5(digest) and all(one.strip('"') == md5.hex() for one, md5 in sent)
        if are_md5s and etag != etag_of_parts([md5 for _, md5 in sent]):
            raise ChecksumMismatch(f"{self.bucket.name}: {self.key} was assembled wrongly; store it again.")

    def _send_part(self, upload: str, number: int, content: bytes | bytearray, md5: bytes) -> str:
        """Send one part, once; the server's ETag for it."""
        crc = self.crcs[number - 1]
        # The server computes a part's MD5 for its ETag in any case; if it had to compare ours, it would do
        # so twice.  Nothing is an object yet: a part that arrived changed is sent again.
        compare_md5 = not checksum_fields(self.bucket, crc, None) or self.answers_prove_nothing.is_set()
        answer = self._once(
            "upload_part",
            UploadId=upload,
            PartNumber=number,
            Body=content,
            **checksum_fields(self.bucket, crc, md5 if compare_md5 else None),
        )
        proof = confirms(answer, crc, md5)
        if proof is None and not compare_md5:
            self.answers_prove_nothing.set()  # from now on the server has to compare the MD5 itself
            return self._send_part(upload, number, content, md5)
        if proof is False:
            raise ChecksumMismatch(
                f"{self.bucket.name}: a part of {self.key} arrived corrupted several times."
            )
        return str(answer["ETag"])

    def _read(self, file: int, number: int) -> bytes | bytearray:
        """A part of the file, in a buffer that this thread uses again for its next part.

        New memory for every part costs more than reading it does.
        """
        begin, length = self.ranges[number - 1]
        buffer: bytearray | None = getattr(_buffers, "buffer", None)
        if buffer is None or len(buffer) != length:
            buffer = _buffers.buffer = bytearray(length)
        view, got = memoryview(buffer), 0
        while got < length and (more := os.preadv(file, [view[got:]], begin + got)):
            got += more
        view.release()
        return buffer if got == length else bytes(buffer[:got])

    def _unfinished(self) -> tuple[str | None, dict[int, str]]:
        """The newest unfinished upload of this key, and its parts' ETags; older ones are given up."""
        mine = self._uploads()
        for old in mine[:-1]:
            self._abort(old)
        if not mine:
            return None, {}
        parts: dict[int, str] = {}

        def list_more() -> bool:
            page = self._once("list_parts", UploadId=mine[-1], PartNumberMarker=max(parts, default=0))
            found = {int(one["PartNumber"]): str(one["ETag"]) for one in page.get("Parts", ())}
            if page["IsTruncated"] and max(found, default=0) <= max(parts, default=0):
                raise GarbledAnswer("a listing that has no end")
            parts.update(found)
            return bool(page["IsTruncated"])

        try:
            while self.bucket.retry(f"storing {self.key}", list_more):
                pass
        except RavenError as error:
            if error_code(error.__cause__ or error) in _NONE_KNOWN:
                return None, {}  # it has just been given up, or completed
            raise
        return mine[-1], parts

    def _uploads(self) -> list[str]:
        """The unfinished uploads of this key, oldest first; none where the server does not list them."""
        full_key = self.bucket.full_key(self.key)

        def list_all() -> list[str]:
            answer = self.bucket.request("list_multipart_uploads", Prefix=full_key)
            if not isinstance(answer.get("IsTruncated"), bool):
                raise GarbledAnswer("what is not a listing")
            mine = [one for one in answer.get("Uploads", ()) if one["Key"] == full_key]
            return [str(one["UploadId"]) for one in sorted(mine, key=lambda one: one["Initiated"])]

        try:
            return self.bucket.retry(f"storing {self.key}", list_all)
        except RavenError as error:
            if error_code(error.__cause__ or error) in _NONE_KNOWN:
                return []  # then it is sent whole
            raise

    def _is_usable(self, there: dict[int, str]) -> bool:
        """Whether every part on the server is one of this file."""
        if not there or max(there) > len(self.ranges):
            return False
        with self.source.open("rb") as file:
            return all(
                hashlib.md5(self._read(file.fileno(), number), usedforsecurity=False).hexdigest()
                == etag.strip('"')
                for number, etag in there.items()
            )

    def _abort(self, upload: str) -> None:
        def abort() -> None:
            try:
                self._once("abort_multipart_upload", UploadId=upload)
            except Exception as error:
                if error_code(error) != "NoSuchUpload" and not is_missing(error):
                    raise

        self.bucket.retry(f"storing {self.key}", abort)


# What comes down.


def download_in_ranges(
    bucket: BucketClient, entry: Entry, target: Path, progress: Progress = no_progress
) -> Digest:
    """Fetch a large object.

    ``.<name>.part`` beside the target holds what has come, ``.<name>.part.json`` which ranges are whole; a
    later call resumes there if the object is still the same.

    Raises:
        RavenError: it cannot be fetched, or what came differs from its checksum.
    """
    return _Download(bucket, entry, target, progress).run()


class WrongSize(RavenError):
    """An object is not as large as the listing said."""


class _Download:
    """One object's ranges on their way into one file."""

    def __init__(self, bucket: BucketClient, entry: Entry, target: Path, progress: Progress) -> None:
        self.bucket, self.entry, self.target, self.progress = bucket, entry, target, progress
        self.part = target.with_name(f".{target.name}.part")
        self.journal = target.with_name(f".{target.name}.part.json")
        self.identity = {
            "key": bucket.full_key(entry.key),
            "etag": entry.etag,
            "size": entry.size,
            "range": RANGE_SIZE,
        }
        self.ranges = part_ranges(entry.size, RANGE_SIZE)
        self.expected: int | None = None  # the CRC-32 of the whole
        self._lock = threading.Lock()

    def run(self) -> Digest:
        for again in (True, True, False):
            digest = self._fetch(self._read_journal())
            if self._is_right(digest):
                break
            self.part.unlink(missing_ok=True)
            self.journal.unlink(missing_ok=True)
            self.progress(-self.entry.size)
            if not again:
                raise ChecksumMismatch(
                    f"{self.bucket.name}: {self.entry.key} differs from its checksum; it is "
                    "corrupt in the store."
                )
        set_modified_time(self.part, self.entry)
        os.replace(self.part, self.target)
        self.journal.unlink(missing_ok=True)
        return digest

    def _read_journal(self) -> dict[int, int]:
        """The ranges that an earlier fetch of the same object has brought, with their CRC-32s."""
        try:
            noted = json.loads(self.journal.read_bytes())
            if noted["of"] == self.identity and self.part.stat().st_size == self.entry.size:
                return {int(number): int(crc) for number, crc in noted["done"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {}

    def _fetch(self, done: dict[int, int]) -> Digest:
        """Fetch what is not in ``done`` (range to CRC-32), which grows."""
        for number in done:
            self.progress(self.ranges[number][1])
        file = open_file(self.part, os.O_RDWR | os.O_CREAT)
        try:
            os.truncate(file, self.entry.size)

            def fetch(number: int) -> None:
                crc = self._fetch_range(file, *self.ranges[number])
                with self._lock:
                    done[number] = crc
                    write_bytes(self.journal, json.dumps({"of": self.identity, "done": done}).encode())

            _in_threads(self.bucket, fetch, [n for n in range(len(self.ranges)) if n not in done])
        finally:
            os.close(file)
        crc = combine_crcs([(done[number], length) for number, (_, length) in enumerate(self.ranges)])
        return Digest(self.entry.size, format_crc(crc))

    def _fetch_range(self, file: int, begin: int, length: int) -> int:
        """Fetch one range; where a content ends too early, the next request begins there."""
        at, crc = 0, 0

        def receive() -> None:
            nonlocal at, crc
            try:
                answer = self.bucket.request(
                    "get_object",
                    Key=self.bucket.full_key(self.entry.key),
                    Range=f"bytes={begin + at}-{begin + length - 1}",
                    IfMatch=f'"{self.entry.etag}"',
                )
            except Exception as error:
                if error_code(error) in ("InvalidRange", "416"):
                    raise self._wrong_size() from error
                raise
            if answer["ContentRange"].rpartition("/")[2] not in (str(self.entry.size), "*"):
                raise self._wrong_size()
            recorded = recorded_crc(answer)
            self.expected = self.expected if recorded is None else recorded
            body = answer["Body"]
            while at < length and (chunk := body.read(min(MIB, length - at))):
                os.pwrite(file, chunk, begin + at)
                crc = zlib.crc32(chunk, crc)
                at += len(chunk)
                self.progress(len(chunk))
            if at < length:
                raise TruncatedBody(f"{self.bucket.name}: {self.entry.key} was cut short several times.")
            body.close()

        before = -1
        while at < length:
            # What has come is progress: attempts are counted again from there.
            try:
                self.bucket.retry(f"fetching {self.entry.key}", receive)
            except RavenError:
                if at == before or at == 0:
                    raise
                before = at
        return crc

    def _wrong_size(self) -> WrongSize:
        return WrongSize(
            f"{self.bucket.name}: {self.entry.key} is not as large as the listing said; start again."
        )

    def _is_right(self, digest: Digest) -> bool:
        """Whether the whole is what it should be."""
        if self.expected is None:
            # Everything was there already, or nobody noted a CRC-32: the server may know one.
            ask = partial(
                self.bucket.request,
                "head_object",
                Key=self.bucket.full_key(self.entry.key),
                ChecksumMode="ENABLED",
            )
            self.expected = expected_crc(self.bucket.retry(f"checking {self.entry.key}", ask))
        if self.expected is not None:
            return digest.crc32 == format_crc(self.expected)
        return etag_matches(self.part, self.entry.etag) is not False


def _in_threads(bucket: BucketClient, work: Callable[[int], T], numbers: Iterable[int]) -> list[T]:
    """Call ``work`` for every part, side by side; the first failure keeps the rest from beginning."""
    waiting = [bucket.parts_pool.submit(work, number) for number in numbers]
    try:
        return [one.result() for one in waiting]
    except BaseException:
        for one in waiting:
            one.cancel()
        for one in waiting:
            if not one.cancelled():
                one.exception()  # waits for what has begun
        raise


# How a content is checked.


def checksum_fields(bucket: BucketClient, crc: int, md5: bytes | None) -> dict[str, str]:
    """What makes the server check what arrives: MD5, which every one knows, and CRC-32."""
    fields = {} if md5 is None else {"ContentMD5": md5_header(md5)}
    if bucket.connection.checksums == "when_supported":
        fields["ChecksumCRC32"] = crc_header(crc)
    return fields


def confirms(answer: Response, crc: int, md5: bytes) -> bool | None:
    """Whether the server's answer shows that it has what was sent; None where it shows nothing."""
    said, etag = answer.get("ChecksumCRC32"), str(answer.get("ETag", "")).strip('"')
    with suppress(ValueError):
        if said is not None and parse_crc_header(said) != crc:
            return False
    encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    if is_md5(etag) and not encrypted and "SSECustomerAlgorithm" not in answer:
        return etag == md5.hex()
    return True if said is not None else None


def recorded_crc(answer: Response) -> int | None:
    """The CRC-32 that the object's uploader recorded in its metadata."""
    for name, value in answer.get("Metadata", {}).items():
        if name.lower() == CRC_NAME:  # some servers write Ravenml-Crc32, as headers may be written
            if not re.fullmatch("[0-9a-fA-F]{8}", value):
                raise ChecksumMismatch(f"{value!r:.40} is recorded as an object's checksum, and is not one.")
            return int(value, 16)
    return None


def expected_crc(answer: Response) -> int | None:
    """The CRC-32 of the whole object, as its uploader or its server recorded it."""
    recorded = recorded_crc(answer)
    if recorded is not None:
        return recorded
    said = answer.get("ChecksumCRC32")
    return parse_crc_header(said) if said is not None else None


def is_intact(answer: Response, content: bytes) -> bool:
    """Whether a content is the one that its headers promise; without any checksum, its length decides."""
    crc = expected_crc(answer)
    if crc is not None:
        return zlib.crc32(content) == crc
    if str(answer.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return True
    return etag_matches(content, str(answer.get("ETag", "")).strip('"')) is not False


def modified_ns(entry: Entry) -> int:
    """When an object was written, in the nanoseconds of :func:`os.utime`."""
    return int(entry.modified.timestamp() * 1_000_000) * 1_000


def set_modified_time(path: Path, entry: Entry) -> None:
    """Give a file the object's time: the store then knows it without reading it."""
    os.utime(path, ns=(modified_ns(entry), modified_ns(entry)))
