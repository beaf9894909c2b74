"""Folds: each image is scored exactly once, by a model that saw nothing of its group."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence

from ravenml.data.duplicates import report_apart, report_together
from ravenml.data.problems import Notice, print_notice
from ravenml.data.project import Item, Project
from ravenml.data.split import Split, hold_out_test, rank, report_left_out
from ravenml.errors import InputError


def make_folds(
    project: Project,
    n: int = 5,
    by: str = "random",
    seed: int = 0,
    only_tag: str | None = None,
    notice: Notice = print_notice,
) -> list[Split]:
    """Divide a project's images into ``n`` folds; in fold ``i``'s split, ``val`` is the fold itself.

    Args:
        n: how many folds, at least 2.
        by: "random"; "dataset", where a dataset's images stay together; or a regular expression, where
            the images in whose names it matches the same text stay together (in all datasets).
        seed: folds are a pure function of it and of the images' names.
        only_tag: take only images with this tag.
        notice: called with a sentence where random folds would part what looks like one sequence, and
            where objects cannot become masks.

    Images tagged `test` are in no fold, with a notice.  Images with the same content are in one random
    fold; groups stay as they are asked for, with a notice where they part such images.
    Folds are balanced: the largest group goes first, each to the fold that has the fewest images so far.

    Raises:
        InputError: fewer images or groups than folds, an unknown tag, an expression that does not
            compile, or one that matches nothing in some image's name.
        DataProblem: an annotation is broken (only with ``only_tag``).
    """
    if n < 2:
        raise InputError(f"{n} folds make no training and validation set; ask for at least 2.")
    chosen = project.tagged(only_tag) if only_tag is not None else project.items
    items, test, twins = hold_out_test(project, chosen, notice)
    if len(items) < n:
        restricted = f" tagged `{only_tag}`" if only_tag is not None else ""
        raise InputError(
            f"{project.root} has {len(items)} images{restricted}, fewer than {n} folds; ask for fewer folds."
        )
    groups: dict[str, list[Item]]
    if by == "random":
        if looks_like_sequences(items):
            notice(
                "the images' names look like frames of sequences, and random folds put neighbouring frames "
                "on both sides, so scores come out too good; group them with --fold-by, such as "
                f"--fold-by '{_likely_group(items)}'."
            )
        groups = defaultdict(list)
        for item in items:
            groups[twins.get(item.key, item.key)].append(item)
        report_together(twins, items, notice)
    else:
        groups = _groups(items, by)
    if len(groups) < n:
        what = {"random": "different images", "dataset": "datasets"}.get(by, f"groups by --fold-by {by!r}")
        raise InputError(
            f"{project.root} has {len(groups)} {what}, fewer than {n} folds; "
            "ask for fewer folds or group more finely."
        )
    report_left_out(project, items, notice)
    number = _deal(groups, n, seed)
    if by != "random":
        notice(_describe_folds(groups, by, number, n))
        folds = {f"fold {fold}": [item for item in items if number[item.key] == fold] for fold in range(n)}
        report_apart(twins, folds, notice)
    return [
        Split(
            [item for item in items if number[item.key] != fold],
            [item for item in items if number[item.key] == fold],
            test,
        )
        for fold in range(n)
    ]


def looks_like_sequences(items: Sequence[Item]) -> bool:
    """Whether names look like frames of several recordings, or say that they are frames.

    Names such as `drive1_0030.png`, `drive1_0060.png`, `drive2_0030.png`: at least two beginnings before
    a last number, three images to each on average, and most images named so.  A single beginning is
    usual for unrelated images (`IMG_0001.jpg`), unless it says frame, video, clip or the like.
    """
    beginnings: dict[str, int] = defaultdict(int)
    for item in items:
        match = _NUMBERED.match(os.path.splitext(item.name)[0])
        if match:
            beginnings[match["beginning"].lower()] += 1
    numbered = sum(beginnings.values())
    if len(items) < 4 or numbered < 0.8 * len(items):
        return False
    if len(beginnings) > 1:
        return numbered >= 3 * len(beginnings)
    return bool(_SAYS_SO.search(next(iter(beginnings))))


_NUMBERED = re.compile(r"(?P<beginning>.*?[^0-9])(?:f|frame|fr)?0*\d+$", re.IGNORECASE)
_SAYS_SO = re.compile(r"frame|video|clip|movie|drive|sequence|(^|[^a-z])(seq|vid|cam|frm)([^a-z]|$)")


def _describe_folds(groups: dict[str, list[Item]], by: str, number: dict[str, int], n: int) -> str:
    """How many groups there are, and how even the folds came out."""
    largest = sorted(groups, key=lambda name: -len(groups[name]))
    named = ", ".join(f"{name} ({len(groups[name])})" for name in largest[:5]) + (
        ", …" if len(groups) > 5 else ""
    )
    sizes = [sum(fold == one for one in number.values()) for fold in range(n)]
    what = "datasets" if by == "dataset" else f"groups by {by!r}"
    return f"{len(groups)} {what}: {named}; the folds hold {', '.join(map(str, sizes))} images."


def _likely_group(items: Sequence[Item]) -> str:
    """An expression for what stands before the last number, to be suggested."""
    underlined = sum("_" in item.name for item in items)
    return r"^.*(?=_)" if underlined > 0.8 * len(items) else r"^.*?(?=\d+\.\w+$)"


def _groups(items: Sequence[Item], by: str) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = defaultdict(list)
    if by == "dataset":
        for item in items:
            groups[item.dataset].append(item)
        return groups
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise InputError(f"--fold-by {by!r} is not a regular expression: {error}.") from None
    for item in items:
        match = pattern.search(item.name)
        if match is None or not match[0]:
            raise InputError(
                f"--fold-by {by!r} matches nothing in {item.key}; write it so that it matches in every name."
            )
        groups[match[0]].append(item)
    return groups


def _deal(groups: dict[str, list[Item]], n: int, seed: int) -> dict[str, int]:
    """The fold of each item: large groups first, each to the smallest fold; chance decides among equals."""
    order = sorted(groups, key=lambda name: (-len(groups[name]), rank(name, seed), name))
    sizes = [0] * n
    number: dict[str, int] = {}
    for name in order:
        fold = min(range(n), key=lambda index: (sizes[index], index))
        sizes[fold] += len(groups[name])
        number.update((item.key, fold) for item in groups[name])
    return number
