"""A plugin's settings as plain values, from which a form can be made in any language."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from ravenml.common.io import JsonObject
from ravenml.common.validation import message_of
from ravenml.errors import InputError
from ravenml.train.settings import (
    Leaf,
    TrainSettings,
    default_of,
    leaves,
    read_presets,
    strip_optional,
)


def describe_settings(model: type[BaseModel]) -> JsonObject:
    """Everything that a form needs.

    Returns:
        ``command``, ``best_metric``, ``best_mode``, ``presets`` (title, nested settings) and ``fields``: each
        with ``name`` (``input_size.width``), ``title``, ``text``, ``kind`` (``switch``, ``whole``,
        ``number``, ``text``, ``choice``, ``list``, ``mapping``), ``default``, ``empty`` (whether it may be),
        ``choices``, ``least``, ``most``, ``group``, ``unit``, ``role`` and ``when``.
    """
    known = model if issubclass(model, TrainSettings) else TrainSettings
    return {
        "command": known.command,
        "best_metric": known.best_metric,
        "best_mode": known.best_mode,
        "presets": [
            {"title": str(one.get("title", "")), "nested": one.get("config", {})}
            for one in read_presets(model)
        ],
        "fields": [_field(model, leaf) for leaf in leaves(model)],
    }


def validate_settings(model: type[BaseModel], values: JsonObject) -> tuple[BaseModel | None, dict[str, str]]:
    """The settings, and what is wrong with them: a sentence per field; ``""`` is the whole."""
    try:
        return model.model_validate(values), {}
    except ValidationError as error:
        names = {leaf.path for leaf in leaves(model)}
        wrong: dict[str, str] = {}
        for fault in error.errors():
            place = tuple(str(part) for part in fault["loc"])
            path = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in names), place)
            wrong.setdefault(".".join(path), message_of(fault))
        return None, wrong
    except InputError as error:  # such as of a file that a field names, which begins with the field's name
        named, _, problem = str(error).rstrip(".").partition(": ")
        known = named in {".".join(leaf.path) for leaf in leaves(model)}
        return None, {named: problem} if known else {"": str(error).rstrip(".")}


def flatten(values: JsonObject, model: type[BaseModel]) -> JsonObject:
    """Nested values by the fields' dotted names."""
    found: JsonObject = {}
    for leaf in leaves(model):
        inner: object = values
        for name in leaf.path:
            inner = inner.get(name, PydanticUndefined) if isinstance(inner, dict) else PydanticUndefined
        if inner is not PydanticUndefined:
            found[".".join(leaf.path)] = inner
    return found


def _field(model: type[BaseModel], leaf: Leaf) -> JsonObject:
    extra = leaf.field.json_schema_extra if isinstance(leaf.field.json_schema_extra, dict) else {}
    annotation = strip_optional(leaf.field.annotation)
    offered = _offered(model, ".".join(leaf.path), annotation)
    default = None if leaf.field.is_required() else default_of(model, leaf)
    return {
        "name": ".".join(leaf.path),
        "title": extra.get("title") or leaf.field.title or " ".join(leaf.path).replace("_", " ").capitalize(),
        "text": leaf.field.description or "",
        "kind": _kind(annotation),
        "default": list(default) if isinstance(default, tuple) else default,
        "empty": type(None) in get_args(leaf.field.annotation),
        "required": leaf.field.is_required(),
        "choices": offered,
        **_limits(leaf),
        "group": extra.get("group") or "general",
        "unit": extra.get("unit"),
        "role": extra.get("role"),
        "when": extra.get("when") or {},
    }


def _kind(annotation: object) -> str:
    origin = get_origin(annotation)
    if annotation is bool:
        return "switch"
    if annotation in (int, float):
        return "whole" if annotation is int else "number"
    if origin is Literal:
        return "choice"
    if origin in (list, tuple):
        return "list"
    return "mapping" if origin is dict else "text"


def _offered(model: type[BaseModel], name: str, annotation: object) -> list[JsonObject]:
    if get_origin(annotation) is Literal:
        return [{"value": value, "text": "", "parameters": None} for value in get_args(annotation)]
    return [vars(one) for one in model.choices(name)] if issubclass(model, TrainSettings) else []


def _limits(leaf: Leaf) -> JsonObject:
    """The least and the most that a number may be; ``above`` and ``below`` exclude the limit itself."""
    found: JsonObject = {"least": None, "most": None, "above": None, "below": None}
    for rule in leaf.field.metadata:
        for rule_name, name in (("ge", "least"), ("le", "most"), ("gt", "above"), ("lt", "below")):
            if getattr(rule, rule_name, None) is not None:
                found[name] = getattr(rule, rule_name)
    return found
