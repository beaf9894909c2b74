"""The store that a bucket is."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.common.permissions import make_folder
from ravenml.errors import RavenError
from ravenml.store import checksums
from ravenml.store.base import Digest, Entry, Progress, no_progress
from ravenml.store.checksums import etag_matches, format_crc
from ravenml.store.s3 import errors, transfer
from ravenml.store.s3.client import CRC_NAME, BucketClient, parse_answer
from ravenml.store.s3.errors import ChecksumMismatch, GarbledAnswer, ServerError, TruncatedBody


class S3Store(BucketClient):
    """Objects below a bucket's prefix.

    Small files go in one request each, large ones in parts; nothing is asked before or after.  What was
    sent is compared with the ETag that the server gives it, where that is an MD5; what was received, with the
    CRC-32 that the object carries, or else with its ETag.
    """

    _is_encrypted = False  # so that ETags prove nothing, but whose server compares what was signed

    # What goes up.

    def put(self, key: str, source: Path, progress: Progress = no_progress) -> Digest:
        try:
            size = source.stat().st_size
            if size > checksums.PART:
                return transfer.upload_in_parts(self, key, source, size, progress)
            content = source.read_bytes()
        except OSError as error:
            raise RavenError(f"{source} cannot be read: {error.strerror or error}.") from error
        return self.put_content(key, content, progress)

    def put_content(self, key: str, content: bytes, progress: Progress = no_progress) -> Digest:
        """Store bytes under a key, checked."""
        crc, md5 = format_crc(zlib.crc32(content)), hashlib.md5(content, usedforsecurity=False).hexdigest()

        def send() -> None:
            etag = self.put_once(self.full_key(key), content, crc)
            if etag == md5 or self._is_encrypted:
                return
            if self._read_once(key) != content:
                raise ChecksumMismatch(f"{self.name}: {key} arrived corrupted several times.")
            self._is_encrypted = transfer.is_encrypted(self.head_once(self.full_key(key)))

        self.retry(f"storing {key}", send)
        progress(len(content))
        return Digest(len(content), crc)

    def create(self, key: str, content: bytes) -> bool:
        def send() -> bool:
            try:
                return bool(self.put_once(self.full_key(key), content, create=True))
            except ServerError as error:
                if error.status not in (409, 412):
                    raise
                # An answer that was lost makes our own try the one that was before us.
                return error.status == 412 and self._read_once(key) == content

        return self.retry(f"storing {key}", send)

    # What comes down.

    def get(
        self, key: str, target: Path, entry: Entry | None = None, progress: Progress = no_progress
    ) -> Digest:
        try:
            make_folder(target.parent)
            if entry is not None and entry.size > transfer.RANGE_SIZE:
                try:
                    return transfer.download_in_ranges(self, entry, target, progress)
                except transfer.WrongSize:
                    fresh = self.head(key)
                    if fresh is None or fresh.size == entry.size:
                        raise
                    return self.get(key, target, fresh, progress)
            beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            try:
                content, crc = self._fetch(key, progress, entry)
                beside.write_bytes(content)
                if entry is not None:
                    transfer.set_modified_time(beside, entry)
                os.replace(beside, target)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise to_user_error(error, target) from error
        return Digest(len(content), format_crc(crc))

    def read(self, key: str) -> bytes:
        return self._fetch(key, no_progress)[0]

    def _read_once(self, key: str) -> bytes:
        return b"".join(self.get_once(self.full_key(key)).content)

    def _fetch(self, key: str, progress: Progress, entry: Entry | None = None) -> tuple[bytes, int]:
        """An object and its CRC-32."""

        def receive() -> tuple[bytes, int]:
            found = self.get_once(self.full_key(key))
            content = b"".join(found.content)
            crc = zlib.crc32(content)
            if len(content) != found.size:
                raise TruncatedBody(f"{self.name}: {key} was cut short several times.")
            if not transfer.is_intact(self, self.full_key(key), content, crc, found):
                raise ChecksumMismatch(
                    f"{self.name}: {key} differs from its checksum every time; it is corrupt."
                )
            if entry is not None and found.recorded is None and found.etag != entry.etag:
                # nothing vouches for it
                raise ChecksumMismatch(f"{self.name}: {key} was replaced while it was fetched; start again.")
            progress(len(content))
            return content, crc

        return self.retry(f"fetching {key}", receive)

    # What is there.

    def folders(self, below: str = "") -> Sequence[str]:
        prefix = self.full_key(f"{below}/" if below else "")
        pages = self.pages(prefix, delimiter="/")
        return [name[len(prefix) :].rstrip("/") for page in pages for name in page.folders]

    def now(self) -> datetime:
        def ask() -> datetime:
            answer = self.send("GET", "", {"list-type": "2", "max-keys": "1"})
            parse_answer(answer.content, "IsTruncated")
            said = answer.headers.get("date")
            moment = parsedate_to_datetime(said) if said else datetime.now(UTC)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

        return self.retry(f"listing {self.name}", ask)

    def same(self, entry: Entry, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        if found.st_size != entry.size:
            return False
        if found.st_mtime_ns == transfer.modified_ns(entry):
            return True  # we fetched it, and nobody has written to it since
        return etag_matches(path, entry.etag) is True

    def copy(self, key: str, to: str, content: Digest) -> None:
        try:
            self.copy_once(self.full_key(key), self.full_key(to))
            # Some servers say that they did, and have an empty object, or one without its CRC-32.
            found = self.head_once(self.full_key(to))
        except (ServerError, errors.NetworkError, GarbledAnswer) as error:
            raise errors.to_user_error(error, self.info, f"storing {to}") from error
        there = (found.get("content-length"), found.get(f"x-amz-meta-{CRC_NAME}"))
        if there != (str(content.size), content.crc32) or not found.get("etag", "").strip('"'):
            raise RavenError(f"{self.name}: the copy of {key} is not what was stored.")

    def delete(self, key: str) -> None:
        def send() -> None:
            answer = self.send("DELETE", self.full_key(key))
            if "html" in answer.headers.get("content-type", "") and answer.content:
                raise GarbledAnswer("a web page")

        self.retry(f"removing {key}", send)
