"""What each step still needs before the next one opens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ravenml.dashboard.train.dataset_stats import StatsJob
from ravenml.dashboard.train.draft import STEPS, Draft, value_at
from ravenml.dashboard.train.split_preview import SplitPreview

TITLES = {
    "project": "Project",
    "split": "Split",
    "classes": "Classes",
    "augment": "Augmentations",
    "model": "Model",
    "settings": "Hyperparameters",
    "train": "Train",
}
# The step in which a field is asked for, by its role; all others belong to the hyperparameters.
STEP_OF_ROLE = {
    "classes": "classes",
    "augmentations": "augment",
    "architecture": "model",
    "weights": "model",
    "weights_mode": "model",
}
HANDLED = {"train_tag", "val_tag"}  # roles of fields that the split step sets


def by_role(form: Mapping[str, Any] | None, role: str) -> dict[str, Any] | None:
    """The form's field with a role."""
    fields = form["fields"] if form else []
    return next((field for field in fields if field["role"] == role), None)


def find_problem(
    step: str,
    draft: Draft,
    job: StatsJob | None,
    split_preview: SplitPreview | None,
    form: Mapping[str, Any] | None,
    wrong: Mapping[str, str],
    plugin_fault: str | None = None,
) -> str | None:
    """A sentence, or None where the step is complete."""
    if step == "project":
        return _project(draft, job, plugin_fault)
    if step == "split":
        if split_preview is None:
            return "The images are being divided."
        return split_preview.error
    if step == "classes":
        field = by_role(form, "classes")
        if field is not None and value_at(draft.settings, field["name"]) == []:
            return "Choose at least one class."
    return _wrong(step, form, wrong)


def first_problem(up_to: str, problems: Mapping[str, str | None]) -> str | None:
    """The sentence of the first incomplete step before ``up_to``."""
    for step in STEPS[: STEPS.index(up_to)]:
        if problems[step] is not None:
            return f"{TITLES[step]}: {problems[step]}"
    return None


def _project(draft: Draft, job: StatsJob | None, plugin_fault: str | None) -> str | None:
    if not draft.dataset:
        return "Choose a project."
    if job is None or (job.project is None and job.error is None):
        return "The project is being opened."
    if job.error is not None:
        return job.error
    if not draft.plugin:
        return "Choose the plugin to train with."
    return plugin_fault


def _wrong(step: str, form: Mapping[str, Any] | None, wrong: Mapping[str, str]) -> str | None:
    fields = {field["name"]: field for field in (form["fields"] if form else [])}
    for name, problems in wrong.items():
        field = fields.get(name)
        place = STEP_OF_ROLE.get(field["role"] or "", "settings") if field else "settings"
        if place == step:
            return f"{field['title']}: {problems}." if field else f"{problems}."
    return None
