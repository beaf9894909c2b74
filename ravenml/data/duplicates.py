"""Images that are one and the same file under several names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ravenml.data.cache import default_cache
from ravenml.data.problems import DataProblem, Notice
from ravenml.data.project import Item, Project

_PIECE = 4096  # bytes that are compared before whole files are read
_THREADS = 8  # so that a disk far away is not asked for one file after another
_CHUNK = 256


def find_duplicates(project: Project) -> dict[str, str]:
    """For each image whose content another one has too, the key of the first image with that content.

    Sizes are compared first, then a piece of the middle and of the end; only files that are equal in these
    are read, and their digests are remembered.  An image that cannot be read is like no other.
    """
    likely = _divided([project.items], _size)
    likely = _divided(likely, _pieces)
    if likely:
        cache = default_cache()
        likely = _divided(likely, lambda item: cache.image_digest(project, item))
    return {item.key: group[0].key for group in likely for item in group}


def _divided(groups: Sequence[Sequence[Item]], alike: Callable[[Item], Hashable]) -> list[list[Item]]:
    """The groups of two and more items that are alike; items of different groups are not."""

    def values(chunk: Sequence[tuple[int, Item]]) -> list[Hashable]:
        return [_or_none(alike, item) for _, item in chunk]

    found: dict[Hashable, list[Item]] = defaultdict(list)
    items = [(number, item) for number, group in enumerate(groups) for item in group]
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    if len(chunks) > 1:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="compare") as pool:
            whole = list(pool.map(values, chunks))
    else:
        whole = [values(chunk) for chunk in chunks]
    for (number, item), value in zip(items, (value for chunk in whole for value in chunk), strict=True):
        if value is not None:
            found[number, value].append(item)
    return [group for group in found.values() if len(group) > 1]


def _or_none(alike: Callable[[Item], Hashable], item: Item) -> Hashable:
    try:
        return alike(item)
    except (OSError, DataProblem):
        return None


def _size(item: Item) -> Hashable:
    return os.stat(item.image_path).st_size


def _pieces(item: Item) -> Hashable:
    with open(item.image_path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        return tuple(os.pread(file.fileno(), _PIECE, max(at, 0)) for at in (size // 2, size - _PIECE))


def report_together(twins: Mapping[str, str], items: Sequence[Item], notice: Notice) -> None:
    """Give notice of images with the same content, which stay together; silent where there are none."""
    groups = _groups(twins, {item.key: "" for item in items})
    if groups:
        one = " = ".join(list(groups[0])[:2])
        more = ", …" if len(groups) > 1 or len(groups[0]) > 2 else ""
        count = sum(map(len, groups))
        notice(f"{count} images have the content of another one ({one}{more}); they stay together.")


def report_apart(twins: Mapping[str, str], parts: Mapping[str, Sequence[Item]], notice: Notice) -> None:
    """Give notice of images with the same content in different parts; silent where there are none."""
    where = {item.key: part for part, items in parts.items() for item in items}
    apart = [group for group in _groups(twins, where) if len(set(group.values())) > 1]
    if apart:
        (one, its), *others = apart[0].items()
        other, there = next(pair for pair in others if pair[1] != its)
        more = f" (as others do: {len(apart)} in all)" if len(apart) > 1 else ""
        notice(
            f"{one} ({its}) and {other} ({there}) have the same content{more}, so scores come out too good; "
            "keep an image in one part only."
        )


def _groups(twins: Mapping[str, str], where: Mapping[str, str]) -> list[dict[str, str]]:
    """The images with the same content, as far as ``where`` has them: of each, its key and what that says."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for key, content in twins.items():
        if key in where:
            groups[content][key] = where[key]
    return [group for group in groups.values() if len(group) > 1]
