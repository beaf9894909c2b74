"""Large objects into a bucket and out of it: in parallel parts, resuming what an earlier attempt left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from ravenml.common.io import write_bytes
from ravenml.common.permissions import open_file
from ravenml.errors import RavenError
from ravenml.store.base import Digest, Entry, Progress, no_progress
from ravenml.store.checksums import (
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
from ravenml.store.s3.access import Answer
from ravenml.store.s3.client import CRC_NAME, BucketClient, Received, parse_answer
from ravenml.store.s3.errors import (
    ChecksumMismatch,
    GarbledAnswer,
    ServerError,
    TruncatedBody,
    error_code,
    text_between,
)
from ravenml.store.transfer import map_in_pool

T = TypeVar("T")

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
    """One file's parts on their way into one object.  (obstore's own uploads cannot be resumed.)"""

    def __init__(self, bucket: BucketClient, key: str, source: Path, size: int) -> None:
        self.bucket, self.key, self.source, self.size = bucket, key, source, size
        self.ranges = part_ranges(size, part_size(size))
        self.crcs = list(bucket.parts_pool.map(lambda one: compute_crc(source, *one), self.ranges))
        self.crc = combine_crcs(
            [(crc, length) for crc, (_, length) in zip(self.crcs, self.ranges, strict=True)]
        )
        self.takes_crcs = bucket.connection.checksums == "when_supported"
        self.are_encrypted = False  # ETags are no MD5s then, though they look like them
        self.lists_uploads = True  # not every server does, or lets everybody do
        self.answers_prove_nothing = threading.Event()  # an answer had neither a CRC-32 nor an MD5

    def run(self, progress: Progress) -> Digest:
        upload, there = self._unfinished()
        if upload is not None and not self._is_usable(there):
            self._abort(upload)
            upload = None
        resumed = upload is not None
        self._send(upload or self._begin(), there if resumed else {}, progress)
        if resumed and self._retry(lambda: recorded_crc(self._stored_crc())) != self.crc:
            # The upload had been begun for another content of the file: it carries that one's checksum.
            self._send(self._begin(), {}, no_progress)
        return Digest(self.size, format_crc(self.crc))

    def _ask(self, method: str, query: dict[str, str], **named: object) -> Answer:
        return self.bucket.send(method, self.bucket.full_key(self.key), query, **named)

    def _retry(self, call: Callable[[], T]) -> T:
        return self.bucket.retry(f"storing {self.key}", call)

    def _stored_crc(self) -> str | None:
        return self.bucket.head_once(self.bucket.full_key(self.key)).get(f"x-amz-meta-{CRC_NAME}")

    def _begin(self) -> str:
        headers = {f"x-amz-meta-{CRC_NAME}": format_crc(self.crc)}
        if self.takes_crcs:
            headers["x-amz-checksum-algorithm"] = "CRC32"
        return self._retry(
            lambda: _text(self._ask("POST", {"uploads": ""}, headers=headers).content, "UploadId")
        )

    def _send(self, upload: str, kept: dict[int, str], progress: Progress) -> None:
        """Send the parts that are not there, and put all together."""
        file = os.open(self.source, os.O_RDONLY)

        def send(number: int) -> str:
            """Send a part; the server's ETag for it."""
            if number not in kept:
                content = self._read(file, number)
                if len(content) != self.ranges[number - 1][1]:
                    raise RavenError(f"{self.source} was changed while it was being stored; store it again.")
                kept[number] = self._retry(lambda: self._send_part(upload, number, content))
            progress(self.ranges[number - 1][1])
            return kept[number]

        try:
            sent = map_in_pool(self.bucket.parts_pool, self.bucket, send, range(1, len(self.ranges) + 1))
        finally:
            os.close(file)
        # An answer that was lost, or that a killed process did not wait for, hides that there is an upload.
        # It goes before the object is there, since nobody looks for it afterwards.
        for other in self._uploads():
            if other != upload:
                self._abort(other)
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag>"
            + (f"<ChecksumCRC32>{crc_header(crc)}</ChecksumCRC32>" if self.takes_crcs else "")
            + "</Part>"
            for number, (etag, crc) in enumerate(zip(sent, self.crcs, strict=True), start=1)
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()

        def finish() -> str:
            try:
                content = self._ask("POST", {"uploadId": upload}, body=document).content
            except ServerError as error:
                if error.code == "NoSuchUpload":  # it was done, and only the answer was lost
                    found = self.bucket.head(self.key)
                    if found is not None and self._stored_crc() == format_crc(self.crc):
                        return found.etag
                raise
            return _text(content, "ETag").strip('"')

        etag = self._retry(finish)
        digest, dash, _ = etag.partition("-")
        # Where the server's ETags are MD5s, so is that of the whole.
        are_md5s = dash and not self.are_encrypted and all(map(is_md5, (digest, *sent)))
        if are_md5s and etag != etag_of_parts([bytes.fromhex(one) for one in sent]):
            raise ChecksumMismatch(f"{self.bucket.name}: {self.key} was assembled wrongly; store it again.")

    def _send_part(self, upload: str, number: int, content: bytes | bytearray) -> str:
        """Send one part, once; the server's ETag for it."""
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        headers = {"x-amz-checksum-crc32": crc_header(self.crcs[number - 1])} if self.takes_crcs else {}
        # The server computes a part's MD5 for its ETag in any case; if it had to compare ours, it would do
        # so twice.  Nothing is an object yet: a part that arrived changed is sent again.
        if not self.takes_crcs or self.answers_prove_nothing.is_set():
            headers["content-md5"] = md5_header(md5)
        answer = self._ask(
            "PUT", {"uploadId": upload, "partNumber": str(number)}, headers=headers, body=content
        )
        etag = answer.headers.get("etag", "").strip('"')
        if not etag:
            raise GarbledAnswer("an answer without an ETag")
        self.are_encrypted |= is_encrypted(answer.headers)
        comparable = is_md5(etag) and not self.are_encrypted
        echoed = answer.headers.get("x-amz-checksum-crc32")
        if (comparable and etag != md5.hex()) or echoed not in (None, crc_header(self.crcs[number - 1])):
            raise ChecksumMismatch(
                f"{self.bucket.name}: a part of {self.key} arrived corrupted several times."
            )
        if not comparable and echoed is None and "content-md5" not in headers:
            self.answers_prove_nothing.set()  # from now on the server has to compare the MD5 itself
            return self._send_part(upload, number, content)
        return etag

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
            last = max(parts, default=0)
            asked = {"uploadId": mine[-1], "part-number-marker": str(last)}
            page = parse_answer(self._ask("GET", asked).content, "IsTruncated")
            found = {
                int(one.findtext("PartNumber") or 0): (one.findtext("ETag") or "").strip('"')
                for one in page.iterfind("Part")
            }
            more = page.findtext("IsTruncated") == "true"
            if more and max(found, default=0) <= last:
                raise GarbledAnswer("a listing that has no end")
            parts.update(found)
            return more

        try:
            while self._retry(list_more):
                pass
        except RavenError as error:
            if error_code(error.__cause__ or error) in _NONE_KNOWN:
                return None, {}  # it has just been given up, or completed
            raise
        return mine[-1], parts

    def _uploads(self) -> list[str]:
        """The unfinished uploads of this key, oldest first; none where the server does not list them."""
        full_key = self.bucket.full_key(self.key)
        if not self.lists_uploads:
            return []

        def list_all() -> list[str]:
            answer = self.bucket.send("GET", "", {"uploads": "", "encoding-type": "url", "prefix": full_key})
            page = parse_answer(answer.content, "IsTruncated")
            mine = [one for one in page.iterfind("Upload") if one.findtext("Key") == full_key]
            mine.sort(key=lambda one: one.findtext("Initiated") or "")
            return [one.findtext("UploadId") or "" for one in mine]

        try:
            return self._retry(list_all)
        except RavenError as error:
            if error_code(error.__cause__ or error) in _NONE_KNOWN:
                self.lists_uploads = False
                return []  # then it is sent whole
            raise

    def _is_usable(self, there: dict[int, str]) -> bool:
        """Whether every part on the server is one of this file."""
        if not there or max(there) > len(self.ranges):
            return False
        with self.source.open("rb") as file:
            return all(
                hashlib.md5(self._read(file.fileno(), number), usedforsecurity=False).hexdigest() == etag
                for number, etag in there.items()
            )

    def _abort(self, upload: str) -> None:
        def abort() -> None:
            try:
                self._ask("DELETE", {"uploadId": upload})
            except ServerError as error:
                if error.status != 404:
                    raise

        self._retry(abort)


