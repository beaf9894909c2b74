"""A Supervisely project on disk: classes, tags, datasets and items."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.schema import Fields, read_object
from ravenml.data.annotation import Annotation, Head, parse_annotation, read_annotation, read_head
from ravenml.data.item_names import why_unusable
from ravenml.data.layout import Item, find_items, refuse_other_kinds
from ravenml.data.meta import ObjClass, TagMeta, read_meta
from ravenml.data.problems import DataProblem, Report, raise_problem, suggestion
from ravenml.errors import InputError

__all__ = ["Item", "ObjClass", "Project", "TagMeta"]

METADATA = "metadata.json"  # what somebody has written down of a dataset; ravenML 1 did


class Project:
    """A project that opened: its structure is whole, while each image is only looked at when it is read.

    ``items`` are sorted by dataset and name; ``classes`` and ``tags`` stand in `meta.json`'s order.
    Masks number the classes in that order: 0 is none, ``i + 1`` is ``classes[i]``.
    """

    def __init__(
        self,
        root: Path,
        classes: list[ObjClass],
        tags: list[TagMeta],
        datasets: list[str],
        items: list[Item],
    ) -> None:
        self.root = root
        self.name = root.name
        self.classes = classes
        self.tags = tags
        self.datasets = datasets
        self.items = items
        self._shapes = {known.title: known.shape for known in classes}
        self._items = {item.key: item for item in items}
        self._heads: dict[str, Head] = {}

    @classmethod
    def open(cls, root: Path) -> Project:
        """Open the project in the folder ``root``.

        Raises:
            InputError: no such folder, no project, a broken `meta.json`, no images, or an image or
                annotation without its partner.  Names the first; `ravenml.data.inspection` finds all.
        """
        problems: list[DataProblem] = []
        project = cls.read(root, problems.append)
        if problems:
            more = f"  (and more: raven data inspect {root})" if len(problems) > 1 else ""
            raise InputError(f"{problems[0]}{more}")
        if not project.items:
            raise InputError(f"{root} holds no images; a dataset is a folder in it with img/ and ann/.")
        return project

    @classmethod
    def read(cls, root: Path, report: Report = raise_problem) -> Project:
        """Open what can be opened; ``report`` is called for each problem of the structure.

        Raises:
            InputError: no such folder, or no usable `meta.json`.
        """
        root = Path(root).expanduser().absolute()
        if not root.exists():
            raise InputError(f"{root} does not exist; name a project's folder.")
        if not root.is_dir():
            raise InputError(f"{root} is a file; name a project's folder.")
        if unusable := why_unusable(str(root)):
            raise DataProblem(root, "", unusable, "rename the folder")
        refuse_other_kinds(root)
        classes, tags = read_meta(root / "meta.json", report)
        datasets, items = find_items(root, report)
        return cls(root, classes, tags, datasets, items)

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r}: {len(self.items)} images, {len(self.classes)} classes)"

    @property
    def path(self) -> Path:
        """The folder, as :attr:`root`."""
        return self.root

    @functools.cached_property
    def metadata(self) -> JsonObject:
        """What the folder's `metadata.json` says of it, and its name.

        Raises:
            RavenError: that file is not a JSON object.
        """
        file = self.root / METADATA
        return {"name": self.name} | (read_object(file, Fields({})) if file.is_file() else {})

    @property
    def titles(self) -> list[str]:
        """The classes' titles, in the order that masks number them."""
        return [known.title for known in self.classes]

    @functools.cached_property
    def fingerprint(self) -> bytes:
        """What of `meta.json` decides how annotations become masks, as a digest."""
        said = "\0".join(f"{known.title}\1{known.shape}" for known in self.classes)
        return hashlib.sha256(said.encode()).digest()

    def annotation(self, item: Item, report: Report = raise_problem) -> Annotation:
        """Read an item's annotation; see `ravenml.data.annotation.read_annotation`."""
        return read_annotation(item.annotation_path, self._shapes, report)

    def parse(self, content: bytes, item: Item) -> Annotation:
        """Parse the content of an item's annotation file, where it has been read already."""
        return parse_annotation(content, item.annotation_path, self._shapes)

    def item(self, key: str) -> Item:
        """The item named ``dataset/name``.

        Raises:
            InputError: there is none.
        """
        try:
            return self._items[key]
        except KeyError:
            hint = suggestion(key, list(self._items))
            raise InputError(f'{self.root} has no item "{key}"; {hint}.') from None

    def tags_of(self, item: Item) -> frozenset[str]:
        """The names of an image's tags; read once.

        Raises:
            DataProblem: the annotation is broken.
        """
        return self._head(item).tags

    def tagged(self, tag: str) -> list[Item]:
        """The images that have a tag.

        Raises:
            InputError: there is none; names the tags that there are.
            DataProblem: an annotation is broken.
        """
        items = [item for item in self.items if tag in self.tags_of(item)]
        if not items:
            known = sorted(frozenset().union(*map(self.tags_of, self.items)))
            have = f"images have {', '.join(known)}" if known else "no image has a tag"
            raise InputError(f"{self.root}: no image is tagged `{tag}`; {have}.")
        return items

    def only(self, items: Sequence[Item]) -> Project:
        """The same project with only some of its images."""
        return Project(self.root, self.classes, self.tags, self.datasets, list(items))

    def left_out(self, items: Sequence[Item]) -> Counter[str]:
        """Per shape, how many of the items' objects cannot become a mask (points, lines, …).

        An annotation that is broken is passed over here: it is told when the item is read.
        """
        total: Counter[str] = Counter()
        for item in items:
            with contextlib.suppress(DataProblem):
                total += self._head(item).left_out
        return total

    def count_objects(self, items: Sequence[Item]) -> Counter[str]:
        """Per class, how many of the items' objects can become a mask or a box.

        An annotation that is broken is passed over here: it is told when the item is read.
        """
        total: Counter[str] = Counter()
        for item in items:
            with contextlib.suppress(DataProblem):
                total.update(self._head(item).objects)
        return total

    def _head(self, item: Item) -> Head:
        head = self._heads.get(item.key)
        if head is None:
            head = self._heads[item.key] = read_head(item.annotation_path, self._shapes)
        return head
