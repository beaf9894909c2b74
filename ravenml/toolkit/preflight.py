"""Refusing what cannot be trained, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ravenml.data.classes import BACKGROUND
from ravenml.data.problems import suggestion
from ravenml.data.project import Item, Project
from ravenml.data.split import TRAIN, VAL, Split
from ravenml.errors import InputError
from ravenml.renamed import former_names
from ravenml.toolkit.hyperparameters import LoopSettings

__getattr__ = former_names(__name__, {"parts": "split_parts"})


def split_parts(split: Split) -> dict[str, list[Item]]:
    """The split's items by the name that files and metrics use."""
    return {TRAIN: list(split.train), VAL: list(split.val)}


def check_parts(split: Split) -> None:
    """Refuse a split of which one part is empty.

    Raises:
        InputError: with the part's name.
    """
    for kind, items in split_parts(split).items():
        if not items:
            raise InputError(f"The {kind} part of the split is empty; give it at least one image.")


_PURPOSE = {TRAIN: "learn from", VAL: "validate with"}


def check_annotated(
    project: Project, split: Split, titles: Collection[str], fold: int | None = None
) -> list[str]:
    """Refuse a split of which one part has no object: nothing could be learned, or measured.

    Args:
        project: the dataset.
        split: how it is divided.
        titles: the classes that are trained; the background is none.
        fold: the fold that is trained, if one is; it may validate without objects, as the out-of-fold score
            is over the images of all folds.

    Returns:
        A sentence for each part about the classes that only the other one has.

    Raises:
        InputError: with the part, and what it has instead; or there is no class.
        DataProblem: an annotation of a part without objects is broken.
    """
    parts = split_parts(split)
    counts = {kind: project.count_objects(items) for kind, items in parts.items()}
    wanted = [title for title in titles if title != BACKGROUND]
    if not wanted:
        raise InputError(
            f"{project.root}: there is no class to train; add classes to its meta.json and annotate objects."
        )
    used = [title for title in wanted if any(count[title] for count in counts.values())]
    warnings = []
    for kind, items in parts.items():
        lacking = [title for title in used if not counts[kind][title]]
        if lacking == used and (kind == TRAIN or fold is None):
            raise InputError(_nothing_in(project, kind, items, wanted))
        if lacking:
            it, its = ("it", "its") if len(lacking) == 1 else ("they", "their")
            why = f"{it} cannot be learned" if kind == TRAIN else f"{its} scores are not defined"
            warnings.append(f"No image to {_PURPOSE[kind]} has an object of {_listed(lacking)}, so {why}.")
    return warnings


def _listed(titles: Sequence[str]) -> str:
    """``a or b``, or ``a, b, c or 296 more classes``."""
    named = [*titles[:3], f"{len(titles) - 3} more classes"] if len(titles) > 4 else [*titles]
    return " or ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _nothing_in(project: Project, kind: str, items: list[Item], wanted: list[str]) -> str:
    """That a part has no object of the classes, and which ones that cannot be used it has."""
    for item in items:
        project.tags_of(item)  # raises where an annotation is broken, and may hold the objects
    shapes = [f"{count} {shape}" for shape, count in project.left_out(items).most_common()]
    others = f" ({', '.join(shapes)} cannot be used)" if shapes else ""
    classes = ", ".join(wanted[:5]) + (", …" if len(wanted) > 5 else "")
    images, has = (f"none of the {len(items)} images", "an") if len(items) > 1 else ("the only image", "no")
    return (
        f"{project.root}: {images} to {_PURPOSE[kind]} has {has} annotated object of {classes}{others}; "
        "annotate some, or split the images differently."
    )


def describe_no_best(settings: LoopSettings) -> str:
    """What a training says at its end where no validation had the metric that the best is chosen by."""
    return f"val/{settings.best_name} was not defined in any validation; the model has the last weights."


def find_problems(checks: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """What `TrainSettings.find_problems` returns: what each check refuses, in a sentence.

    Args:
        checks: by the field's dotted name, what raises an `InputError`, whose sentence may begin with it.
    """
    problems = {}
    for name, check in checks.items():
        try:
            check()
        except InputError as error:
            problems[name] = str(error).removeprefix(f"{name}: ").rstrip(".")
    return problems


def check_classes(chosen: Sequence[str] | None, known: Sequence[str]) -> None:
    """Refuse classes that the project does not have, and a choice of none.

    Args:
        chosen: the setting ``classes``; None are all.
        known: the titles of the project's classes.

    Raises:
        InputError: with the first class that there is not.
    """
    if chosen is not None and not chosen:
        raise InputError("classes: none is chosen; name at least one.")
    for title in chosen or []:
        if title not in known and title != BACKGROUND:
            raise InputError(
                f'classes: the project has no class "{title}"; {suggestion(title, list(known))}.'
            )


def check_best_by(settings: LoopSettings, known: Collection[str]) -> None:
    """Refuse to look for the best by a metric that there will not be.

    Args:
        known: the metrics of a validation.

    Raises:
        InputError: with the metrics that there are.
    """
    if settings.save_best and settings.best_name not in known:
        meant = suggestion(settings.best_name, list(known))
        raise InputError(f"best_by: no metric is called {settings.best_name!r}; {meant}.")
