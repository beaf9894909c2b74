"""XML as annotation files have it: read in little memory, and written as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from ravenml.common.reading import open_file
from ravenml.data.problems import DataProblem


def read_tree(path: Path) -> ElementTree.Element:
    """A small file's outermost element.

    Raises:
        DataProblem: the file cannot be read or is not XML.
    """
    try:
        with open_file(path) as file:
            return ElementTree.parse(file).getroot()  # noqa: S314 - expat bounds what entities grow to
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise _problem(path, error) from None


def elements_of(path: Path, *names: str) -> Iterator[ElementTree.Element]:
    """The elements of these names as a large file goes on; each is forgotten when the next is asked for.

    Raises:
        DataProblem: the file cannot be read or is not XML.
    """
    try:
        above: list[ElementTree.Element] = []
        with open_file(path) as file:
            for event, element in ElementTree.iterparse(file, ("start", "end")):  # noqa: S314 - as above
                if event == "start":
                    above.append(element)
                    continue
                above.pop()
                if element.tag in names:
                    yield element
                    if above:
                        above[-1].remove(element)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise _problem(path, error) from None


def tag(name: str, attributes: Mapping[str, object], content: str | None = None) -> str:
    """An element; ``content`` is XML already."""
    said = "".join(f" {key}={quoteattr(_legal(str(value)))}" for key, value in attributes.items())
    return f"<{name}{said}/>" if content is None else f"<{name}{said}>{content}</{name}>"


def _legal(text: str) -> str:
    """Text without the control characters that XML cannot hold."""
    return "".join(sign for sign in text if sign >= " " or sign in "\t\n\r")


def _problem(path: Path, error: Exception) -> DataProblem:
    if isinstance(error, ElementTree.ParseError):
        line, column = error.position
        problem = f"is not valid XML ({str(error).split(':')[0]})"
        return DataProblem(path, f"line {line}, column {column + 1}", problem, "export it again")
    said = error.strerror if isinstance(error, OSError) else error
    return DataProblem(path, "", f"cannot be read ({said})", "make it readable")
