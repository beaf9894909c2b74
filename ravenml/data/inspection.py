"""Everything that can be said about a project, and all that is wrong with it, as data and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ravenml.common.formatting import terminal_safe
from ravenml.data.annotation import Annotation
from ravenml.data.decoding import check_size
from ravenml.data.geometry import geometry_kind
from ravenml.data.images import decode_image, has_more_pages, more_pages_notice, read_bytes
from ravenml.data.masks import draw_mask
from ravenml.data.near_duplicates import difference_hash, group_near_duplicates
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project
from ravenml.data.split import SPLIT_TAGS
from ravenml.data.suspicious import SuspiciousObject, SuspiciousObjects, find_suspicious, rare_classes

_PART = 1 << 20  # pixels that are counted at once


@dataclass
class ClassCount:
    """How often a class occurs: objects, images with one, and its share of all pixels (0 to 1)."""

    objects: int = 0
    images: int = 0
    pixel_share: float = 0.0


@dataclass
class Inspection:
    """What `inspect_project` found.  Pixels count for the class that is drawn on top, as in training."""

    project: Project
    datasets: dict[str, int]
    classes: dict[str, ClassCount]
    background_share: float = 0.0
    shapes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    image_tags: Counter[str] = field(default_factory=Counter)
    object_tags: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=dict)  # tag train, val or test: objects by class
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height)
    problems: list[DataProblem] = field(default_factory=list)
    more_pages: list[Path] = field(default_factory=list)  # images whose further pages are not read
    suspicious: SuspiciousObjects = field(default_factory=SuspiciousObjects)
    near_duplicates: list[list[Item]] = field(default_factory=list)  # groups that look almost the same

    @property
    def notices(self) -> list[str]:
        """What is good to know although nothing is wrong, a sentence each."""
        notices = [more_pages_notice(self.more_pages)] if self.more_pages else []
        if self.near_duplicates:
            one, other = self.near_duplicates[0][:2]
            count = sum(map(len, self.near_duplicates))
            notices.append(
                f"{count:,} images look almost the same as another one, such as {one.key} and {other.key}; "
                "if some train and others validate, scores come out too good."
            )
        return notices

    @property
    def rare_classes(self) -> list[str]:
        """The classes that hardly any object has; see `ravenml.data.suspicious.rare_classes`."""
        return rare_classes({title: count.objects for title, count in self.classes.items()})

    def as_dict(self) -> dict[str, object]:
        """For ``raven data inspect --json``; sizes are ``[width, height, images]``."""
        known = {one.title: one for one in self.project.classes}
        return {
            "path": str(self.project.root),
            "name": self.project.name,
            "images": len(self.project.items),
            "datasets": self.datasets,
            "classes": [
                {"title": title, "shape": known[title].shape, "color": known[title].color, **vars(count)}
                for title, count in self.classes.items()
            ],
            "background_pixel_share": self.background_share,
            "shapes": dict(self.shapes),
            "left_out": dict(self.left_out),
            "image_tags": dict(self.image_tags),
            "object_tags": dict(self.object_tags),
            "sizes": [[width, height, count] for (width, height), count in self.sizes.most_common()],
            "notices": self.notices,
            "faults": [
                {"file": terminal_safe(str(f.file)), "field": f.field, "problem": f.problem, "mend": f.fix}
                for f in self.problems
            ],
            "suspicious": dict(self.suspicious.counts),
            "suspicious_examples": [
                {
                    "image": one.item.key,
                    "object": one.number,
                    "class": one.class_title,
                    "reason": one.reason,
                    "detail": one.detail,
                    "box": [one.box.left, one.box.top, one.box.right, one.box.bottom],
                }
                for examples in self.suspicious.examples.values()
                for one in examples
            ],
            "rare_classes": self.rare_classes,
            "near_duplicates": [[item.key for item in group] for group in self.near_duplicates],
        }


class Visitor(Protocol):
    """Sees every image while it is decoded; see `ravenml.data.report_pictures.Pictures`."""

    def begin(self, project: Project) -> None:
        """Called once, before the first image."""

    def see(
        self,
        item: Item,
        image: np.ndarray,
        annotation: Annotation | None,
        suspicious: list[SuspiciousObject],
    ) -> None:
        """Called for every image that can be read, by several threads; without an annotation if that is
        broken or of another size."""


def inspect_project(
    root: Path,
    threads: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
    visitor: Visitor | None = None,
) -> Inspection:
    """Read every image and annotation of a project and count what is in it.

    Faults are collected, not raised; an item with a problem counts as far as it can be read.
    ``progress`` is called with (done, total) after each image, ``visitor`` sees all of them.

    Raises:
        InputError: no such folder, or no usable `meta.json`.
    """
    problems: list[DataProblem] = []
    project = Project.read(root, problems.append)
    found = Inspection(
        project,
        dict.fromkeys(project.datasets, 0),
        {known.title: ClassCount() for known in project.classes},
        problems=problems,
    )
    if not project.items and not problems:
        problems.append(
            DataProblem(
                project.root, "", "holds no images", "put them into a dataset: a folder with img/ and ann/"
            )
        )
    if visitor is not None:
        visitor.begin(project)
    pixels = np.zeros(len(project.classes) + 1, np.int64)
    hashed: list[tuple[Item, np.ndarray]] = []
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for done, seen in enumerate(pool.map(lambda item: _look(project, item, visitor), project.items), 1):
            _count(found, seen)
            if seen.hash is not None:
                hashed.append((seen.item, seen.hash))
            pixels += seen.pixels
            progress(done, len(project.items))
    groups = group_near_duplicates([one for _, one in hashed])
    found.near_duplicates = [[hashed[number][0] for number in group] for group in groups]
    shares = pixels / max(int(pixels.sum()), 1)
    found.background_share = float(shares[0])
    for known, share in zip(project.classes, shares[1:], strict=True):
        found.classes[known.title].pixel_share = float(share)
    return found


@dataclass
class _Seen:
    """One item, looked at."""

    item: Item
    pixels: np.ndarray
    problems: list[DataProblem]
    annotation: Annotation | None = None
    size: tuple[int, int] | None = None
    more_pages: bool = False
    hash: np.ndarray | None = None
    suspicious: list[SuspiciousObject] = field(default_factory=list)


def _look(project: Project, item: Item, visitor: Visitor | None) -> _Seen:
    problems: list[DataProblem] = []
    seen = _Seen(item, np.zeros(len(project.classes) + 1, np.int64), problems)
    try:
        content = read_bytes(item.image_path)
        image = decode_image(content, item.image_path)
        seen.size = (image.shape[1], image.shape[0])
        seen.more_pages = has_more_pages(content)
        seen.hash = difference_hash(image)
    except DataProblem as error:
        problems.append(error)
        image = None
    usable: Annotation | None = None
    try:
        annotation = seen.annotation = project.annotation(item, problems.append)
        if image is not None:  # else there may be no room for a mask of the size that is said
            check_size(annotation.size, image, item.annotation_path, item.image_path)
            seen.pixels += _pixels(draw_mask(annotation, project.titles), len(seen.pixels))
        seen.suspicious = find_suspicious(item, annotation)
        usable = annotation
    except DataProblem as error:
        problems.append(error)
    if visitor is not None and image is not None:
        visitor.see(item, image, usable, seen.suspicious)
    return seen


def _pixels(mask: np.ndarray, values: int) -> np.ndarray:
    """How many pixels have each value; by parts, as numpy makes 8 bytes of each pixel."""
    flat, counts = mask.ravel(), np.zeros(values, np.int64)
    for at in range(0, len(flat), _PART):
        counts += np.bincount(flat[at : at + _PART], minlength=values)
    return counts


def _count(found: Inspection, seen: _Seen) -> None:
    found.problems += seen.problems
    found.datasets[seen.item.dataset] += 1
    if seen.size is not None:
        found.sizes[seen.size] += 1
    if seen.more_pages:
        found.more_pages.append(seen.item.image_path)
    if seen.annotation is None:
        return
    found.suspicious.add(seen.suspicious)
    found.left_out += seen.annotation.left_out
    found.image_tags.update(seen.annotation.tags)
    for split in seen.annotation.tags & set(SPLIT_TAGS):
        found.splits.setdefault(split, Counter()).update(one.class_title for one in seen.annotation.objects)
    for thing in seen.annotation.objects:
        found.classes[thing.class_title].objects += 1
        found.shapes[geometry_kind(thing.geometry)] += 1
        found.object_tags.update(thing.tags)
    for title in {thing.class_title for thing in seen.annotation.objects}:
        found.classes[title].images += 1


@dataclass(frozen=True, slots=True)
class _Table:
    """A title, a header and rows of text."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    colors: tuple[str, ...] = ()  # "#RRGGBB" of each row
    texts: int = 1  # columns on the left that are not numbers


