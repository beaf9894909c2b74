"""A bucket on any server that speaks S3, through boto3."""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ravenml.common.io import to_user_error
from ravenml.errors import RavenError
from ravenml.store import s3_errors
from ravenml.store.address import Address
from ravenml.store.base import Digest, Entry, Progress, no_progress
from ravenml.store.checksums import (
    PART,
    crc_from_header,
    crc_header,
    crc_text,
    etag_matches,
    is_md5,
    md5_header,
)
from ravenml.store.retry import Retries
from ravenml.store.s3_client import PART_THREADS, Connection, make_client
from ravenml.store.s3_direct import DirectReader
from ravenml.store.s3_errors import BucketInfo, ChecksumMismatch, TruncatedBody

CRC_NAME = "ravenml-crc32"  # every object carries its CRC-32, so that any server lets it be checked
RANGE_SIZE = 64 << 20  # smaller objects are fetched by one request; larger ones in ranges of this size
CHUNK = 1 << 20


class S3Store:
    """Objects below a bucket's prefix.

    Small files go in one request each, large ones in parts; nothing is asked before or after.  What was
    sent is compared with what the server says it has (its CRC-32, and its ETag where that is an MD5);
    what was received, with the CRC-32 that the object carries, or else with its ETag.
    """

    def __init__(self, address: Address, connection: Connection, field: str = "model_bucket_name") -> None:
        self.address = address
        self.connection = connection
        server = connection.endpoint_url or "Amazon S3"
        self.info = BucketInfo(str(address), address.bucket, server, field)
        self.retry = Retries(self.info)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return str(self.address)

    @cached_property
    def client(self) -> Any:
        """The boto3 client; made when it is first used, since that takes a while."""
        return make_client(self.connection, self.info)

    @cached_property
    def _direct(self) -> DirectReader | None:
        """What fetches small objects faster than the client; None where it cannot."""
        from botocore.exceptions import BotoCoreError

        with self._lock, suppress(AttributeError, BotoCoreError):  # the client says what is wrong
            return DirectReader(self.client, self.address.bucket)
        return None

    @cached_property
    def parts_pool(self) -> ThreadPoolExecutor:
        """The threads that send and fetch the parts of large files."""
        return ThreadPoolExecutor(PART_THREADS, thread_name_prefix="parts")

    def request(self, operation: str, **fields: Any) -> Any:
        """One call of the client, for this bucket, tried once."""
        with self._lock:
            client = self.client
        return getattr(client, operation)(Bucket=self.address.bucket, **fields)

    def full_key(self, key: str) -> str:
        """The key within the bucket."""
        return f"{self.address.prefix}/{key}" if self.address.prefix else key

    # What goes up.

    def put(self, key: str, source: Path, progress: Progress = no_progress) -> Digest:
        try:
            size = source.stat().st_size
            if size > PART:
                from ravenml.store.s3_upload import put_in_parts

                return put_in_parts(self, key, source, size, progress)
            content = source.read_bytes()
        except OSError as error:
            raise RavenError(f"{source} cannot be read: {error.strerror or error}.") from error
        return self.put_content(key, content, progress)

    def put_content(self, key: str, content: bytes, progress: Progress = no_progress) -> Digest:
        """Store bytes under a key, checked."""
        crc, md5 = zlib.crc32(content), hashlib.md5(content, usedforsecurity=False).digest()
        # For bytes, botocore asks first whether the server wants them (`Expect: 100-continue`).  That costs
        # a round trip, and a second where a server does not know it: too much for a small body.
        body = bytearray(content) if len(content) <= CHUNK else content

        def send() -> None:
            answer = self.request(
                "put_object",
                Key=self.full_key(key),
                Body=body,
                Metadata={CRC_NAME: crc_text(crc)},
                **self.checksum_fields(crc, md5),
            )
            # Some servers' ETags are no MD5s (encryption does that): then reading it back decides.
            if not self.confirms(answer, crc, md5) and self._read_once(key) != content:
                raise ChecksumMismatch(f"{self.name}: {key} arrived changed, again and again.")

        self.retry(f"storing {key}", send)
        progress(len(content))
        return Digest(len(content), crc_text(crc))

    def create(self, key: str, content: bytes) -> bool:
        mine: list[bool] = []

        def send() -> None:
            try:
                self.request("put_object", Key=self.full_key(key), Body=content, IfNoneMatch="*")
                mine.append(True)
            except Exception as error:
                answer = getattr(error, "response", None)  # None also where the connection was lost
                code = str((answer or {}).get("Error", {}).get("Code"))
                if code not in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
                    raise
                # An answer that was lost makes our own try the one that was before us.
                mine.append(code in ("PreconditionFailed", "412") and self._read_once(key) == content)

        self.retry(f"storing {key}", send)
        return mine[-1]

    def checksum_fields(self, crc: int, md5: bytes | None) -> dict[str, str]:
        """What makes the server check what arrives: MD5, which every one knows, and CRC-32."""
        fields = {} if md5 is None else {"ContentMD5": md5_header(md5)}
        if self.connection.checksums == "when_supported":
            fields["ChecksumCRC32"] = crc_header(crc)
        return fields

    def confirms(self, answer: dict[str, Any], crc: int, md5: bytes) -> bool | None:
        """Whether the server's answer shows that it has what was sent; None where it shows nothing."""
        said, etag = answer.get("ChecksumCRC32"), str(answer.get("ETag", "")).strip('"')
        if said is not None and crc_from_header(said) != crc:
            return False
        encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
        if is_md5(etag) and not encrypted and "SSECustomerAlgorithm" not in answer:
            return etag == md5.hex()
        return True if said is not None else None

    # What comes down.

    def get(
        self, key: str, target: Path, entry: Entry | None = None, progress: Progress = no_progress
    ) -> Digest:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if entry is not None and entry.size > RANGE_SIZE:
                from ravenml.store.s3_download import get_in_parts

                return get_in_parts(self, entry, target, progress)
            beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            try:
                content = self._fetch(key, progress)
                beside.write_bytes(content)
                if entry is not None:
                    set_modified_time(beside, entry)
                os.replace(beside, target)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise to_user_error(error, target) from error
        return Digest(len(content), crc_text(zlib.crc32(content)))

    def read(self, key: str) -> bytes:
        return self._fetch(key, no_progress)

    def _read_once(self, key: str) -> bytes:
        return bytes(self.request("get_object", Key=self.full_key(key))["Body"].read())

    def _fetch(self, key: str, progress: Progress) -> bytes:
        def receive() -> bytes:
            full_key = self.full_key(key)
            answer = self._direct.get(full_key) if self._direct is not None else None
            if answer is None:
                answer = self.request("get_object", Key=full_key, ChecksumMode="ENABLED")
            content = bytes(answer["Body"].read())
            if len(content) != answer["ContentLength"]:
                raise TruncatedBody(f"{self.name}: {key} ended too early, again and again.")
            if not is_intact(answer, content):
                raise ChecksumMismatch(
                    f"{self.name}: {key} differs from its checksum, again and again; it is broken."
                )
            progress(len(content))
            return content

        return self.retry(f"fetching {key}", receive)

    # What is there.

    def list(self, prefix: str = "") -> Iterator[Entry]:
        cut = len(self.full_key(""))
        for page in self._pages(Prefix=self.full_key(prefix)):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):  # what web consoles make for folders
                    yield Entry(
                        found["Key"][cut:], found["Size"], found["LastModified"], found["ETag"].strip('"')
                    )

    def folders(self, below: str = "") -> Sequence[str]:
        prefix = self.full_key(f"{below}/" if below else "")
        cut = len(prefix)
        pages = self._pages(Prefix=prefix, Delimiter="/")
        return [one["Prefix"][cut:].rstrip("/") for page in pages for one in page.get("CommonPrefixes", ())]

    def _pages(self, **fields: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            ask = partial(self.request, "list_objects_v2", **fields, **token)
            page = self.retry(f"listing {self.info.name}", ask)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def head(self, key: str) -> Entry | None:
        # A listing, because a refused HEAD has no body that would say why.
        return next((entry for entry in self.list(key) if entry.key == key), None)

    def now(self) -> datetime:
        ask = partial(self.request, "list_objects_v2", MaxKeys=1)
        answer = self.retry(f"listing {self.info.name}", ask)
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(said) if said else datetime.now(UTC)

    def same(self, entry: Entry, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        if found.st_size != entry.size:
            return False
        if found.st_mtime_ns == _nanoseconds(entry):
            return True  # we fetched it, and nobody has written to it since
        return etag_matches(path, entry.etag) is True

    def copy(self, key: str, to: str, content: Digest) -> None:
        source = {"Bucket": self.address.bucket, "Key": self.full_key(key)}
        try:
            self.request("copy_object", Key=self.full_key(to), CopySource=source)
            # Some servers say that they did, and have an empty object, or one without its CRC-32.
            found = self.request("head_object", Key=self.full_key(to))
        except Exception as error:
            raise s3_errors.to_user_error(error, self.info, f"storing {to}") from error
        same = found["ContentLength"] == content.size and recorded_crc(found) == int(content.crc32, 16)
        if not same or not str(found.get("ETag", "")).strip('"'):
            raise RavenError(f"{self.name}: the copy of {key} is not what was stored.")

    def delete(self, key: str) -> None:
        self.retry(f"removing {key}", lambda: self.request("delete_object", Key=self.full_key(key)))


def set_modified_time(path: Path, entry: Entry) -> None:
    """Give a file the object's time: :meth:`S3Store.same` then knows it without reading it."""
    moment = _nanoseconds(entry)
    os.utime(path, ns=(moment, moment))


def _nanoseconds(entry: Entry) -> int:
    return int(entry.modified.timestamp() * 1_000_000) * 1_000


def recorded_crc(answer: dict[str, Any]) -> int | None:
    """The CRC-32 that the object's uploader noted in its metadata."""
    for name, value in answer.get("Metadata", {}).items():
        if name.lower() == CRC_NAME:  # some servers write Ravenml-Crc32, as headers may be written
            return int(value, 16)
    return None


def expected_crc(answer: dict[str, Any]) -> int | None:
    """The CRC-32 of the whole object, as its uploader or its server noted it."""
    noted = recorded_crc(answer)
    if noted is not None:
        return noted
    said = answer.get("ChecksumCRC32")
    return crc_from_header(said) if said is not None else None


def is_intact(answer: dict[str, Any], content: bytes) -> bool:
    """Whether a content is the one that its headers promise; without any checksum, its length decides."""
    crc = expected_crc(answer)
    if crc is not None:
        return zlib.crc32(content) == crc
    if str(answer.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return True
    return etag_matches(content, str(answer.get("ETag", "")).strip('"')) is not False
