"""JSON and YAML that somebody else may have written, read within limits.

All such text comes through here, whatever its origin, so that a hostile or damaged file is one sentence and
never ends the process.  What is settled for both:

- more than `LARGEST_JSON` or `LARGEST_YAML` bytes, and nesting deeper than `DEEPEST`, are refused;
- UTF-8 is read with or without a byte order mark, and UTF-16 where it is recognised;
- half of a surrogate pair is replaced, because it could not be written again; in JSON files, those that stand
  for a byte of a file's name stay.

In JSON, the last of two equal keys counts, as in most readers; an integer of more than 64 bits may come as a
float; ``NaN`` and ``Infinity``, which Python writes, are read as floats.

YAML is plain values alone: text, numbers, true, false, null, lists and mappings; a date is text.  Refused are
tags such as ``!!python/object``, a key that is there twice, an integer of more than 64 bits, an alias within
what it stands for, and aliases that together stand for more than `MOST_VALUES` values.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ravenml.common.reading import read_bytes
from ravenml.errors import InputError

DEEPEST = 100  # lists and mappings within each other
LARGEST_JSON = 1 << 26  # bytes; what they become takes up to twenty times as much memory
LARGEST_YAML = 1 << 20  # bytes
MOST_VALUES = 200_000  # of a YAML file, with all that its aliases stand for
LONGEST_NUMBER = 4000  # characters; Python itself refuses to print an integer of more than 4300

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # all but what `os.fsdecode` makes of a byte
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # integers
_TAG = "tag:yaml.org,2002:"


class ParseError(InputError, ValueError):
    """Text is not usable as JSON or YAML; a `ValueError` too, as the errors of Python's own parsers are.

    Attributes:
        name: what the text is called, mostly the file.
        problem: what is wrong: ``is not valid JSON``.
        where: the place in it, ``line 3, column 7``; empty where there is none to name.
        detail: more of what is wrong, or the fix; may be empty.
    """

    def __init__(self, name: str, problem: str, where: str = "", detail: str = "") -> None:
        self.name, self.problem, self.where, self.detail = name, problem, where, detail
        place = f" in {where}" if where else ""
        super().__init__(f"{name} {problem}{place}{f': {detail}' if detail else ''}.")

    def __reduce__(self) -> tuple[type[ParseError], tuple[str, str, str, str]]:
        return ParseError, (self.name, self.problem, self.where, self.detail)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, is not a file, or is not usable JSON; the sentence names the line.
    """
    return _parse_json(_read(path, LARGEST_JSON), str(path), _NO_BYTE)