def _tables(found: Inspection) -> Iterator[_Table]:
    """What is shown, in order; empty tables are left out."""
    yield _Table("Datasets", ("dataset", "images"), [(n, str(c)) for n, c in found.datasets.items()])
    rows, colors = [], []
    for known in found.project.classes:
        count = found.classes[known.title]
        share = f"{100 * count.pixel_share:.2f} %"
        rows.append((known.title, known.shape, str(count.objects), str(count.images), share))
        colors.append(known.color)
    rows.append(("(background)", "", "", "", f"{100 * found.background_share:.2f} %"))
    yield _Table("Classes", ("class", "shape", "objects", "images", "pixels"), rows, (*colors, "#808080"), 2)
    yield _counted("Shapes that become masks", "shape", found.shapes)
    yield _counted("Shapes that cannot become masks and are left out", "shape", found.left_out)
    yield _counted("Image tags", "tag", found.image_tags)
    yield _counted("Object tags", "tag", found.object_tags)
    sizes = [(f"{w}×{h}", str(count)) for (w, h), count in found.sizes.most_common(8)]
    if len(found.sizes) > 8:
        rest = found.sizes.total() - sum(count for _, count in found.sizes.most_common(8))
        sizes.append((f"{len(found.sizes) - 8} more sizes", str(rest)))
    yield _Table("Image sizes", ("width×height", "images"), sizes)
    yield _counted("Objects to look at (--html FILE shows them)", "they are", +found.suspicious.counts)
    rare = [(title, str(found.classes[title].objects)) for title in found.rare_classes]
    yield _Table("Classes with hardly any object", ("class", "objects"), rare)


