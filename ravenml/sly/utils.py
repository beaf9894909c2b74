"""Small helpers that plugins use."""

from __future__ import annotations

import json
import random
import re
import string
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from ravenml.sly.fs import get_bytes_hash as get_bytes_hash
from ravenml.sly.fs import get_file_ext, get_file_name

COMMUNITY = "community"
ENTERPRISE = "enterprise"

T = TypeVar("T")


def rand_str(length: int) -> str:
    """Random letters and digits."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=length))


def generate_names(base_name: str, count: int) -> list[str]:
    """Names of files: ``a.png``, ``a_01.png``, ``a_02.png`` …"""
    stem, ext = get_file_name(base_name), get_file_ext(base_name)
    return [base_name, *(f"{stem}_{number:02d}{ext}" for number in range(1, count))]


def generate_free_name(used_names: Sequence[str], possible_name: str, with_ext: bool = False) -> str:
    """A name that is not used: the possible one, or that with a number (before its extension)."""
    stem, ext = possible_name, ""
    if with_ext:
        stem, ext = get_file_name(possible_name), get_file_ext(possible_name)
    name, number, used = possible_name, 0, set(used_names)
    while name in used:
        number += 1
        name = f"{stem}_{number:02d}{ext}"
    return name


def camel_to_snake(name: str) -> str:
    """``CamelCase`` as ``camel_case``."""
    parted = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", parted).lower()


def take_with_default(v: T | None, default: T) -> T:
    """The value, or the default where it is None."""
    return default if v is None else v


def batched(seq: Sequence[T], batch_size: int = 50) -> Iterator[Sequence[T]]:
    """A sequence in parts of one size, of which the last may be smaller."""
    for start in range(0, len(seq), batch_size):
        yield seq[start : start + batch_size]


def unwrap_if_numpy(x: Any) -> Any:
    """A number of numpy's as Python's."""
    item = getattr(x, "item", None)
    return x if item is None else item()


def str_to_type_or_none(data_str: str, target_type: type[T]) -> T | None:
    """A value from JSON, which must be of a type; None from the text ``None``.

    Raises:
        TypeError: it is of another type.
    """
    if data_str == "None":
        return None
    value = json.loads(data_str)
    if type(value) is not target_type:
        raise TypeError(f"{data_str!r} is not {target_type.__name__} or None.")
    return value


class NpEncoder(json.JSONEncoder):
    """Encodes numpy's numbers and arrays, too."""

    def default(self, o: Any) -> Any:
        """Numpy's as Python's."""
        return o.tolist() if hasattr(o, "tolist") else super().default(o)


class TinyTimer:
    """Measures time from when it is made.

    Attributes:
        t: when that was, in seconds.
    """

    def __init__(self) -> None:
        self.t = time.time()

    def get_sec(self) -> float:
        """The seconds since then."""
        return time.time() - self.t