def _text(content: bytes, tag: str) -> str:
    """The text of one element; the document as a whole may be none, with a key that XML cannot hold."""
    found = text_between(content.decode(errors="replace"), tag)
    if not found:
        raise GarbledAnswer(f"an answer without its {tag}")
    return found


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
        """The ranges that an earlier fetch of the same object has brought, if still whole: their CRC-32s."""
        try:
            noted = json.loads(self.journal.read_bytes())
            if noted["of"] == self.identity and self.part.stat().st_size == self.entry.size:
                done = {int(number): int(crc) for number, crc in noted["done"].items()}
                here = [(number, *self.ranges[number]) for number in done]
                crcs = self.bucket.parts_pool.map(lambda one: compute_crc(self.part, *one[1:]), here)
                return {number: crc for number, crc in zip(done, crcs, strict=True) if crc == done[number]}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
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

            missing = [number for number in range(len(self.ranges)) if number not in done]
            map_in_pool(self.bucket.parts_pool, self.bucket, fetch, missing)
        finally:
            os.close(file)
        crc = combine_crcs([(done[number], length) for number, (_, length) in enumerate(self.ranges)])
        return Digest(self.entry.size, format_crc(crc))

    def _fetch_range(self, file: int, begin: int, length: int) -> int:
        """Fetch one range; where a content ends too early, the next request begins there."""
        at, crc = 0, 0

        def receive() -> None:
            nonlocal at, crc
            key = self.bucket.full_key(self.entry.key)
            try:
                found = self.bucket.get_once(key, begin + at, begin + length, self.entry.etag)
            except ServerError as error:
                if error.status == 416:
                    raise self._wrong_size() from error
                raise
            if found.size != self.entry.size:
                raise self._wrong_size()
            recorded = recorded_crc(found.recorded)
            self.expected = self.expected if recorded is None else recorded
            for chunk in found.content:
                chunk = chunk[: length - at]
                os.pwrite(file, chunk, begin + at)
                crc = zlib.crc32(chunk, crc)
                at += len(chunk)
                self.progress(len(chunk))
            if at < length:
                raise TruncatedBody(f"{self.bucket.name}: {self.entry.key} was cut short several times.")

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
        key = self.bucket.full_key(self.entry.key)
        if self.expected is None:  # everything was there already, or nobody noted a CRC-32
            headers = self.bucket.retry(f"checking {self.entry.key}", lambda: self.bucket.head_once(key))
            self.expected = recorded_crc(headers.get(f"x-amz-meta-{CRC_NAME}"))
            if self.expected is None:
                self.expected = parse_crc_header(headers.get("x-amz-checksum-crc32"))
        if self.expected is not None:
            return digest.crc32 == format_crc(self.expected)
        return etag_matches(self.part, self.entry.etag) is not False


