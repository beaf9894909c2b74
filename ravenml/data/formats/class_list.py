"""Files that list classes: a name per line, with or without a colour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ravenml.common.parsing import parse_json
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem

Rgb = tuple[int, int, int]
_MOST = 1 << 16  # classes


class ListedClass(NamedTuple):
    """A class's name, and its colour (red, green, blue), if the file says one."""

    title: str
    rgb: Rgb | None


def classes_in(path: Path) -> list[ListedClass]:
    """The classes that a file lists.

    A line is ``name``, ``name #RRGGBB``, ``name 255 0 0``, ``255 0 0 name`` or CVAT's ``name:255,0,0::``.  A
    JSON file is a list of names, names by number, or a project's `meta.json`.

    Raises:
        DataProblem: it cannot be read, or lists none.
    """
    content = read_bytes(path)
    try:
        found = _json(parse_json(content, str(path))) if path.suffix == ".json" else _lines(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataProblem(path, "", f"lists no classes ({error})", "write one name per line") from None
    if not found:
        raise DataProblem(path, "", "lists no classes", "write one name per line")
    return found


def _lines(content: bytes) -> list[ListedClass]:
    found = []
    for line in content.decode("utf-8-sig", "replace").splitlines():
        line = line.strip()
        if line and not line.startswith("# "):
            found.append(_named(line))
    return found


def _named(line: str) -> ListedClass:
    colour = r"(\d{1,3})[ ,\t]+(\d{1,3})[ ,\t]+(\d{1,3})"
    if match := re.fullmatch(rf"{colour}[ ,\t]+(.+)", line):
        return ListedClass(match[4].strip(), _rgb(match[1], match[2], match[3]))
    if match := re.fullmatch(rf"(.+?)(?:[ ,\t]+|:){colour}(?::.*)?", line):
        return ListedClass(match[1].strip(), _rgb(match[2], match[3], match[4]))
    if match := re.fullmatch(r"(.+?)[ ,\t]+#([0-9a-fA-F]{6})", line):
        value = int(match[2], 16)
        return ListedClass(match[1].strip(), (value >> 16, value >> 8 & 255, value & 255))
    return ListedClass(line, None)


def _rgb(*parts: str) -> Rgb:
    red, green, blue = (int(part) for part in parts)
    if max(red, green, blue) > 255:
        raise ValueError(f"{red} {green} {blue} is not a colour")
    return red, green, blue


def _json(given: object) -> list[ListedClass]:
    if isinstance(given, list):
        return [ListedClass(str(name), None) for name in given]
    if not isinstance(given, dict):
        raise TypeError("it is neither a list nor an object")
    if "classes" in given:
        return [_named(f"{one['title']} {one.get('color', '')}".strip()) for one in given["classes"]]
    numbers = {int(number): str(name) for number, name in given.items()}
    last = max(numbers)
    if last >= _MOST:
        raise ValueError(f"{last} is not a class's number")
    return [ListedClass(numbers.get(number, f"class {number}"), None) for number in range(last + 1)]
