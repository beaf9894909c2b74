"""Large objects out of a bucket: ranges side by side into one file, going on where a fetch ended."""

from __future__ import annotations

import json
import os
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.common.io import write_bytes
from ravenml.errors import RavenError
from ravenml.store.base import Digest, Entry, Progress
from ravenml.store.checksums import crc_combined, crc_text, etag_matches, part_ranges
from ravenml.store.s3_errors import ChecksumMismatch, TruncatedBody

if TYPE_CHECKING:
    from ravenml.store.s3 import S3Store


def get_in_parts(store: S3Store, entry: Entry, target: Path, progress: Progress) -> Digest:
    """Fetch a large object.

    ``.<name>.part`` beside the target holds what has come, ``.<name>.part.json`` which ranges are whole; a
    later call goes on with them if the object is still the same.

    Raises:
        RavenError: it cannot be fetched, or what came differs from its checksum.
    """
    from ravenml.store.s3 import RANGE_SIZE, set_modified_time

    part = target.with_name(f".{target.name}.part")
    journal = target.with_name(f".{target.name}.part.json")
    identity = {"key": store.full_key(entry.key), "etag": entry.etag, "size": entry.size, "range": RANGE_SIZE}
    fetch = _Fetch(store, entry, part, progress)
    for again in (True, True, False):
        done = _done(journal, part, identity)
        for number in done:
            progress(part_ranges(entry.size, RANGE_SIZE)[number][1])
        digest = fetch.run(
            part_ranges(entry.size, RANGE_SIZE), done, lambda now=done: _note(journal, identity, now)
        )
        if fetch.right(digest):
            break
        part.unlink(missing_ok=True)
        journal.unlink(missing_ok=True)
        progress(-entry.size)
        if not again:
            raise ChecksumMismatch(
                f"{store.name}: {entry.key} differs from its checksum; it is broken there."
            )
    set_modified_time(part, entry)
    os.replace(part, target)
    journal.unlink(missing_ok=True)
    return digest


class _Fetch:
    """One object's ranges on their way into one file."""

    def __init__(self, store: S3Store, entry: Entry, part: Path, progress: Progress) -> None:
        self.store, self.entry, self.part, self.progress = store, entry, part, progress
        self.expected: int | None = None
        self._lock = threading.Lock()

    def run(self, ranges: list[tuple[int, int]], done: dict[int, int], note: Any) -> Digest:
        """Fetch what is not in ``done`` (range to CRC-32), which grows."""
        file = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.truncate(file, self.entry.size)

            def fetch(number: int) -> None:
                crc = self._range(file, *ranges[number])
                with self._lock:
                    done[number] = crc
                    note()

            missing = [number for number in range(len(ranges)) if number not in done]
            waiting = [self.store.parts_pool.submit(fetch, number) for number in missing]
            try:
                for one in waiting:
                    one.result()
            except BaseException:
                for one in waiting:
                    one.cancel()
                for one in waiting:
                    if not one.cancelled():
                        one.exception()
                raise
        finally:
            os.close(file)
        crc = crc_combined([(done[number], length) for number, (_, length) in enumerate(ranges)])
        return Digest(self.entry.size, crc_text(crc))

    def right(self, digest: Digest) -> bool:
        """Whether the whole is what it should be."""
        if self.expected is None:
            self._ask()
        if self.expected is not None:
            return digest.crc32 == crc_text(self.expected)
        return etag_matches(self.part, self.entry.etag) is not False

    def _range(self, file: int, begin: int, length: int) -> int:
        """Fetch one range; where a content ends too early, the next request begins there."""
        at, crc = 0, 0

        def receive() -> None:
            nonlocal at, crc
            answer = self.store.request(
                "get_object",
                Key=self.store.full_key(self.entry.key),
                Range=f"bytes={begin + at}-{begin + length - 1}",
                IfMatch=f'"{self.entry.etag}"',
            )
            self._learn(answer)
            body = answer["Body"]
            while at < length and (chunk := body.read(min(1 << 20, length - at))):
                os.pwrite(file, chunk, begin + at)
                crc = zlib.crc32(chunk, crc)
                at += len(chunk)
                self.progress(len(chunk))
            if at < length:
                raise TruncatedBody(f"{self.store.name}: {self.entry.key} ended too early, again and again.")
            body.close()

        before = -1
        while at < length:
            # What has come is progress: attempts are counted from there anew.
            try:
                self.store.retry(f"fetching {self.entry.key}", receive)
            except RavenError:
                if at == before or at == 0:
                    raise
                before = at
        return crc

    def _learn(self, answer: dict[str, Any]) -> None:
        from ravenml.store.s3 import recorded_crc

        noted = recorded_crc(answer)
        self.expected = self.expected if noted is None else noted

    def _ask(self) -> None:
        """Everything was there already, or nobody noted a CRC-32: the server may know one."""
        from ravenml.store.s3 import expected_crc

        answer = self.store.retry(
            f"checking {self.entry.key}",
            lambda: self.store.request(
                "head_object", Key=self.store.full_key(self.entry.key), ChecksumMode="ENABLED"
            ),
        )
        self.expected = expected_crc(answer)


def _done(journal: Path, part: Path, identity: dict[str, Any]) -> dict[int, int]:
    """The ranges that an earlier fetch of the same object has brought, with their CRC-32s."""
    try:
        noted = json.loads(journal.read_bytes())
        if noted["of"] == identity and part.stat().st_size == identity["size"]:
            return {int(number): int(crc) for number, crc in noted["done"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}


def _note(journal: Path, identity: dict[str, Any], done: dict[int, int]) -> None:
    write_bytes(journal, json.dumps({"of": identity, "done": done}).encode())
