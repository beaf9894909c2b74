"""Models as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ravenml.common.formatting import format_number, format_size, local_time
from ravenml.common.io import JsonObject
from ravenml.store.aliases import list_aliases
from ravenml.store.base import Entry, Store
from ravenml.store.models import ModelRow
from ravenml.store.results import extras_prefix

_SHOWN = ("val/miou", "val/mdice", "val/map", "val/pixel_accuracy", "val/loss")


def rows(found: Sequence[ModelRow]) -> list[list[str]]:
    """The list as a table of text with a header."""
    table = [["MODEL", "NETWORK", "PLUGIN", "DATASET", "FOLDS", "SIZE", "DATE", "SCORE", "WHERE"]]
    for one in found:
        name = next((name for name in _SHOWN if isinstance(one.metrics.get(name), int | float)), None)
        score = f"{name} {one.metrics[name]:.4f}" if name else "-"
        table.append(
            [
                " ".join([one.id, *([f"({one.name})"] if one.name else []), *map("@{}".format, one.aliases)]),
                one.architecture or "-",
                f"{one.plugin or '-'}{' (transfer only)' if one.transfer_only else ''}",
                one.dataset or "-",
                str(one.folds or "-"),
                format_size(one.size) if one.size is not None else "-",
                local_time(one.date),
                score if one.error is None else f"! {one.error}",
                one.where,
            ]
        )
    return table


def details(store: Store, model_id: str, metadata: JsonObject, entries: Mapping[str, Entry]) -> list[str]:
    """One model as lines of text."""
    aliases = [name for name, meant in list_aliases(store).items() if meant == model_id]
    dataset = metadata.get("dataset")
    extras = [entry for key, entry in entries.items() if key.startswith(extras_prefix(model_id))]
    facts = [
        ("Model", model_id),
        ("Name", metadata.get("name")),
        ("Aliases", ", ".join(aliases)),
        ("Store", store.name),
        ("Plugin", f"{metadata.get('plugin') or '-'} {metadata.get('plugin_version') or ''}".strip()),
        ("Made by", metadata.get("created_by")),
        ("Comments", metadata.get("comments")),
        ("Dataset", dataset.get("name") if isinstance(dataset, dict) else dataset),
        ("Finished", local_time(str(metadata.get("finished") or metadata.get("created") or ""))),
        ("Use", "only to start trainings from" if metadata.get("transfer_only") else None),
    ]
    lines = [f"{name + ':':10s} {value}" for name, value in facts if value]
    for key in (metadata.get("models") or {}).values():
        entry = entries.get(key)
        lines.append(f"{'File:':10s} {key} ({format_size(entry.size) if entry else 'missing'})")
    if extras:
        total = format_size(sum(entry.size for entry in extras))
        lines.append(f"{'Beside it:':10s} {extras_prefix(model_id)} ({len(extras)} files, {total})")
    metrics = metadata.get("metrics") or {}
    if metrics:
        lines += ["", *(f"{name:32s} {format_number(value)}" for name, value in metrics.items())]
    return lines