def read_yaml(path: Path) -> dict[Any, Any]:
    """Read a YAML (or JSON) file that holds a mapping; an empty file is an empty one.

    Raises:
        InputError: the file is missing, is not a file, is not usable YAML (with the line), or is no mapping.
    """
    value = parse_yaml(_read(path, LARGEST_YAML), str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold fields with values, such as `dataset: my_project`.")
    return value


def parse_json(content: bytes | str, name: str) -> Any:
    """The value of JSON text.

    Args:
        content: the text.
        name: what it is called in messages.

    Raises:
        ParseError: it is not usable.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return _parse_json(content, name, _SURROGATE)


def _parse_json(content: bytes, name: str, replaced: re.Pattern[str]) -> Any:
    if len(content) > LARGEST_JSON:
        raise ParseError(name, f"is larger than {LARGEST_JSON >> 20} MiB")
    content = content.removeprefix(_BOM)
    _check_depth(content, name)
    try:
        import orjson

        return orjson.loads(content)
    except (ValueError, ImportError):  # there is no orjson in an environment that `install.sh` is to mend
        return _parse_python_json(content, name, replaced)


def parse_yaml(content: bytes | str, name: str, scalars_as_text: bool = False) -> Any:
    """The value of YAML text, which JSON is too; None if it says nothing.

    Args:
        content: the text.
        name: what it is called in messages.
        scalars_as_text: leave `no`, `1.0` and the like as they are written, instead of making them `False`
            and a number.

    Raises:
        ParseError: it is not usable.
    """
    import yaml

    if len(content) > LARGEST_YAML:
        raise ParseError(name, f"is larger than {LARGEST_YAML >> 10} KiB, which no file of settings is")
    text = content if isinstance(content, str) else _decode(content, name, "YAML")
    text = _SURROGATE.sub("\ufffd", text.removeprefix("\ufeff"))
    try:
        _check_yaml(text, name)
        return yaml.load(text, Loader=_loader(scalars_as_text))  # noqa: S506 - one of the safe loaders
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        lines = text.splitlines() or [""]
        number = min(mark.line + 1, len(lines)) if mark is not None else 0  # the end is in a line of its own
        where = f"line {number}" if number else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        if "cannot start any token" in said and number and "\t" in lines[number - 1]:
            said = "it has a tab where spaces belong"
        raise ParseError(name, "is not valid YAML", where, " ".join(said.split())) from None


def _read(path: Path, largest: int) -> bytes:
    try:
        return read_bytes(path, largest)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _decode(content: bytes, name: str, language: str) -> str:
    if language == "JSON":
        encoding = json.detect_encoding(content)
    else:
        encoding = "utf-16" if content.startswith(_UTF16) else "utf-8"
    try:
        return content.decode(encoding, "surrogatepass")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"line {line}" if encoding.startswith("utf-8") else ""
        said = "it is not UTF-8 text; save it as UTF-8"
        raise ParseError(name, f"is not valid {language}", where, said) from None


def _parse_python_json(content: bytes, name: str, replaced: re.Pattern[str]) -> Any:
    """JSON that only Python reads: NaN, halves of surrogate pairs, UTF-16, numbers beyond all floats."""
    text = _decode(content, name, "JSON")
    _check_depth(text.encode("utf-8", "surrogatepass"), name)
    try:
        return _replace(replaced, json.loads(text, parse_int=_integer))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ParseError(name, "is not valid JSON", where, error.msg) from None
    except ValueError as error:
        raise ParseError(name, "is not valid JSON", "", str(error)) from None


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(text)} digits")
    return int(text)


def _replace(replaced: re.Pattern[str], value: Any) -> Any:
    if isinstance(value, str):
        return replaced.sub("?", value)
    if isinstance(value, list):
        return [_replace(replaced, one) for one in value]
    if isinstance(value, dict):
        return {_replace(replaced, key): _replace(replaced, one) for key, one in value.items()}
    return value


def _check_depth(content: bytes, name: str) -> None:
    """Refuse JSON that is nested too deeply, in a fraction of the time that parsing takes.

    All but brackets and quotes is dropped, then text between quotes; then, again and again, each pair of
    brackets with nothing between, which takes away one level each time.
    """
    if content.count(b"[") + content.count(b"{") <= DEEPEST:
        return
    if b"\\" in content:
        content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = content.translate(_TO_PARENTHESES, _ALL_BUT_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = re.sub(rb'"[^"]*"?', b"", brackets)
    for _ in range(DEEPEST):
        if b"()" not in brackets:
            break
        brackets = brackets.replace(b"()", b"")
    if b"()" in brackets or brackets.count(b"(") > DEEPEST:
        raise ParseError(name, f"has lists or objects more than {DEEPEST} deep in each other")


_TO_PARENTHESES = bytes.maketrans(b"[]{}", b"()()")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))


def _check_yaml(text: str, name: str) -> None:
    """Refuse what would be deep, endless or large, or says a key twice, before anything is made of it.

    The parser tells what it finds piece by piece, so that neither it nor this calls itself.
    """
    import yaml

    frames = [_Frame()]
    sizes: dict[str, int] = {}  # values behind each anchor that is whole
    total = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionEndEvent):
            closed = frames.pop()
            frames[-1].size += closed.size
            if closed.anchor:
                sizes[closed.anchor] = closed.size
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        where = f"line {event.start_mark.line + 1}" if event.start_mark else ""
        scalar = event.value if isinstance(event, yaml.ScalarEvent) else None
        if frames[-1].repeats(scalar):
            raise ParseError(name, f"has the key {scalar!r:.50} twice", where, "remove one of them")
        size = 1
        if isinstance(event, yaml.AliasEvent):
            if any(frame.anchor == event.anchor for frame in frames):
                raise ParseError(name, "has too many values", where, f"*{event.anchor} stands for itself")
            size = sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            frames.append(_Frame(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(frames) > DEEPEST + 1:
                raise ParseError(name, f"has lists or mappings more than {DEEPEST} deep in each other", where)
        elif event.anchor:
            sizes[event.anchor] = 1
        frames[-1].size += size
        total += size
        if total > MOST_VALUES:
            raise ParseError(name, "has too many values", where, f"at most {MOST_VALUES:,} are read")


class _Frame:
    """A list or mapping of which the end is still to come."""

    def __init__(self, anchor: str | None = None, mapping: bool = False) -> None:
        self.anchor = anchor
        self.size = 0
        self._keys: set[str] | None = set() if mapping else None
        self._key_is_next = True

    def repeats(self, scalar: str | None) -> bool:
        """Take note of one more value (None: no scalar); whether it is a key that was there before."""
        if self._keys is None:
            return False
        is_key, self._key_is_next = self._key_is_next, not self._key_is_next
        if not is_key or scalar is None or scalar == "<<":
            return False
        known = scalar in self._keys
        self._keys.add(scalar)
        return known


@functools.cache
def _loader(scalars_as_text: bool = False) -> Any:
    """PyYAML's safe loader, in C where there is one, that makes plain values alone."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def refuse(loader: Any, node: Any) -> Any:
        problem = f"the tag {node.tag[:100]} is not read; write a plain value"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    def checked(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def wrapped(loader: Any, node: Any) -> Any:
            problem = "a number of more than 64 bits is not read"
            try:
                if len(node.value) <= LONGEST_NUMBER:
                    value = construct(loader, node)
                    if not isinstance(value, int) or _LEAST <= value <= _MOST:
                        return value
            except (ValueError, KeyError, IndexError, OverflowError):  # not what a tag promises: `!!int many`
                problem = f"{node.value[:50]!r} is not of the kind that its tag says"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

        return wrapped

    constructors: dict[str | None, Callable[[Any, Any], Any]] = {None: refuse}
    for kind in ("str", "seq", "map", "null", "bool", "int", "float"):
        construct = getattr(yaml.constructor.SafeConstructor, f"construct_yaml_{kind}")
        constructors[_TAG + kind] = checked(construct) if kind in ("bool", "int", "float") else construct
    kinds = ("merge",) if scalars_as_text else ("bool", "float", "int", "merge", "null")
    tags = {_TAG + kind for kind in kinds}
    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag in tags]
        for first, known in base.yaml_implicit_resolvers.items()
    }
    fields = {"yaml_constructors": constructors, "yaml_implicit_resolvers": resolvers}
    return type("PlainLoader", (base,), fields)
