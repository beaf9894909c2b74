"""What was chosen in a step, in a few words."""

from __future__ import annotations

from pathlib import Path

from ravenml.dashboard.train.draft import value_at
from ravenml.dashboard.train.wizard import Wizard


def summarize(step: str, wizard: Wizard) -> str:
    """A few words for the rail; empty where nothing was chosen yet."""
    draft = wizard.draft
    if step == "project":
        images = len(wizard.job.project.items) if wizard.job and wizard.job.project else 0
        return f"{Path(draft.dataset).name} · {count_of(images, 'image')}" if draft.dataset and images else ""
    if step == "split":
        return _split(wizard)
    if step == "classes":
        field = wizard.field("classes")
        total = len(wizard.job.project.classes) if wizard.job and wizard.job.project else 0
        chosen = value_at(draft.settings, field["name"]) if field else None
        return f"all {total}" if not chosen else f"{len(chosen)} of {total}"
    if step in ("augment", "model"):
        field = wizard.field("augmentations" if step == "augment" else "architecture")
        return str(wizard.value(field["name"])) if field else ""
    if step == "settings":
        field = wizard.field("epochs")
        epochs = f"{wizard.value(field['name'])} epochs" if field else ""
        return " · ".join(part for part in (draft.preset, epochs) if part)
    return count_of(len(draft.runs), "run") if draft.runs else ""


def count_of(number: int, word: str) -> str:
    """``1 image``, ``1,200 images``."""
    plural = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word.endswith("s") else "s")
    return f"{number:,} {word if number == 1 else plural}"


def _split(wizard: Wizard) -> str:
    split_preview = wizard.split_preview
    if split_preview is None or not split_preview.splits:
        return ""
    if len(split_preview.splits) > 1:
        return f"{len(split_preview.splits)} folds"
    return f"{len(split_preview.splits[0].train):,} + {len(split_preview.splits[0].val):,}"
