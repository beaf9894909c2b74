"""Which images a training learns from and which it is scored on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import read_json, write_json
from ravenml.data.problems import Notice, print_notice
from ravenml.data.project import Item, Project
from ravenml.errors import InputError

TRAIN, VAL, TEST = "train", "val", "test"
SPLIT_TAGS = (TRAIN, VAL, TEST)  # the image tags that say what an image is for


@dataclass(frozen=True)
class Split:
    """Two sets of items without a common one, each sorted as in the project."""

    train: list[Item]
    val: list[Item]


def default_split(
    project: Project,
    seed: int = 0,
    val_fraction: float = 0.2,
    notice: Notice = print_notice,
    tags: tuple[str, str] = (TRAIN, VAL),
) -> Split:
    """By the image tags ``tags`` (train, val) where both are used, else ``val_fraction`` by chance.

    With tags, an image without either joins train, with a notice.  Objects that cannot become masks are
    told in a notice as well.  Chance is a pure function of the seed
    and the images' names: neither the order on disk nor other images change where an image's name ranks.

    Raises:
        InputError: an image is tagged with both, there is only one image, or other tags than `train` and
            `val` were named and one of them is not used.
        DataProblem: an annotation is broken.
    """
    tagged = {item.key: project.tags_of(item) & set(tags) for item in project.items}
    report_left_out(project, project.items, notice)
    if set(tags) <= frozenset().union(*tagged.values()):
        return _by_tags(project, tagged, tags, notice)
    if tags != (TRAIN, VAL):
        used = frozenset().union(*tagged.values())
        unused = next(tag for tag in tags if tag not in used)
        raise InputError(f'{project.root}: no image is tagged "{unused}", so the images cannot be split.')
    if len(project.items) < 2:
        raise InputError(
            f"{project.root} has {len(project.items)} image, which cannot be split; add more images, "
            f"or tag some `{TRAIN}` and some `{VAL}`."
        )
    count = min(max(round(len(project.items) * val_fraction), 1), len(project.items) - 1)
    chosen = {item.key for item in by_chance(project.items, seed)[:count]}
    return _divide(project.items, chosen)


def _by_tags(
    project: Project, tagged: dict[str, frozenset[str]], tags: tuple[str, str], notice: Notice
) -> Split:
    train, val = tags
    both = [key for key, own in tagged.items() if len(own) == 2]
    if both:
        raise InputError(
            f"{project.root}: {_named(both)} tagged both `{train}` and `{val}`; keep one of the two tags."
        )
    untagged = sum(not own for own in tagged.values())
    if untagged:
        what = "1 image is" if untagged == 1 else f"{untagged} images are"
        notice(f"{what} tagged neither `{train}` nor `{val}` and joined {train}.")
    return _divide(project.items, {key for key, own in tagged.items() if val in own})


def report_left_out(project: Project, items: Sequence[Item], notice: Notice) -> None:
    """Give notice of objects that cannot become masks; silent where there are none."""
    found = project.left_out(items)
    if found:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.most_common())
        notice(f"of the annotated objects {kinds} cannot become masks and are left out.")


def read_split(project: Project, train_file: Path, val_file: Path) -> Split:
    """Read a split as `write_split`, or Supervisely's training app, wrote it.

    Each file is a list of ``{"dataset_name": …, "item_name": …}``.

    Raises:
        RavenError: a file is missing or no JSON.
        InputError: a file is no such list, is empty, names an item that is not in the project, or both
            name the same item.
    """
    train, val = _read_set(project, Path(train_file)), _read_set(project, Path(val_file))
    common = sorted(train & val)
    if common:
        raise InputError(
            f"{train_file} and {val_file}: {_named(common)} in both, so a score would mean nothing; "
            "remove them from one file."
        )
    return Split(
        [item for item in project.items if item.key in train],
        [item for item in project.items if item.key in val],
    )


def write_split(split: Split, info_dir: Path) -> None:
    """Write `train_set.json` and `val_set.json` into a run's folder `info`.

    The first exists only beside the second: whoever resumes looks for it alone.
    """
    for name, items in (("val_set.json", split.val), ("train_set.json", split.train)):
        write_json(
            Path(info_dir) / name,
            [{"dataset_name": item.dataset, "item_name": item.name} for item in items],
        )


def by_chance(items: Iterable[Item], seed: int) -> list[Item]:
    """The items in an order that depends on the seed and on each item's name alone."""
    return sorted(items, key=lambda item: (rank(item.key, seed), item.key))


def rank(name: str, seed: int) -> bytes:
    """Where chance puts a name: the same on every machine, in every version, whatever else is there."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _divide(items: list[Item], val: set[str]) -> Split:
    return Split([item for item in items if item.key not in val], [item for item in items if item.key in val])


def _read_set(project: Project, path: Path) -> set[str]:
    entries: object = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path} must be a list of items, each with dataset_name and item_name.")
    if not entries:
        raise InputError(f"{path} is empty; a training needs at least one image in each set.")
    known = {item.key for item in project.items}
    keys, unknown = set(), []
    for number, entry in enumerate(entries):
        dataset = entry.get("dataset_name") if isinstance(entry, dict) else None
        name = entry.get("item_name") if isinstance(entry, dict) else None
        if not isinstance(dataset, str) or not isinstance(name, str):
            raise InputError(f"{path}, [{number}]: must be an object with dataset_name and item_name.")
        key = f"{dataset}/{name}"
        keys.add(key)
        if key not in known:
            unknown.append(key)
    if unknown:
        raise InputError(
            f"{path}: {_named(unknown)} not in {project.root}; correct the names or remove them."
        )
    return keys


def _named(keys: list[str]) -> str:
    """``a/1.png is``, or ``a/1.png, a/2.png, a/3.png and 4 more are``."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{', '.join(keys[:3])}{more} {'is' if len(keys) == 1 else 'are'}"
