"""A bucket on any server that speaks S3, through boto3."""

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
from ravenml.store import checksums, s3_errors, s3_transfer
from ravenml.store.base import Digest, Entry, Progress, no_progress
from ravenml.store.checksums import MIB, etag_matches, format_crc
from ravenml.store.s3_client import BucketClient
from ravenml.store.s3_errors import ChecksumMismatch, GarbledAnswer, TruncatedBody, error_code


class S3Store(BucketClient):
    """Objects below a bucket's prefix.

    Small files go in one request each, large ones in parts; nothing is asked before or after.  What was
    sent is compared with what the server says it has (its CRC-32, and its ETag where that is an MD5);
    what was received, with the CRC-32 that the object carries, or else with its ETag.
    """

    # What goes up.

    def put(self, key: str, source: Path, progress: Progress = no_progress) -> Digest:
        try:
            size = source.stat().st_size
            if size > checksums.PART:
                return s3_transfer.upload_in_parts(self, key, source, size, progress)
            content = source.read_bytes()
        except OSError as error:
            raise RavenError(f"{source} cannot be read: {error.strerror or error}.") from error
        return self.put_content(key, content, progress)

    def put_content(self, key: str, content: bytes, progress: Progress = no_progress) -> Digest:
        """Store bytes under a key, checked."""
        crc, md5 = zlib.crc32(content), hashlib.md5(content, usedforsecurity=False).digest()
        # For bytes, botocore asks first whether the server wants them (`Expect: 100-continue`).  That costs
        # a round trip, and a second where a server does not know it: too much for a small body.
        body = bytearray(content) if len(content) <= MIB else content

        def send() -> None:
            answer = self.request(
                "put_object",
                Key=self.full_key(key),
                Body=body,
                Metadata={s3_transfer.CRC_NAME: format_crc(crc)},
                **s3_transfer.checksum_fields(self, crc, md5),
            )
            # Some servers' ETags are no MD5s (encryption does that): then reading it back decides.
            if not s3_transfer.confirms(answer, crc, md5) and self._read_once(key) != content:
                raise ChecksumMismatch(f"{self.name}: {key} arrived corrupted several times.")

        self.retry(f"storing {key}", send)
        progress(len(content))
        return Digest(len(content), format_crc(crc))

    def create(self, key: str, content: bytes) -> bool:
        mine: list[bool] = []

        def send() -> None:
            try:
                answer = self.request("put_object", Key=self.full_key(key), Body=content, IfNoneMatch="*")
                mine.append(bool(answer["ETag"]))
            except Exception as error:
                code = error_code(error)
                if code not in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
                    raise
                # An answer that was lost makes our own try the one that was before us.
                mine.append(code in ("PreconditionFailed", "412") and self._read_once(key) == content)

        self.retry(f"storing {key}", send)
        return mine[-1]

    # What comes down.

    def get(
        self, key: str, target: Path, entry: Entry | None = None, progress: Progress = no_progress
    ) -> Digest:
        try:
            make_folder(target.parent)
            if entry is not None and entry.size > s3_transfer.RANGE_SIZE:
                try:
                    return s3_transfer.download_in_ranges(self, entry, target, progress)
                except s3_transfer.WrongSize:
                    fresh = self.head(key)
                    if fresh is None or fresh.size == entry.size:
                        raise
                    return self.get(key, target, fresh, progress)
            beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            try:
                content = self._fetch(key, progress, entry)
                beside.write_bytes(content)
                if entry is not None:
                    s3_transfer.set_modified_time(beside, entry)
                os.replace(beside, target)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise to_user_error(error, target) from error
        return Digest(len(content), format_crc(zlib.crc32(content)))

    def read(self, key: str) -> bytes:
        return self._fetch(key, no_progress)

    def _read_once(self, key: str) -> bytes:
        return bytes(self.request("get_object", Key=self.full_key(key))["Body"].read())

    def _fetch(self, key: str, progress: Progress, entry: Entry | None = None) -> bytes:
        def receive() -> bytes:
            full_key = self.full_key(key)
            answer = self.direct.get(full_key) if self.direct is not None else None
            if answer is None:
                answer = self.request("get_object", Key=full_key, ChecksumMode="ENABLED")
            content = bytes(answer["Body"].read())
            if len(content) != answer["ContentLength"]:
                raise TruncatedBody(f"{self.name}: {key} was cut short several times.")
            if not answer["ETag"]:
                raise GarbledAnswer("a content without an ETag")
            if not s3_transfer.is_intact(answer, content):
                raise ChecksumMismatch(
                    f"{self.name}: {key} differs from its checksum every time; it is corrupt."
                )
            listed = entry is None or answer["ETag"].strip('"') == entry.etag
            if not listed and s3_transfer.recorded_crc(answer) is None:  # nothing vouches for it
                raise ChecksumMismatch(f"{self.name}: {key} was replaced while it was fetched; start again.")
            progress(len(content))
            return content

        return self.retry(f"fetching {key}", receive)

    # What is there.

    def folders(self, below: str = "") -> Sequence[str]:
        prefix = self.full_key(f"{below}/" if below else "")
        cut = len(prefix)
        pages = self.pages(Prefix=prefix, Delimiter="/")
        return [one["Prefix"][cut:].rstrip("/") for page in pages for one in page.get("CommonPrefixes", ())]

    def now(self) -> datetime:
        def ask() -> datetime:
            answer = self.request("list_objects_v2", MaxKeys=1)
            said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
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
        if found.st_mtime_ns == s3_transfer.modified_ns(entry):
            return True  # we fetched it, and nobody has written to it since
        return etag_matches(path, entry.etag) is True

    def copy(self, key: str, to: str, content: Digest) -> None:
        source = {"Bucket": self.address.bucket, "Key": self.full_key(key)}
        try:
            self.request("copy_object", Key=self.full_key(to), CopySource=source)
            # Some servers say that they did, and have an empty object, or one without its CRC-32.
            found = self.request("head_object", Key=self.full_key(to))
            size, crc = found["ContentLength"], s3_transfer.recorded_crc(found)
        except Exception as error:
            raise s3_errors.to_user_error(error, self.info, f"storing {to}") from error
        if (size, crc) != (content.size, int(content.crc32, 16)) or not str(found.get("ETag", "")).strip('"'):
            raise RavenError(f"{self.name}: the copy of {key} is not what was stored.")

    def delete(self, key: str) -> None:
        def send() -> None:
            answer = self.request("delete_object", Key=self.full_key(key))["ResponseMetadata"]
            web_page = "html" in answer["HTTPHeaders"].get("content-type", "")
            if web_page and answer["HTTPStatusCode"] != 204:
                raise GarbledAnswer("a web page")

        self.retry(f"removing {key}", send)
