"""Trying the stores that the configuration names, by using them."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ravenml.config.config import Config
from ravenml.errors import RavenError
from ravenml.store.base import Store
from ravenml.store.factory import FIELDS, bucket, local_models

CONTENT = b"ravenML was here to see whether it may; this file may be removed.\n"


def check_stores(config: Config) -> list[dict[str, Any]]:
    """Use every store once; each step says in words whether it worked.

    Returns:
        For each store: ``store`` (its name), ``for`` (what it holds), ``steps`` (``what``, ``ok``).
    """
    found: list[dict[str, Any]] = []
    for kind in FIELDS:
        steps: list[dict[str, Any]] = []
        try:
            store: Store | None = bucket(kind, config)
        except RavenError as error:
            name = str(getattr(config, FIELDS[kind]))
            found.append({"store": name, "for": kind, "steps": [{"what": str(error), "ok": False}]})
            continue
        if store is None and kind == "datasets":
            continue  # without a bucket, datasets are folders of the user's
        _check(store if store is not None else local_models(), steps)
        if store is not None and all(step["ok"] for step in steps):
            steps.append(_checksums(store, config))
        name = store.name if store is not None else local_models().name
        found.append({"store": name, "for": kind, "steps": steps})
    return found


def _check(store: Store, steps: list[dict[str, Any]]) -> None:
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
                steps.append({"what": str(error), "ok": False})
                return
            steps.append({"what": what, "ok": True})


def _checksums(store: Any, config: Config) -> dict[str, Any]:
    """Whether the server refuses what differs from its checksum; asked with one that is wrong."""
    key, takes = f"ravenml-check-{secrets.token_hex(8)}", []
    wrong = {
        "CRC-32": {"ChecksumCRC32": "AAAAAA=="},
        "MD5": {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
    }
    known = _answer_or_none(
        lambda: store.request("put_object", Key=store.full_key(key), Body=CONTENT, ChecksumCRC32=_crc())
    )
    echoes = isinstance(known, dict) and "ChecksumCRC32" in known
    for name, fields in wrong.items():
        ask = partial(store.request, "put_object", Key=store.full_key(key), Body=CONTENT, **fields)
        answer = _answer_or_none(ask)
        if answer is None:
            takes.append(name)
    store.delete(key)
    used = "CRC-32" if config.checksums == "when_supported" else "MD5"
    if used in takes:
        text = f"refuses what differs from its {used} (`checksums: {config.checksums}`)"
        return {"what": text, "ok": True, "checksums": takes}
    if takes:
        other = "when_required" if used == "CRC-32" else "when_supported"
        text = (
            f"does not look at {used}, but at {takes[0]}: `raven config update --checksums {other}` suits it "
            "better (what arrives is compared in any case)"
        )
        return {"what": text, "ok": True, "checksums": takes}
    text = "keeps" if echoes else "does not know"
    return {
        "what": f"{text} checksums and does not look at them; what arrives is compared by its ETag",
        "ok": True,
        "checksums": takes,
    }


def _answer_or_none(call: Callable[[], Any]) -> Any:
    """The answer, or None where the server refused."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError):
        return None


def _crc() -> str:
    import zlib

    from ravenml.store.checksums import crc_header

    return crc_header(zlib.crc32(CONTENT))
