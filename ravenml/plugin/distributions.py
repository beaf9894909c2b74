"""Installed distributions, read one by one: a damaged one is named, passed over, and hides no other.

Python's own ``entry_points()`` reads every distribution of the environment and fails with the first bad file,
whosever it is.  Here a distribution is looked at for itself, and only those that declare something for
ravenML are read further.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ravenml.common.formatting import printable

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

OURS = "ravenml."  # what the names of our groups of entry points begin with
LIMIT = 1 << 20  # bytes that are read of a file of metadata; its headers come first
NAMED = 5  # damaged distributions that are named one by one
_HEADER = re.compile(r"^(Name|Version):[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[\w.+!-]+", re.ASCII)

_said: set[str] = set()  # what this process has said already


class DamagedDistribution(Exception):
    """A file of a distribution's metadata is unusable.

    Attributes:
        path: the file.
        reason: what is wrong with it, as the end of a sentence.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason


class Distribution(Protocol):
    """What Python's and the backport's distributions have in common."""

    def read_text(self, filename: str, /) -> str | None: ...


@dataclass(frozen=True)
class Declared:
    """An entry point, and the distribution that declares it.

    Attributes:
        folder: of the distribution's metadata; None if it lies in no folder.
    """

    point: EntryPoint
    distribution: str
    version: str
    folder: Path | None


def find_entry_points(group: str) -> list[Declared]:
    """The installed distributions' entry points of a group, sorted by name; none is imported.

    A distribution that cannot be read is passed over; a note on stderr says so once.
    """
    from importlib_metadata import EntryPoint

    found, damaged = [], []
    for distribution in installed_distributions():
        try:
            lines = [line for line in read_entry_points(distribution) if line[0] == group]
            if not lines:
                continue
            name, version = name_and_version(distribution)
        except DamagedDistribution as error:
            damaged.append(error)
            continue
        folder = metadata_folder(distribution)
        points = (EntryPoint(key, value, group) for _, key, value in lines)
        found += [Declared(point, name, version, folder) for point in points]
    _report(damaged)
    return sorted(found, key=lambda one: one.point.name)


def installed_distributions() -> Iterator[Distribution]:
    """The distributions on ``sys.path``; of several with one name only the first, which is imported."""
    from importlib_metadata import DistributionFinder

    seen = set()
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_distributions", None)
        try:
            found = list(find(DistributionFinder.Context())) if find is not None else []  # type: ignore[no-untyped-call]
        except Exception:  # of another package's finder; what the others find counts
            continue
        for distribution in found:
            folder = metadata_folder(distribution)
            if folder is None:
                yield distribution
                continue
            name = re.sub(r"[-_.]+", "-", folder.name.rpartition(".")[0].partition("-")[0]).lower()
            if name in seen or name.startswith("~"):  # what pip has put aside
                continue
            # what a killed pip has left without metadata must not hide another one of its name
            if name and any(os.path.isfile(f"{folder}{file}") for file in ("/METADATA", "/PKG-INFO", "")):
                seen.add(name)
            yield distribution


def metadata_folder(distribution: Distribution) -> Path | None:
    """Where a distribution's metadata lies; None if that is no folder."""
    folder = getattr(distribution, "_path", None)  # there is no public name
    return folder if isinstance(folder, Path) else None


def read_if_sound(distribution: Distribution, file: str) -> str | None:
    """The text of a file of metadata, for other readers; None if it is missing or damaged."""
    try:
        text = _read(distribution, file)
        if file == "entry_points.txt":
            read_entry_points(distribution, text)
    except DamagedDistribution:
        return None
    return text


def read_entry_points(distribution: Distribution, text: str | None = None) -> list[tuple[str, str, str]]:
    """Group, name and value of every entry point of ours that a distribution declares.

    Args:
        text: of ``entry_points.txt``, if it has been read.

    Raises:
        DamagedDistribution: ``entry_points.txt`` cannot be read, or has a line without ``=``.
    """
    if text is None:
        text = _read(distribution, "entry_points.txt")
    section, found = "", []
    for number, line in enumerate((text or "").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if section and not (equals and name and value):
            path = _path(distribution, "entry_points.txt")
            raise DamagedDistribution(path, f"is malformed: line {number} is not `name = module:object`")
        if section.startswith(OURS):
            found.append((section, name, value))
    return found


def name_and_version(distribution: Distribution) -> tuple[str, str]:
    """What a distribution's metadata call it, and its version.

    Raises:
        DamagedDistribution: there are none, they cannot be read, or they do not say so.
    """
    for file in ("METADATA", "PKG-INFO", ""):  # the last is an old .egg-info, which is a file itself
        text = _read(distribution, file)
        if text is not None:
            break
    else:
        raise DamagedDistribution(_path(distribution, "METADATA"), "is missing")
    fields: dict[str, str] = {}
    for key, value in _HEADER.findall(re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]):
        fields.setdefault(key, value)
    for key, pattern in (("Name", _NAME), ("Version", _VERSION)):
        if pattern.fullmatch(fields.get(key, "")) is None:
            raise DamagedDistribution(_path(distribution, file), f"has no usable field `{key}:`")
    return fields["Name"], fields["Version"]


def _read(distribution: Distribution, file: str) -> str | None:
    """The text of a file of metadata; None if it is missing.

    Nothing is taken on trust: in the file's place may be a folder, a pipe, or a link to anything.
    """
    folder = metadata_folder(distribution)
    if folder is None:
        try:
            return distribution.read_text(file)
        except Exception as error:  # of whatever the distribution is made of: an archive, a finder
            raise DamagedDistribution(
                _path(distribution, file), f"cannot be read ({printable(error)})"
            ) from error
    path = f"{folder}/{file}" if file else str(folder)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise DamagedDistribution(path, "is a broken link") from None
        return None
    except OSError as error:
        raise DamagedDistribution(path, f"cannot be read ({error.strerror})") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            if not file:
                return None
            raise DamagedDistribution(path, "is not a file")
        content = os.read(descriptor, LIMIT)
    except OSError as error:
        raise DamagedDistribution(path, f"cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)
    content = content.replace(b"\r\n", b"\n")  # as reading a text file does
    if file != "entry_points.txt":
        return content.decode(errors="replace")  # an author's name in another encoding harms nobody
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DamagedDistribution(path, "is not UTF-8 text") from None


def _path(distribution: Distribution, file: str) -> str:
    folder = metadata_folder(distribution)
    return f"{folder or distribution}{f'/{file}' if file else ''}"


def _report(damaged: list[DamagedDistribution]) -> None:
    new = [error for error in damaged if error.path not in _said]
    _said.update(error.path for error in new)
    for error in new[:NAMED]:
        print(
            f"Note: {printable(error.path)} {error.reason}; the distribution is passed over. "
            "Install it again (`pip install --force-reinstall`), or delete its folder.",
            file=sys.stderr,
        )
    if len(new) > NAMED:
        print(f"Note: {len(new) - NAMED} more distributions are as damaged.", file=sys.stderr)
