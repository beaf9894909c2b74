"""COCO's JSON (https://cocodataset.org/#format-data): boxes, polygons and run-length masks.

A file is read twice.  The first time notes where each annotation stands, and of which image it is: some 30
bytes for each.  Then the annotations of one image after another are read from their places.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.data.editable_annotation import Tag
from ravenml.data.formats.base import SPLITS, TAGS, Format, ImportSource, Labels, Record, Size, make_label
from ravenml.data.formats.coco_index import Index
from ravenml.data.formats.coco_shapes import shape_of
from ravenml.data.formats.coco_writing import CROWD, write_coco
from ravenml.data.formats.image_finder import Images, dataset_name, files_below, folder_of, split_of
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export

_OTHER = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_PREFIX = "instances_"
_DEFAULT = "default"  # what CVAT, and we, call the file of images that belong to no split


class Coco(Format):
    """Reads and writes COCO's object detection files, one or several."""

    title = "COCO object detection (JSON)"
    holds = frozenset({"polygon", "bitmap", "rectangle", "colours", "unused classes"}) | TAGS | SPLITS

    def recognises(self, path: Path) -> bool:
        return any(_looks_like(file) for file in _candidates(path))

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        files = [file for file in _candidates(source.path) if file == source.path or _looks_like(file)]
        chosen = [file for file in files if not file.name.startswith(_OTHER)] or files
        if not chosen:
            raise InputError(f"{source.path} holds no COCO file: a JSON with images and annotations.")
        if len(chosen) < len(files):
            left = ", ".join(sorted({file.name for file in files} - {file.name for file in chosen}))
            source.notice(f"{left} are left alone; name one as SRC to import it.")
        source.read_through(chosen)
        indexes = [Index(file) for file in chosen]
        source.total = sum(len(index) + len(index.problems) for index in indexes)
        for index in indexes:
            source.classes += [
                one for one in index.classes if one.title not in {c.title for c in source.classes}
            ]
        for index in indexes:
            yield from _records(source, index)

    def write(self, export: Export) -> None:
        write_coco(export)


def _records(source: ImportSource, index: Index) -> Iterator[Record | DataProblem]:
    path = index.path
    stem = path.stem.removeprefix(_PREFIX)
    split = split_of(stem.rstrip("0123456789_")) or split_of(path.parent.name)
    # A file that is called `_annotations.coco.json` or so is known by its folder.
    default = stem if "coco" not in stem.lower() and stem != _DEFAULT else path.parent.name
    images = _images(source, path, stem)
    yield from index.problems
    for number in range(len(index)):
        entry = index.image(number)
        where = f"images[{index.place(number)}]"
        try:
            image = images.find(entry.get("file_name"), path, f"{where}.file_name")
        except DataProblem as error:
            yield error
            continue
        tags: list[Tag] = [{"name": split}] if split else []
        tags += [tag for tag in as_tags(entry.get("attributes")) if tag["name"] != split]
        size = _size(entry)
        dataset = folder_of(image, images.near, dataset_name(default))
        yield Record(image, dataset, _Labels(index, number), tags, size, path, where)


class _Labels:
    """Makes an image's objects when they are asked for."""

    def __init__(self, index: Index, number: int) -> None:
        self.index, self.number = index, number

    def __call__(self, size: Size) -> Labels:
        index = self.index
        for place, entry in index.annotations(self.number):
            where = f"annotations[{place}]"
            title = index.titles.get(entry.get("category_id"))
            if title is None:
                problem = f"{entry.get('category_id')!r} is not a category of the file"
                fix = "add it to the categories, or correct the number"
                yield DataProblem(index.path, f"{where}.category_id", problem, fix)
                continue
            tags = as_tags(entry.get("attributes"))
            if entry.get("iscrowd"):
                tags.append({"name": CROWD})
            yield make_label(index.path, where, title, partial(shape_of, entry, size), tags)


def as_tags(attributes: Any) -> list[Tag]:
    """CVAT's attributes as tags: what is true is one without a value; text and numbers are values."""
    given = attributes.items() if isinstance(attributes, dict) else ()
    tags: list[Tag] = []
    for name, value in given:
        if value is True:
            tags.append({"name": name})
        elif isinstance(value, str | int | float) and value is not False and value != "":
            tags.append({"name": name, "value": value})
    return tags


def _images(source: ImportSource, path: Path, stem: str) -> Images:
    """Where a file's images are: in `--images`, a folder called like the file, `images`, or beside it."""
    chosen = source.options.images
    if chosen is not None:
        near = chosen / stem
        return Images(chosen, near if near.is_dir() else chosen)
    roots = [path.parent, path.parent.parent] if path.parent.name in ("annotations", "annotation") else []
    for root in (*reversed(roots), path.parent):
        for folder in (root / "images" / stem, root / stem, root / "images"):
            if folder.is_dir():
                return Images(folder)
    return Images(roots[-1] if roots else path.parent)


def _size(entry: dict[str, Any]) -> Size | None:
    height, width = entry.get("height"), entry.get("width")
    whole = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    return (height, width) if whole else None  # type: ignore[return-value]


def _candidates(path: Path) -> Iterator[Path]:
    if path.is_dir():
        return files_below(path, frozenset({".json"}))
    return iter([path] if path.suffix.lower() == ".json" else [])


def _looks_like(path: Path) -> bool:
    """By the beginning and the end, as the list of images may come after millions of annotations."""
    try:
        with path.open("rb") as file:
            text = file.read(1 << 16)
            file.seek(max(path.stat().st_size - (1 << 16), 0))
            text += file.read()
    except OSError:
        return False
    if text[:3].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b""):
        return False
    listed = sum(word in text for word in (b'"images"', b'"annotations"', b'"categories"'))
    told = sum(word in text for word in (b'"image_id"', b'"category_id"', b'"file_name"', b'"iscrowd"'))
    return listed >= 2 or (listed == 1 and told >= 2)
