"""XML as annotation files have it: read in little memory, and written as text.

A file is decoded by Python, which knows more encodings than expat does.  Bytes that are not of the file's
encoding become ``�``, so that they cost no more than the text that they stand in.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from ravenml.common.reading import open_file
from ravenml.data.formats.text import unicode_encoding
from ravenml.data.problems import DataProblem

ILLEGIBLE = "has bytes that are not of the file's encoding"
DECLARE = "declare the right encoding in the first line, or save the file as UTF-8"
_BEGINNING = 1 << 12  # bytes, in which the declaration and the outermost element begin
_DECLARED = re.compile(r"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_UNICODE = re.compile("utf-?(8|16|32)(-?[bl]e)?|ucs-?[24]|iso-10646-ucs-[24]|unicode")
_OUTERMOST = re.compile(r"<([A-Za-z_:][^\s/>]*)")
# What is said to be of a smaller character set is mostly of the larger one that holds it.
_OF_NO_FILE = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
}


def read_tree(path: Path) -> ElementTree.Element:
    """A small file's outermost element.

    Raises:
        DataProblem: the file cannot be read or is not XML.
    """
    with _text_of(path) as file:
        return ElementTree.fromstring(file.read())  # noqa: S314 - expat bounds what entities grow to


def elements_of(path: Path, *names: str) -> Iterator[ElementTree.Element]:
    """The elements of these names as a large file goes on; each is forgotten when the next is asked for.

    Raises:
        DataProblem: the file cannot be read or is not XML.
    """
    above: list[ElementTree.Element] = []
    with _text_of(path) as file:
        for event, element in ElementTree.iterparse(file, ("start", "end")):  # noqa: S314 - as above
            if event == "start":
                above.append(element)
                continue
            above.pop()
            if element.tag in names:
                yield element
                if above:
                    above[-1].remove(element)


def outermost(path: Path) -> str:
    """The name of a file's outermost element by its beginning; empty where it has none or cannot be read."""
    try:
        with open_file(path) as file:
            beginning = file.read(_BEGINNING)
        text = re.sub(
            r"<!--.*?-->|<[?!].*?>", "", beginning.decode(_encoding(beginning), "replace"), flags=re.DOTALL
        )
    except (OSError, LookupError):
        return ""
    match = _OUTERMOST.search(text)
    return match[1] if match else ""


def is_legible(text: str) -> bool:
    """Whether all bytes of a text were of the file's encoding."""
    return "\ufffd" not in text


def tag(name: str, attributes: Mapping[str, object], content: str | None = None) -> str:
    """An element; ``content`` is XML already."""
    said = "".join(f" {key}={quoteattr(_legal(str(value)))}" for key, value in attributes.items())
    return f"<{name}{said}/>" if content is None else f"<{name}{said}>{content}</{name}>"


def _legal(text: str) -> str:
    """Text without the control characters that XML cannot hold."""
    return "".join(sign for sign in text if sign >= " " or sign in "\t\n\r")


@contextmanager
def _text_of(path: Path) -> Iterator[io.TextIOWrapper]:
    """A file's text, whatever it is encoded in; what is wrong with it is a DataProblem."""
    try:
        with open_file(path) as file:
            encoding = _encoding(file.peek(_BEGINNING))
            with io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
                yield text
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise _problem(path, error) from None


def _encoding(beginning: bytes) -> str:
    """What a file is encoded in: its byte order says it, else its declaration, else it is UTF-8.

    Raises:
        LookupError: no text is in what the declaration says.
    """
    encoding = unicode_encoding(beginning)
    declared = _DECLARED.match(beginning.decode(encoding, "replace"))
    # A declaration of UTF-16 in a file of single bytes was left there when the file was converted.
    name = declared[1].lower().replace("_", "-") if declared else "utf-8"
    if encoding != "utf-8-sig" or _UNICODE.fullmatch(name):
        return encoding
    if name in _OF_NO_FILE:
        raise LookupError(f"unknown encoding: {name}")
    return _SUPERSETS.get(name, name)


def _problem(path: Path, error: Exception) -> DataProblem:
    if isinstance(error, ElementTree.ParseError):
        line, column = error.position
        problem = f"is not valid XML ({str(error).split(':')[0]})"
        return DataProblem(path, f"line {line}, column {column + 1}", problem, "export it again")
    if isinstance(error, LookupError):
        problem = f"declares an encoding that does not exist ({error})"
        return DataProblem(path, "line 1", problem, "correct it, or save the file as UTF-8")
    said = error.strerror if isinstance(error, OSError) else error
    return DataProblem(path, "", f"cannot be read ({said})", "make it readable")
