"""A training's config as YAML with comments: what ``--write-config`` writes and ``--config`` reads."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ravenml.common.secrets import redact
from ravenml.train.config import PLUGIN_NAME, TrainConfig
from ravenml.train.settings import Leaf, inner_model, leaves, strip_optional

# Where the core's fields stand; the plugin's own follow, under the headings that `--help` gives them.
_CORE = {
    "Common": ("dataset", "name", "preset", "metadata", "answers"),
    "Data": ("split", "untagged", "split_seed"),
    "k-fold": ("kfold", "jobs"),
    "Storage": ("artifact_path", "overwrite_local", "upload_checkpoints", "ec2_policy"),
}
_WIDTH = 100


def render_config(
    config: TrainConfig,
    plugin: str,
    model: type[BaseModel] | None,
    heading: Callable[[Leaf], str],
    order: Callable[[Iterable[str]], Sequence[str]],
) -> str:
    """All settings of a training as YAML, each with its help and its value in ``config``.

    Reading the text as a config file gives ``config`` again, except for values that look like secrets, which
    are not written.

    Args:
        config: the effective config.
        plugin: the plugin's name.
        model: the plugin's settings; None where it publishes none.
        heading: what a setting stands under.
        order: puts headings into the order of ``--help``.
    """
    # The plugin's values are plain already, and as JSON an infinite one would become null.
    values = redact(config.model_dump(mode="json") | {"plugin": config.plugin})
    lines = [
        f"# A config for training with {plugin}: give it to the training command with --config.",
        "# Options on the command line override it; a line that is deleted means the default.",
        "",
        *_entry("v", TrainConfig.model_fields["v"], values["v"]),
        "# The plugin that the settings are for.",
        *_dump(PLUGIN_NAME, plugin),
    ]
    for title, names in _CORE.items():
        lines += ["", _title(title)]
        for name in names:
            lines += _entry(name, TrainConfig.model_fields[name], values[name])
    lines += ["", "# The plugin's settings."]
    if model is None or not model.model_fields:
        return "\n".join([*lines, *_dump("plugin", values["plugin"]), ""])
    lines.append("plugin:")
    headings: dict[str, str] = {}
    for leaf in leaves(model):
        headings.setdefault(leaf.path[0], heading(leaf))
    groups: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        group = groups.setdefault(headings.get(name, "Model"), [])
        group += _entry(name, field, values["plugin"].get(name))
    for number, title in enumerate(each for each in order(groups) if each in groups):
        lines += [""] * (number > 0) + _indented([_title(title), *groups[title]])
    return "\n".join([*lines, ""])


def _entry(name: str, field: FieldInfo, value: object) -> Iterator[str]:
    """A field's help as a comment, and its value; the fields of a model within it alike."""
    yield from textwrap.wrap(_help(field), _WIDTH, initial_indent="# ", subsequent_indent="# ")
    inner = inner_model(field)
    if inner is None or not isinstance(value, Mapping | None):
        yield from _dump(name, value)
        return
    fields = [
        line
        for each, its in inner.model_fields.items()
        for line in _entry(each, its, value.get(each) if value is not None else _default(its))
    ]
    if value is None:
        yield f"{name}: null"
        yield from (f"#{line}" for line in _indented(fields))
        return
    fields += [line for each in value if each not in inner.model_fields for line in _dump(each, value[each])]
    yield from [f"{name}:", *_indented(fields)] if fields else [f"{name}: {{}}"]


def _help(field: FieldInfo) -> str:
    annotation = strip_optional(field.annotation)
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    listed = f"One of {', '.join(map(str, choices))}." if choices else ""
    return " ".join(part for part in (field.description, listed) if part)


def _default(field: FieldInfo) -> object:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _dump(name: str, value: object) -> list[str]:
    readable = json.dumps(value, ensure_ascii=False).isprintable()  # other characters are escaped
    text = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=readable, width=float("inf"))
    return str(text).rstrip("\n").split("\n")


def _title(heading: str) -> str:
    return f"# ---- {heading} ----"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]
