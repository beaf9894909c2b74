"""Which images a training learns from, which choose its best model, and which it never sees."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ravenml.common.io import read_json, write_json
from ravenml.data.duplicates import find_duplicates, report_apart, report_together
from ravenml.data.problems import DataProblem, Notice, print_notice
from ravenml.data.project import Item, Project
from ravenml.errors import InputError

TRAIN, VAL, TEST = "train", "val", "test"
SPLIT_TAGS = (TRAIN, VAL, TEST)  # the image tags that say what an image is for
Untagged = Literal["train", "val", "ignore"]  # what becomes of untagged images beside tagged ones


@dataclass(frozen=True)
class Split:
    """Sets of items without a common one, each sorted as in the project.

    Attributes:
        train: what is learned from.
        val: what the best model is chosen by.
        test: what a training never sees.
    """

    train: list[Item]
    val: list[Item]
    test: list[Item] = field(default_factory=list)

    def parts(self) -> dict[str, list[Item]]:
        """The sets by their names."""
        return {TRAIN: self.train, VAL: self.val, TEST: self.test}


def default_split(
    project: Project,
    seed: int = 0,
    val_fraction: float = 0.2,
    notice: Notice = print_notice,
    tags: tuple[str, str] = (TRAIN, VAL),
    untagged: Untagged | None = None,
) -> Split:
    """By the image tags ``tags`` (train, val) where both are used, else ``val_fraction`` by chance.

    Images tagged `test` neither train nor validate, with a notice.  With tags, an untagged image goes where
    the images with the same content are, or else where ``untagged`` says: to train, with a notice, where it
    says nothing.  Objects that cannot become masks are told in a notice as well.

    Raises:
        InputError: an image has two of the tags, there are fewer than two images, or one of the tags is not
            used although they are not the usual ones, or ``untagged`` needs it.
        DataProblem: an annotation is broken.
    """
    tagged = {item.key: project.tags_of(item) & {*tags, TEST} for item in project.items}
    report_left_out(project, project.items, notice)
    used = frozenset().union(*tagged.values())
    filled = {TRAIN: tags[0], VAL: tags[1]}.get(untagged or "")
    if used.intersection(tags) and used.union([filled]).issuperset(tags):
        return _by_tags(project, tagged, tags, notice, untagged)
    unused = [tag for tag in tags if tag not in used]
    if tags != (TRAIN, VAL) or (untagged == "ignore" and len(unused) == 1):
        raise InputError(f'{project.root}: no image is tagged "{unused[0]}", so the images cannot be split.')
    if untagged or len(unused) == 1:
        those = f"all but those tagged `{TEST}`" if TEST in used else "them all"
        notice(f"no image is tagged {' or '.join(f'`{tag}`' for tag in unused)}, so chance divides {those}.")
    return split_by_chance(project, seed, val_fraction, notice)


def split_by_chance(project: Project, seed: int, val_fraction: float, notice: Notice = print_notice) -> Split:
    """Let a share of the images validate that chance chooses; images with the same content stay together.

    Chance is a pure function of the seed and the images' names: neither the order on disk nor other images
    change where an image's name ranks.

    Raises:
        InputError: there are fewer than two different images that are not tagged `test`.
    """
    items, test, twins = hold_out_test(project, project.items, notice)
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[twins.get(item.key, item.key)].append(item)
    if len(groups) < 2:
        what = "1 image" if len(items) == 1 else f"1 image under {len(items)} names"
        beside = f" beside those tagged `{TEST}`" if test else ""
        raise InputError(
            f"{project.root} has {what}{beside}, which cannot be split; add more images, "
            f"or tag some `{TRAIN}` and some `{VAL}`."
        )
    report_together(twins, items, notice)
    count = min(max(round(len(items) * val_fraction), 1), len(items) - 1)
    val: set[str] = set()
    order = sorted(groups, key=lambda name: (rank(name, seed), name))
    for name in order:
        if len(val) + len(groups[name]) <= count:
            val.update(item.key for item in groups[name])
    if not val:
        val.update(item.key for item in min((groups[name] for name in order), key=len))
    return divide(items, val, test)


def hold_out_test(
    project: Project, items: Sequence[Item], notice: Notice
) -> tuple[list[Item], list[Item], dict[str, str]]:
    """Divide items into those that may train and validate, and those that are tagged `test`.

    What has the same content as an image tagged `test` goes with it.

    Returns:
        Both, and what `find_duplicates` found.

    Raises:
        InputError: every item is tagged `test`.
    """
    twins = find_duplicates(project)
    tagged = {item.key for item in project.items if TEST in known_tags(project, item)}
    contents = {twins[key] for key in tagged if key in twins}
    held_out = {item.key for item in items if item.key in tagged or twins.get(item.key) in contents}
    if items and len(held_out) == len(items):
        raise InputError(f"{project.root}: every image is tagged `{TEST}`; none is left to train with.")
    report_test(len(held_out & tagged), notice)
    if same := len(held_out - tagged):
        what = "1 image has" if same == 1 else f"{same} images have"
        notice(f"{what} the content of an image tagged `{TEST}` and stay{'s' * (same == 1)} out with it.")
    rest = [item for item in items if item.key not in held_out]
    return rest, [item for item in items if item.key in held_out], twins


def known_tags(project: Project, item: Item) -> frozenset[str]:
    """An image's tags; none where its annotation is broken, which is told when the image is read."""
    with suppress(DataProblem):
        return project.tags_of(item)
    return frozenset()