def _summary(found: Inspection) -> str:
    """The last line: whether anything is wrong."""
    if not found.problems:
        return "No problems found."
    return "1 problem found." if len(found.problems) == 1 else f"{len(found.problems)} problems found."


def as_text(found: Inspection) -> str:
    """For pipes and files: no colours, no boxes, no line cut."""
    lines = [f"{found.project.name}: {found.project.root}", f"{len(found.project.items)} images", ""]
    for table in _tables(found):
        if not table.rows:
            continue
        widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
        lines.append(table.title)
        for row in (table.header, *table.rows):
            cells = [
                cell.ljust(width) if index < table.texts else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(("  " + "  ".join(cells)).rstrip())
        lines.append("")
    lines += [f"NOTE {notice}" for notice in found.notices]
    lines += [f"PROBLEM {error}" for error in found.problems]
    return "\n".join([*lines, _summary(found)])


def print_rich(found: Inspection) -> None:
    """For a terminal."""
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(highlight=False)
    title = Text.assemble(("\n" + found.project.name, "bold"), (f"  {found.project.root}", "dim"))
    console.print(title, Text(f"{len(found.project.items)} images"), sep="\n", soft_wrap=True)
    for table in _tables(found):
        if not table.rows:
            continue
        shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for index, header in enumerate(table.header):
            shown.add_column(header, justify="left" if index < table.texts else "right")
        for number, row in enumerate(table.rows):
            swatch = [("■ ", table.colors[number])] if table.colors else []
            shown.add_row(Text.assemble(*swatch, row[0]), *row[1:])
        console.print(Text("\n" + table.title, "bold"))
        console.print(Padding(shown, (0, 0, 0, 2), expand=False))
    console.print()
    for notice in found.notices:
        console.print(Text.assemble(("• ", "bold"), notice), soft_wrap=True)
    for error in found.problems:
        where = terminal_safe(f"{error.file}{f', {error.field}' if error.field else ''}")
        parts = ("✗ ", "bold red"), (where, "bold"), f": {error.problem}; ", (f"{error.fix}.", "green")
        console.print(Text.assemble(*parts), soft_wrap=True)  # so that a path can be copied whole
    console.print(
        Text(("✗ " if found.problems else "✓ ") + _summary(found), "red" if found.problems else "green")
    )


def _counted(title: str, name: str, counter: Counter[str]) -> _Table:
    return _Table(title, (name, "count"), [(key, str(count)) for key, count in counter.most_common()])
