"""Which metrics are drawn in one chart, and in which order the charts stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_FIRST = ("loss", "miou", "mdice", "map", "accuracy", "pixel_accuracy", "lr")
_MANY = 12  # lines of classes in one chart; more of them are beyond telling apart


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: what it shows: ``loss``, ``val/iou per class``.
        addresses: the metrics that are drawn in it.
        detail: whether it is about single classes, which stand behind everything else.
    """

    title: str
    addresses: tuple[str, ...]
    detail: bool = False


def group_panels(addresses: Iterable[str], runs: int = 1) -> list[Panel]:
    """Charts for these metrics: what training and validation report under one name shares a chart, and of a
    single run the classes of one score do.

    Args:
        addresses: of all metrics, such as ``val/iou/road``.
        runs: how many runs are drawn over one another.
    """
    whole: dict[str, list[str]] = {}
    classes: dict[str, list[str]] = {}
    for address in dict.fromkeys(addresses):
        kind, _, name = address.partition("/")
        score, _, title = name.partition("/")
        if title and runs == 1:
            classes.setdefault(f"{kind}/{score}", []).append(address)
        elif title:
            classes.setdefault(address, []).append(address)
        else:
            whole.setdefault(name, []).append(address)
    found = [Panel(name, tuple(sorted(whole[name]))) for name in sorted(whole, key=_rank(list(whole)))]
    for name, several in sorted(classes.items(), key=lambda pair: not pair[0].startswith("val/")):
        parts = [several[begin : begin + _MANY] for begin in range(0, len(several), _MANY)]
        for number, part in enumerate(parts, 1):
            which = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            title = f"{name} per class{which}" if runs == 1 else name
            found.append(Panel(title, tuple(part), detail=True))
    return found


def line_name(address: str, panel: Panel) -> str:
    """How a metric is called among the lines of its chart: ``val``, or the class."""
    kind, _, name = address.partition("/")
    return name.partition("/")[2] if panel.detail and "/" in name else kind


def _rank(names: Sequence[str]) -> Callable[[str], tuple[int, int]]:
    def rank(name: str) -> tuple[int, int]:
        known = _FIRST.index(name) if name in _FIRST else len(_FIRST)
        return known, names.index(name)

    return rank
