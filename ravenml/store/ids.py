"""Names of runs and models."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # ascending, and without letters that read like digits
_issued: set[str] = set()  # by this process, which may ask for many within the same part of a second


def new_id() -> str:
    """A name for a run or a model: sorts by time (UTC), and is unique across machines.

    The last six letters are two for the part of the second, in order, and four by chance.
    """
    while (name := _random_id()) in _issued:
        pass
    _issued.add(name)
    return name


def _random_id() -> str:
    now = datetime.now(UTC)
    base = len(_ALPHABET)
    part = now.microsecond * base * base // 1_000_000
    chance = "".join(secrets.choice(_ALPHABET) for _ in range(4))
    return f"{now:%Y%m%d-%H%M%S}-{_ALPHABET[part // base]}{_ALPHABET[part % base]}{chance}"
