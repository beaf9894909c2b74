"""What to do next with a project: which installed plugin learns what its objects are."""

from __future__ import annotations

from collections.abc import Collection

from ravenml.common.hooks import SETTINGS, find_entry_points

_SEGMENTATION, _DETECTION = "segmentation", "detection"
_AREAS = frozenset({"bitmap", "polygon", "rectangle"})


def training_command(dataset: str, kinds: Collection[str]) -> str:
    """The command that trains on a project.

    Areas are learned by segmentation or, where no plugin does that, by detection of the boxes around them;
    rectangles the other way round.

    Args:
        dataset: the project's name or folder, quoted for a shell.
        kinds: the shapes of its objects, as annotations name them.

    Returns:
        The command with an installed plugin that fits, or with ``PLUGIN`` where none says that it does.
    """
    learned = _learned()
    wanted = [_SEGMENTATION, _DETECTION] if _AREAS & set(kinds) else []
    if set(kinds) & _AREAS == {"rectangle"}:
        wanted.reverse()
    fits = [name for task in wanted for name, its in learned.items() if its == task]
    return f"raven train --dataset {dataset} {(fits or ['PLUGIN'])[0]} train"


def _learned() -> dict[str, str]:
    """By their names, what the installed plugins learn; those that are broken or do not say are left out."""
    found = {}
    for entry in find_entry_points(SETTINGS):
        try:
            learns = getattr(entry.load(), "learns", "")
        except Exception:  # a plugin that is broken must not spoil what has been done
            continue
        if isinstance(learns, str) and learns:
            found[entry.name] = learns
    return found
