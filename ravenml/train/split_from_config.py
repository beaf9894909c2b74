"""The split that a config asks for, from the project's images."""

from __future__ import annotations

from pathlib import Path

from ravenml.data.duplicates import find_duplicates, report_apart
from ravenml.data.problems import Notice, print_notice, suggestion
from ravenml.data.project import Project
from ravenml.data.split import (
    TEST,
    TRAIN,
    VAL,
    Split,
    Untagged,
    default_split,
    divide,
    hold_out_test,
    read_split,
    report_left_out,
    split_by_chance,
)
from ravenml.errors import InputError
from ravenml.train.config import SplitChoice


def split_from_config(
    project: Project,
    choice: SplitChoice,
    seed: int = 0,
    notice: Notice = print_notice,
    untagged: Untagged | None = None,
) -> Split:
    """Divide a project's images as ``choice`` says.

    Raises:
        InputError: no image is left to learn from or to validate, a dataset or tag is not there, or a file
            lists what is not in the project, or is tagged `test`.
    """
    if choice.train is not None and choice.val is not None:
        return _by_files(project, choice.train, choice.val, notice)
    if choice.tags is not None:
        return _by_tags(project, choice.tags, notice, untagged)
    report_left_out(project, project.items, notice)
    if choice.datasets is not None:
        return _by_datasets(project, choice.datasets, notice)
    split = split_by_chance(project, seed, (choice.percent or 20.0) / 100, notice)
    images = len(split.train) + len(split.val)
    if choice.percent is not None and choice.percent * images < 100:
        notice(f"{choice.percent:g} % of {images} images is less than one, so 1 image validates.")
    return split


def _by_files(project: Project, train: Path, val: Path, notice: Notice) -> Split:
    split = read_split(project, train, val)
    for path, items in ((train, split.train), (val, split.val)):
        tested = [item.key for item in items if TEST in project.tags_of(item)]
        if tested:
            raise InputError(
                f"{path} lists {tested[0]}, which is tagged `{TEST}`, as {len(tested)} of its images are; "
                "remove them from the file, or the tag from them."
            )
    report_apart(find_duplicates(project), split.parts(), notice)
    return split


def _by_tags(project: Project, tags: tuple[str, str], notice: Notice, untagged: Untagged | None) -> Split:
    used = frozenset().union(*map(project.tags_of, project.items))
    filled = {TRAIN: tags[0], VAL: tags[1]}.get(untagged or "")
    for tag in tags:
        if tag not in used and tag != filled:
            raise InputError(f'{project.root}: no image is tagged "{tag}", so the images cannot be split.')
    split = default_split(project, notice=notice, tags=tags, untagged=untagged)
    if not split.train:
        raise InputError(
            f'{project.root}: what is left is tagged "{tags[1]}" alone; add images to learn from.'
        )
    return split


def _by_datasets(project: Project, names: list[str], notice: Notice) -> Split:
    for name in names:
        if name not in project.datasets:
            raise InputError(
                f'split: {project.root} has no dataset "{name}"; {suggestion(name, project.datasets)}.'
            )
    items, test, twins = hold_out_test(project, project.items, notice)
    split = divide(items, {item.key for item in items if item.dataset in names}, test)
    if not split.train or not split.val:
        missing = "to learn from" if not split.train else "to validate with"
        raise InputError(f"split: with the datasets {', '.join(names)} no image is left {missing}.")
    report_apart(twins, split.parts(), notice)
    return split
