"""Files that list classes: a name per line, with or without a colour, or names by number in JSON or YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

from ravenml.common.parsing import parse_json, parse_yaml
from ravenml.data.formats.text import read_lines
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem

Rgb = tuple[int, int, int]
_MOST = 1 << 16  # classes


class ListedClass(NamedTuple):
    """A class's name, and its colour (red, green, blue), if the file says one."""

    title: str
    rgb: Rgb | None


def classes_in(path: Path) -> list[ListedClass]:
    """The classes that a file lists, by their numbers from 0.

    A line is ``name``, ``name #RRGGBB``, ``name 255 0 0``, ``255 0 0 name`` or CVAT's ``name:255,0,0::``;
    numbers above 255 belong to the name.  A blank line is a class without a name, so that the numbers behind
    it stay right, unless most lines have a colour.
    A JSON or YAML file is a list of names, names by number, numbers by name, a project's `meta.json`, or
    YOLO's data.yaml.

    Raises:
        DataProblem: it cannot be read, or lists none.
    """
    try:
        if path.suffix == ".json":
            found = _given(parse_json(read_bytes(path), str(path)))
        elif path.suffix in (".yaml", ".yml"):
            found = _given(parse_yaml(read_bytes(path), str(path), scalars_as_text=True))
        else:
            found = _lines(read_lines(path))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataProblem(path, "", f"lists no classes ({error})", "write one name per line") from None
    if not found:
        raise DataProblem(path, "", "lists no classes", "write one name per line")
    return found


def titles_by_number(given: object) -> list[str]:
    """The names of classes from a list of them, from names by number, or from numbers by name.

    A number without a name is called ``class N``.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(given, list):
        pairs = list(enumerate(given))
    elif isinstance(given, dict):
        pairs = _numbered(given.items()) or _numbered((number, name) for name, number in given.items())
        if given and not pairs:
            raise ValueError("neither its keys nor its values are the numbers of classes")
    else:
        raise ValueError("it is not a list")
    titles: dict[int, str] = {}
    for number, name in pairs:
        if number in titles:
            raise ValueError(f"two classes have the number {number}")
        if isinstance(name, list | dict):
            raise ValueError(f"the name of class {number} is not text")
        titles[number] = "" if name is None else str(name).strip()
    return [titles.get(number) or class_without_name(number) for number in range(max(titles, default=-1) + 1)]


def class_without_name(number: int) -> str:
    """What a class is called whose list says nothing in its place."""
    return f"class {number}"


def _numbered(pairs: Iterable[tuple[object, object]]) -> list[tuple[int, object]]:
    """The pairs with their first part as a number; none where one is not a number of a class."""
    found = []
    for number, name in pairs:
        if isinstance(number, bool) or not re.fullmatch("[0-9]{1,9}", str(number)):
            return []
        if int(str(number)) >= _MOST:
            raise ValueError(f"{number} is not a class's number")
        found.append((int(str(number)), name))
    return found


def _lines(lines: list[str]) -> list[ListedClass]:
    texts = [line.strip() for line in lines if not line.lstrip().startswith("# ")]
    texts = list(dropwhile(lambda text: not text, reversed(texts)))[
        ::-1
    ]  # blank lines at the end say nothing
    named = [_named(text) for text in texts]
    with_names = [one for one in named if one.title]
    if 2 * sum(one.rgb is not None for one in named) > len(with_names) or not with_names:
        return with_names
    return [one if one.title else one._replace(title=class_without_name(n)) for n, one in enumerate(named)]


def _named(line: str) -> ListedClass:
    part = r"(0*(?:25[0-5]|2[0-4]\d|1?\d?\d))"
    colour = rf"{part}[ ,\t]+{part}[ ,\t]+{part}"
    if match := re.fullmatch(rf"{colour}[ ,\t]+(.+)", line):
        return ListedClass(match[4].strip(), (int(match[1]), int(match[2]), int(match[3])))
    if match := re.fullmatch(rf"(.+?)(?:[ ,\t]+|:){colour}(?::.*)?", line):
        return ListedClass(match[1].strip(), (int(match[2]), int(match[3]), int(match[4])))
    if match := re.fullmatch(r"(.+?)[ ,\t]+#([0-9a-fA-F]{6})", line):
        value = int(match[2], 16)
        return ListedClass(match[1].strip(), (value >> 16, value >> 8 & 255, value & 255))
    return ListedClass(line, None)


def _given(given: object) -> list[ListedClass]:
    if isinstance(given, dict) and "classes" in given:
        return [
            ListedClass(str(one["title"]), _named(f"- {one.get('color')}").rgb) for one in given["classes"]
        ]
    if isinstance(given, dict) and "names" in given:
        given = given["names"]
    return [ListedClass(title, None) for title in titles_by_number(given)]