# How a content is checked.


def recorded_crc(text: str | None) -> int | None:
    """The CRC-32 that an object's uploader recorded in its metadata."""
    if text is not None and not re.fullmatch("[0-9a-fA-F]{8}", text):
        raise ChecksumMismatch(f"{text!r:.40} is recorded as an object's checksum, and is not one.")
    return None if text is None else int(text, 16)


def is_intact(bucket: BucketClient, key: str, content: bytes, crc: int, found: Received) -> bool:
    """Whether a content is the one that its headers promise; without any checksum, its length decides."""
    recorded = recorded_crc(found.recorded)
    if recorded is not None:
        return recorded == crc
    matches = etag_matches(content, found.etag)
    if matches:
        return True
    headers = bucket.head_once(key)  # another program's: the ETag of an encrypted object is no MD5
    known = parse_crc_header(headers.get("x-amz-checksum-crc32"))
    if known is not None:
        return known == crc
    return matches is None or is_encrypted(headers)


def is_encrypted(headers: Mapping[str, str]) -> bool:
    """Whether the server has encrypted an object in a way that makes its ETag another thing than an MD5."""
    kms = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    return kms or "x-amz-server-side-encryption-customer-algorithm" in headers


def modified_ns(entry: Entry) -> int:
    """When an object was written, in the nanoseconds of :func:`os.utime`."""
    return int(entry.modified.timestamp() * 1_000_000) * 1_000


def set_modified_time(path: Path, entry: Entry) -> None:
    """Give a file the object's time: the store then knows it without reading it."""
    os.utime(path, ns=(modified_ns(entry), modified_ns(entry)))