def _by_tags(
    project: Project,
    tagged: dict[str, frozenset[str]],
    tags: tuple[str, str],
    notice: Notice,
    untagged: Untagged | None,
) -> Split:
    train, val = tags
    both = [key for key, own in tagged.items() if len(own) > 1]
    if both:
        one, other = sorted(tagged[both[0]], key=[*tags, TEST].index)[:2]
        raise InputError(
            f"{project.root}: {_named(both)} tagged both `{one}` and `{other}`; keep one of the two tags."
        )
    side = {key: next(iter(own)) for key, own in tagged.items() if own}
    twins = find_duplicates(project)
    _follow_twins(side, twins)
    left = [item.key for item in project.items if item.key not in side]
    if left:
        what = "1 image is" if len(left) == 1 else f"{len(left)} images are"
        joined = {VAL: f"joined {val}", "ignore": "left out"}.get(untagged or TRAIN, f"joined {train}")
        hint = "" if untagged else " (--untagged val or --untagged ignore changes that)"
        notice(f"{what} tagged neither `{train}` nor `{val}` and {joined}{hint}.")
        if untagged != "ignore":
            side |= dict.fromkeys(left, val if untagged == VAL else train)
    if TEST in tags:
        notice(f"the images tagged `{TEST}` take part in the training, as they were named for it.")
    parts = [[item for item in project.items if side.get(item.key) == name] for name in (train, val, TEST)]
    split = Split(parts[0], parts[1], parts[2] if TEST not in tags else [])
    report_test(len(split.test), notice)
    report_apart(twins, split.parts(), notice)
    return split


def _follow_twins(side: dict[str, str], twins: Mapping[str, str]) -> None:
    """Put untagged images where those with the same content are, if these are all in one place."""
    places: dict[str, set[str]] = defaultdict(set)
    for key, its in side.items():
        if key in twins:
            places[twins[key]].add(its)
    for key, content in twins.items():
        if key not in side and len(places[content]) == 1:
            side[key] = next(iter(places[content]))


def report_test(count: int, notice: Notice) -> None:
    """Give notice of so many images tagged `test`; silent where there are none."""
    if count:
        what, s = ("1 image is", "s") if count == 1 else (f"{count} images are", "")
        notice(f"{what} tagged `{TEST}` and neither train{s} nor validate{s}.")


def report_left_out(project: Project, items: Sequence[Item], notice: Notice) -> None:
    """Give notice of objects that cannot become masks; silent where there are none."""
    found = project.left_out(items)
    if found:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.most_common())
        notice(f"of the annotated objects {kinds} cannot become masks and are left out.")


def read_split(
    project: Project,
    train_file: Path,
    val_file: Path,
    test_file: Path | None = None,
    fix: str = "correct the names or remove them",
) -> Split:
    """Read a split as `write_split`, or Supervisely's training app, wrote it.

    Each file is a list of ``{"dataset_name": …, "item_name": …}``.

    Args:
        test_file: may name images that are gone, as no training needs them.
        fix: what a person can do about other images that are gone.

    Raises:
        RavenError: a file is missing or no JSON.
        InputError: a file is no such list, is empty, names an item that is not in the project, or both
            name the same item.
    """
    train, val = (_read_set(project, Path(file), fix) for file in (train_file, val_file))
    common = sorted(train & val)
    if common:
        raise InputError(
            f"{train_file} and {val_file}: {_named(common)} in both, so a score would mean nothing; "
            "remove them from one file."
        )
    test = _read_keys(Path(test_file)).keys() - train - val if test_file is not None else set()
    parts = ([item for item in project.items if item.key in keys] for keys in (train, val, test))
    return Split(*parts)


def write_split(split: Split, info_dir: Path) -> None:
    """Write `train_set.json` and `val_set.json`, and for test images `test_set.json`, into a run's `info`.

    The first exists only beside the second: whoever resumes looks for it alone.
    """
    for name, items in (
        *([("test_set.json", split.test)] if split.test else []),
        ("val_set.json", split.val),
        ("train_set.json", split.train),
    ):
        write_json(
            Path(info_dir) / name,
            [{"dataset_name": item.dataset, "item_name": item.name} for item in items],
        )


def rank(name: str, seed: int) -> bytes:
    """Where chance puts a name: the same on every machine, in every version, whatever else is there."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def divide(items: Iterable[Item], val: Collection[str], test: Sequence[Item] = ()) -> Split:
    """The split in which the items with these keys validate, and all others train."""
    parts: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        parts[item.key in val].append(item)
    return Split(*parts, list(test))


def _read_set(project: Project, path: Path, fix: str) -> set[str]:
    keys = _read_keys(path)
    if not keys:
        raise InputError(f"{path} is empty; a training needs at least one image in each set.")
    known = {item.key for item in project.items}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise InputError(f"{path}: {_named(unknown)} not in {project.root}; {fix}.")
    return set(keys)


def _read_keys(path: Path) -> dict[str, None]:
    """The items' keys that a file lists, in its order."""
    entries: object = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path} must be a list of items, each with dataset_name and item_name.")
    keys: dict[str, None] = {}
    for number, entry in enumerate(entries):
        dataset = entry.get("dataset_name") if isinstance(entry, dict) else None
        name = entry.get("item_name") if isinstance(entry, dict) else None
        if not isinstance(dataset, str) or not isinstance(name, str):
            raise InputError(f"{path}, [{number}]: must be an object with dataset_name and item_name.")
        keys[f"{dataset}/{name}"] = None
    return keys


def _named(keys: list[str]) -> str:
    """``a/1.png is``, or ``a/1.png, a/2.png, a/3.png and 4 more are``."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{', '.join(keys[:3])}{more} {'is' if len(keys) == 1 else 'are'}"
