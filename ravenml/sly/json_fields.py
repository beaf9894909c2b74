"""Fields of the JSON that SDK objects are made from: what is missing or of another kind has one error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ravenml.common.formatting import shortened
from ravenml.common.io import JsonObject
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

T = TypeVar("T")


class InvalidJson(InputError, ValueError, KeyError):
    """JSON from which an object of the SDK cannot be made: all that ``from_json`` raises.

    It is a `ValueError` and a `KeyError` too, because these are what plugins catch.

    Attributes:
        field: the place, such as ``objects[3].points.exterior``; empty for the whole.
        problem: what is wrong there, as the end of a sentence.
    """

    def __init__(self, field: str, problem: str, file: str = "") -> None:
        self.field, self.problem, self.file = field, shortened(problem), file
        place = ", ".join(part for part in (file, field) if part)
        super().__init__(f"{place or 'The JSON'}: {self.problem}.")

    __str__ = Exception.__str__  # a KeyError shows its text in quotes

    def __reduce__(self) -> tuple[type[InvalidJson], tuple[str, str, str]]:
        return InvalidJson, (self.field, self.problem, self.file)


@contextmanager
def inside(place: str, file: str = "") -> Iterator[None]:
    """A block that reads what is at ``place``: an error says so, and is an `InvalidJson` whatever it was."""
    try:
        yield
    except InvalidJson as error:
        dot = "." if place and error.field and not error.field.startswith("[") else ""
        raise InvalidJson(f"{place}{dot}{error.field}", error.problem, file or error.file) from None
    except (InvalidGeometry, DataProblem) as error:
        raise InvalidJson(f"{place}.{error.field}".strip("."), error.problem, file) from None
    except (ValueError, KeyError) as error:  # of what the SDK's own objects accept
        raise InvalidJson(place, str(error.args[0] if error.args else error).rstrip("."), file) from None


def expect_object(data: object) -> JsonObject:
    """``data``, which must be a JSON object."""
    if not isinstance(data, dict):
        raise InvalidJson("", f"should be a JSON object, not {_shown(data)}")
    return data


def read_list(data: object, read: Callable[[Any], T]) -> list[T]:
    """What ``read`` makes of each entry of ``data``, which must be a list; null is an empty one."""
    if data is not None and not isinstance(data, list | tuple):
        raise InvalidJson("", f"should be a list, not {_shown(data)}")
    found = []
    for number, entry in enumerate(data or ()):
        with inside(f"[{number}]"):
            found.append(read(entry))
    return found


def get_text(data: JsonObject, name: str, default: str | None = None) -> str:
    """The text under ``name``; the default where there is none, or null."""
    value = data.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise InvalidJson(name, "is missing" if value is None else f"should be text, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    shown = f"{value!r:.40}" if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return f"{type(value).__name__} ({shown})"
