"""Values checked against pydantic's models, and what is wrong with them in sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ravenml.common.formatting import shortened
from ravenml.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

_MOST = 20  # faults that are told; a file may have thousands


def validate(
    model: type[Model],
    values: Mapping[str, object],
    where: str,
    spelled: Mapping[tuple[str, ...], str] | None = None,
) -> Model:
    """Build ``model`` from ``values``; each fault becomes a sentence with its place and field.

    Args:
        model: what the values should be.
        values: nested plain values.
        where: the file (or command) that the values come from.
        spelled: for fields given on the command line, the option that gave them.

    Raises:
        InputError: an unknown field (with the nearest known one), a wrong type, a value out of range.
    """
    unknown = list(_unknown_fields(model, values))
    if unknown:
        raise InputError(
            _listed([_unknown_field(model, place, where) for place in unknown[:_MOST]], len(unknown))
        )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        sentences = [_sentence(model, fault, where, spelled or {}) for fault in error.errors()[:_MOST]]
        raise InputError(_listed(sentences, error.error_count())) from None


def message_of(problem: ErrorDetails) -> str:
    """What pydantic says about one value, as it is shown beside the value's field: ``Should be …``."""
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].upper() + text[1:]


def _listed(sentences: Sequence[str], count: int) -> str:
    more = count - len(sentences)
    rest = [f"{more} more fault{'s are' if more > 1 else ' is'} not shown."] if more else []
    return "\n".join([*sentences, *rest])


def _unknown_field(model: type[BaseModel], place: tuple[str, ...], where: str) -> str:
    *above, wrong = place
    known = _fields_at(model, above)
    within = [name for name in known if wrong.endswith(f"_{name}")]
    close = within or difflib.get_close_matches(wrong, known, n=1)
    remedy = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(sorted(known))}."
    return f"{where}: `{shortened('.'.join(place))}` is not a known field; {remedy}"


def _sentence(
    model: type[BaseModel], fault: ErrorDetails, where: str, spelled: Mapping[tuple[str, ...], str]
) -> str:
    location = tuple(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return _unknown_field(model, location, where)
    place = spelled.get(location) or (
        f"{where}: `{shortened('.'.join(location))}`" if location else f"{where}:"
    )
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ").rstrip(".")
    message = shortened(message, 2000)
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        inner = _fields_at(model, location)[:2]
        form = "{" + ", ".join(f"{name}: …" for name in inner) + "}"
        return f"{place} should hold fields, such as `{location[-1]}: {form}`, not {_given(fault)}."
    if fault["type"] == "int_parsing":
        return f"{place} should be a whole number, not {_given(fault)}."
    if fault["type"] == "float_parsing":
        return f"{place} should be a number, not {_given(fault)}."
    if fault["type"] == "missing":
        return f"{place} is missing."
    if fault["type"].startswith("value_error"):
        return f"{place} {message}."
    return f"{place} should be {message}, not {_given(fault)}."


def _given(fault: ErrorDetails) -> str:
    return shortened(repr(fault["input"]))


def _unknown_fields(
    model: type[BaseModel], values: Mapping[str, object], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """The places of values that no field takes, in nested models too, where pydantic passes over them."""
    if model.model_config.get("extra") == "allow":
        return
    aliases = {field.alias for field in model.model_fields.values() if field.alias}
    for name, value in values.items():
        if name not in model.model_fields and name not in aliases:
            yield (*above, str(name))
        elif isinstance(value, dict) and (mapped := _mapped_model(model, name)) is not None:
            for key, inner in value.items():
                if isinstance(inner, dict):
                    yield from _unknown_fields(mapped, inner, (*above, name, str(key)))
        elif isinstance(value, dict) and (nested := _nested_model(model, name)) is not None:
            yield from _unknown_fields(nested, value, (*above, name))


def _mapped_model(model: type[BaseModel] | None, name: str) -> type[BaseModel] | None:
    """The model of each value of a field that is a mapping from names to models."""
    field = getattr(model, "model_fields", {}).get(name)
    if field is None or get_origin(field.annotation) is not dict:
        return None
    inner = get_args(field.annotation)[1]
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _nested_model(model: type[BaseModel] | None, name: str) -> type[BaseModel] | None:
    """The model that a field holds, also behind ``| None``."""
    field = getattr(model, "model_fields", {}).get(name)
    candidates = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    """The names of the fields of the (nested) model at ``location``."""
    current: type[BaseModel] | None = model
    parts = list(location)
    while parts:
        name = parts.pop(0)
        mapped = _mapped_model(current, name)
        if mapped is not None and parts:
            parts.pop(0)  # the key in the mapping
        current = mapped or _nested_model(current, name)
    return list(getattr(current, "model_fields", {}))
