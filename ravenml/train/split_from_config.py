"""The split that a config asks for, from the project's images."""

from __future__ import annotations

from ravenml.data.problems import Notice, print_notice, suggestion
from ravenml.data.project import Project
from ravenml.data.split import Split, by_chance, default_split, read_split, report_left_out
from ravenml.errors import InputError
from ravenml.train.config import SplitChoice


def split_from_config(
    project: Project, choice: SplitChoice, seed: int = 0, notice: Notice = print_notice
) -> Split:
    """Divide a project's images as ``choice`` says.

    Raises:
        InputError: no image is left to learn from or to validate, a dataset or tag is not there, or a file
            lists what is not in the project.
    """
    if choice.train is not None and choice.val is not None:
        return read_split(project, choice.train, choice.val)
    if choice.tags is not None:
        return _by_tags(project, choice.tags, notice)
    report_left_out(project, project.items, notice)
    if choice.datasets is not None:
        return _by_datasets(project, choice.datasets)
    if len(project.items) < 2:
        raise InputError(f"{project.root} has one image, which cannot be split; add more images.")
    percent = choice.percent or 20.0
    count = min(max(round(len(project.items) * percent / 100), 1), len(project.items) - 1)
    chosen = {item.key for item in by_chance(project.items, seed)[:count]}
    return _divided(project, chosen)


def _by_tags(project: Project, tags: tuple[str, str], notice: Notice) -> Split:
    used = frozenset().union(*map(project.tags_of, project.items))
    for tag in tags:
        if tag not in used:
            raise InputError(f'{project.root}: no image is tagged "{tag}", so the images cannot be split.')
    split = default_split(project, notice=notice, tags=tags)
    if not split.train:
        raise InputError(f'{project.root}: every image is tagged "{tags[1]}"; none is left to learn from.')
    return split


def _by_datasets(project: Project, names: list[str]) -> Split:
    for name in names:
        if name not in project.datasets:
            raise InputError(
                f'split: {project.root} has no dataset "{name}"; {suggestion(name, project.datasets)}.'
            )
    split = _divided(project, {item.key for item in project.items if item.dataset in names})
    if not split.train or not split.val:
        missing = "to learn from" if not split.train else "to validate with"
        raise InputError(f"split: with the datasets {', '.join(names)} no image is left {missing}.")
    return split


def _divided(project: Project, val: set[str]) -> Split:
    return Split(
        [item for item in project.items if item.key not in val],
        [item for item in project.items if item.key in val],
    )
