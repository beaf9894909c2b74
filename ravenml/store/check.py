"""Trying the stores that the configuration names, by using them."""

from __future__ import annotations

import secrets
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from ravenml.config.config import Config
from ravenml.errors import RavenError
from ravenml.store.base import Store
from ravenml.store.checksums import crc_header
from ravenml.store.factory import FIELDS, bucket, local_models

if TYPE_CHECKING:
    from ravenml.store.s3 import S3Store

CONTENT = b"ravenML was here to see whether it may; this file may be removed.\n"


class Step(TypedDict):
    """What was tried, in words, and whether it worked; ``checksums``: those that the server compares."""

    what: str
    ok: bool
    checksums: NotRequired[list[str]]


StoreReport = TypedDict("StoreReport", {"store": str, "for": str, "steps": list[Step]})


def check_stores(config: Config) -> list[StoreReport]:
    """Use every store once; each step says in words whether it worked.

    Returns:
        For each store: ``store`` (its name), ``for`` (what it holds), ``steps`` (``what``, ``ok``).
    """
    found: list[StoreReport] = []
    for kind, field in FIELDS.items():
        try:
            store = bucket(kind, config)
        except RavenError as error:
            name, steps = str(getattr(config, field)), [Step(what=str(error), ok=False)]
        else:
            if store is None and kind == "datasets":
                continue  # without a bucket, datasets are folders of the user's
            name, steps = (store or local_models()).name, _use(store or local_models())
            if store is not None and all(step["ok"] for step in steps):
                steps.append(_checksums(store, config))
        found.append({"store": name, "for": kind, "steps": steps})
    return found


def _use(store: Store) -> list[Step]:
    """List, write, read and delete; ends with the first step that fails."""
    steps: list[Step] = []
    key = f"ravenml-check-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="ravenml-") as folder:
        there, back = Path(folder) / "there", Path(folder) / "back"
        there.write_bytes(CONTENT)

        def compare() -> None:
            store.get(key, back)
            if back.read_bytes() != CONTENT:
                raise RavenError("What was read is not what was written.")

        for what, step in (
            ("may be listed", lambda: next(iter(store.list("models/metadata_")), None)),
            ("may be written to", lambda: store.put(key, there)),
            ("gives back what was written", compare),
            ("lets files be removed", lambda: store.delete(key)),
        ):
            try:
                step()
            except RavenError as error:
                return [*steps, Step(what=str(error), ok=False)]
            steps.append(Step(what=what, ok=True))
    return steps


def _checksums(store: S3Store, config: Config) -> Step:
    """Whether the server refuses what differs from its checksum; asked with one that is wrong."""
    key, takes = f"ravenml-check-{secrets.token_hex(8)}", []
    known = _headers_or_none(store, key, {"x-amz-checksum-crc32": crc_header(zlib.crc32(CONTENT))})
    echoes = known is not None and "x-amz-checksum-crc32" in known
    wrong = {
        "CRC-32": ("x-amz-checksum-crc32", "AAAAAA=="),
        "MD5": ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
    }
    for name, (header, value) in wrong.items():
        if _headers_or_none(store, key, {header: value}) is None:
            takes.append(name)
    store.delete(key)
    used, other = "CRC-32", "when_required"
    if config.checksums != "when_supported":
        used, other = "MD5", "when_supported"
    if used in takes:
        text = f"refuses what differs from its {used} (`checksums: {config.checksums}`)"
    elif takes:
        text = (
            f"does not look at {used}, but at {takes[0]}: `raven config update --checksums {other}` suits it "
            "better (what arrives is compared in any case)"
        )
    else:
        known_or_not = "keeps" if echoes else "does not know"
        text = f"{known_or_not} checksums and does not look at them; what arrives is compared by its ETag"
    return {"what": text, "ok": True, "checksums": takes}


def _headers_or_none(store: S3Store, key: str, headers: Mapping[str, str]) -> Mapping[str, str] | None:
    """What the server answers to an upload with these headers, or None where it refuses it."""
    from ravenml.store.s3.errors import ServerError

    def send() -> Mapping[str, str] | None:
        try:
            return store.send("PUT", store.full_key(key), headers=headers, body=CONTENT).headers
        except ServerError as error:
            if error.status >= 500:
                raise
            return None

    return store.retry(f"storing {key}", send)
