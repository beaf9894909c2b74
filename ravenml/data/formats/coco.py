"""COCO's JSON (https://cocodataset.org/#format-data): boxes, polygons and run-length masks.

A file is read twice.  The first time notes where each annotation stands, and of which image it is: some 30
bytes for each.  Then the annotations of one image after another are read from their places.

COCO's coordinates are continuous: the pixel in the column 2 reaches from 2 to 3.  A polygon's corner is
written in the middle of its pixel, a box along the pixels' edges.  Exports have
`annotations/instances_<split>.json`, and the images in `images/<dataset>/`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import orjson

from ravenml.common.io import atomic_open
from ravenml.common.permissions import make_folder
from ravenml.data.bitmap import trim
from ravenml.data.editable_annotation import Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import SPLITS, TAGS, Format, ImportSource, Labels, Record, make_label
from ravenml.data.formats.coco_index import CocoIndex
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import Images, dataset_name, files_of, folder_of, read_ends, split_of
from ravenml.data.formats.json_stream import elements
from ravenml.data.formats.rle import flat_of, pack_runs, runs_of, unpack_runs
from ravenml.data.geometry import AnyGeometry, Bitmap, Geometry, Line, Point, Polygon, Rectangle, Size
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.masks import draw
from ravenml.data.problems import DataProblem
from ravenml.data.transforms import as_bitmap, bounds
from ravenml.errors import InputError

_OTHER = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_PREFIX = "instances_"
_DEFAULT = "default"  # what CVAT, and we, call the file of images that belong to no split
_CROWD = "crowd"
_LARGEST = 1 << 28  # pixels of a mask


class Coco(Format):
    """Reads and writes COCO's object detection files, one or several."""

    title = "COCO object detection (JSON)"
    holds = frozenset({"polygon", "bitmap", "rectangle", "colours", "unused classes"}) | TAGS | SPLITS

    def recognises(self, path: Path) -> bool:
        return any(_looks_like(file) for file in files_of(path, ".json"))

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        files = [file for file in files_of(source.path, ".json") if file == source.path or _looks_like(file)]
        chosen = [file for file in files if not file.name.startswith(_OTHER)] or files
        if not chosen:
            raise InputError(f"{source.path} holds no COCO file: a JSON with images and annotations.")
        if len(chosen) < len(files):
            left = ", ".join(sorted({file.name for file in files} - {file.name for file in chosen}))
            source.notice(f"{left} are left alone; name one as SRC to import it.")
        source.read_through(chosen)
        indexes = [CocoIndex(file) for file in chosen]
        source.total = sum(len(index) + len(index.problems) for index in indexes)
        for index in indexes:
            known = {one.title for one in source.classes}
            source.classes += [one for one in index.classes if one.title not in known]
        for index in indexes:
            yield from _records(source, index)

    def write(self, export: Export) -> None:
        numbers = {one.title: number for number, one in enumerate(export.classes, 1)}
        annotations = 0
        with ExitStack() as stack:
            files: dict[str, _File] = {}
            described = export.map(lambda image: _described(export, image, numbers))
            for images, (split, image, made) in enumerate(described, 1):
                if split not in files:
                    files[split] = stack.enter_context(_File(export, split))
                files[split].add("images", {"id": images, **image})
                for annotation in made:
                    annotations += 1
                    files[split].add("annotations", {"id": annotations, "image_id": images, **annotation})
            for file in files.values():
                file.finish()


def _records(source: ImportSource, index: CocoIndex) -> Iterator[Record | DataProblem]:
    path = index.path
    stem = path.stem.removeprefix(_PREFIX)
    split = split_of(stem.rstrip("0123456789_")) or split_of(path.parent.name)
    # A file that is called `_annotations.coco.json` or so is known by its folder.
    default = stem if "coco" not in stem.lower() and stem != _DEFAULT else path.parent.name
    images = _images(source, path, stem)
    yield from index.problems
    for number in range(len(index)):
        where = f"images[{index.place(number)}]"
        try:
            entry = index.image(number)
            image = images.find(entry.get("file_name"), path, f"{where}.file_name")
        except DataProblem as error:
            yield error
            continue
        tags: list[Tag] = [{"name": split}] if split else []
        tags += [tag for tag in _as_tags(entry.get("attributes")) if tag["name"] != split]
        size = _size(entry)
        dataset = folder_of(image, images.near, dataset_name(default))
        yield Record(image, dataset, _Labels(index, number), tags, size, path, where)


class _Labels:
    """Makes an image's objects when they are asked for."""

    def __init__(self, index: CocoIndex, number: int) -> None:
        self.index, self.number = index, number

    def __call__(self, size: Size) -> Labels:
        index = self.index
        for place, entry in index.annotations(self.number):
            where = f"annotations[{place}]"
            if isinstance(entry, DataProblem):
                yield entry
                continue
            category = entry.get("category_id")
            title = index.titles.get(category) if isinstance(category, str | int | float) else None
            if title is None:
                problem = f"{category!r} is not a category of the file"
                fix = "add it to the categories, or correct the number"
                yield DataProblem(index.path, f"{where}.category_id", problem, fix)
                continue
            tags = _as_tags(entry.get("attributes"))
            if entry.get("iscrowd"):
                tags.append({"name": _CROWD})
            yield make_label(index.path, where, title, partial(_shape, entry, size), tags)


def _as_tags(attributes: object) -> list[Tag]:
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


def _size(entry: dict[str, object]) -> Size | None:
    height, width = entry.get("height"), entry.get("width")
    if type(height) is int and type(width) is int and height > 0 and width > 0:
        return height, width
    return None


def _looks_like(path: Path) -> bool:
    """By the beginning and the end, as the list of images may come after millions of annotations."""
    text = read_ends(path, 1 << 16, 1 << 16)
    if text[:3].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b""):
        return False
    listed = sum(word in text for word in (b'"images"', b'"annotations"', b'"categories"'))
    told = sum(word in text for word in (b'"image_id"', b'"category_id"', b'"file_name"', b'"iscrowd"'))
    return listed >= 2 or (listed == 1 and told >= 2)


def _shape(entry: dict[str, object], size: Size) -> AnyGeometry:
    """An annotation's shape: its segmentation, or its box where it has none.

    One polygon is a polygon; several are one object, and so become a bitmap.

    Raises:
        InvalidGeometry: it is broken or empty.
    """
    given = entry.get("segmentation")
    if isinstance(given, dict):
        return _mask(given, size)
    if isinstance(given, list) and given:
        rings = [_ring(ring, f"segmentation[{number}]") for number, ring in enumerate(given)]
        return rings[0] if len(rings) == 1 else _united(rings, size)
    if given:
        raise InvalidGeometry("segmentation", "is not a list of polygons and no mask")
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise InvalidGeometry("bbox", "is missing" if box is None else "is not a list of four numbers")
    left, top, width, height = geometry_parsing.numbers(dict(zip("xywh", box, strict=True)), *"xywh")
    if width <= 0 or height <= 0:
        raise InvalidGeometry("bbox", f"the box has no area ({width:g}×{height:g})")
    return geometry_parsing.box(left, top, left + width, top + height)


def _shape_json(geometry: Geometry, size: Size, crowd: bool) -> dict[str, object]:
    """The fields of an annotation that tell a shape: ``segmentation``, ``bbox`` and ``area``."""
    extent = bounds(geometry)
    left, top, right, bottom = geometry_parsing.edges(extent)
    box = [left, top, right - left, bottom - top]
    if isinstance(geometry, Rectangle) and not crowd:
        return {"segmentation": [], "bbox": box, "area": box[2] * box[3]}
    whole = as_bitmap(geometry, size)
    count = int(np.count_nonzero(whole.mask)) if whole is not None else 0
    if isinstance(geometry, Polygon) and not crowd:
        ring = (geometry.exterior + 0.5).reshape(-1).tolist()
        return {"segmentation": [ring], "bbox": box, "area": count}
    mask = np.zeros(size, bool)
    if whole is not None:
        x, y = whole.origin
        mask[y : y + whole.mask.shape[0], x : x + whole.mask.shape[1]] = whole.mask
    counts = pack_runs(runs_of(mask.T.reshape(-1)))
    return {"segmentation": {"size": list(size), "counts": counts}, "bbox": box, "area": count}


def _ring(given: object, field: str) -> Polygon:
    if not isinstance(given, list) or len(given) % 2:
        raise InvalidGeometry(field, "is not a list x, y, x, y, …")
    return geometry_parsing.polygon([list(pair) for pair in zip(given[::2], given[1::2], strict=True)], field)


def _united(rings: list[Polygon], size: Size) -> Bitmap:
    mask = np.zeros(size, np.uint8)
    for ring in rings:
        draw(mask, ring, 1)
    return _bitmap(mask)


def _mask(given: dict[str, object], size: Size) -> Bitmap:
    said, counts = given.get("size"), given.get("counts")
    if (
        not isinstance(said, list)
        or len(said) != 2
        or not all(type(side) is int and 0 < side < 1 << 20 for side in said)
        or said[0] * said[1] > _LARGEST
    ):
        raise InvalidGeometry("segmentation.size", "is not [height, width]")
    if (said[0], said[1]) != size:
        raise InvalidGeometry("segmentation.size", f"is {said[1]}×{said[0]}, the image {size[1]}×{size[0]}")
    try:
        runs = unpack_runs(counts) if isinstance(counts, str) else counts
        flat = flat_of(runs if isinstance(runs, list) else [], said[0] * said[1])
    except ValueError as error:
        raise InvalidGeometry("segmentation.counts", str(error)) from None
    return _bitmap(flat.reshape(said[1], said[0]).T)


def _bitmap(mask: np.ndarray) -> Bitmap:
    if not mask.any():
        raise InvalidGeometry("segmentation", "the mask is empty")
    return Bitmap(*trim(mask))


def _described(
    export: Export, image: ExportedImage, numbers: dict[str, int]
) -> tuple[str, dict[str, object], list[dict[str, object]]]:
    """An image's split, its own entry and those of its annotations, all without ids."""
    item, (height, width) = image.item, image.size
    name = f"{item.dataset}/{item.name}"
    export.place(item, export.target / "images" / item.dataset / item.name)
    own = [tag for tag in image.tags if tag["name"] != image.split]
    made: list[dict[str, object]] = []
    for thing in image.objects:
        assert not isinstance(thing.geometry, Line | Point)
        crowd = any(tag["name"] == _CROWD for tag in thing.tags)
        shape = _shape_json(thing.geometry, image.size, crowd)
        rest = _attributes(tag for tag in thing.tags if tag["name"] != _CROWD)
        made.append({"category_id": numbers[thing.title], **shape, "iscrowd": int(crowd), **rest})
    entry = {"file_name": name, "height": height, "width": width, **_attributes(own)}
    return image.split or _DEFAULT, entry, made


class _File:
    """One JSON; images and annotations are gathered beside it, as they come in turns."""

    def __init__(self, export: Export, split: str) -> None:
        self.export, self.split = export, split
        self.parts: dict[str, IO[bytes]] = {}

    def __enter__(self) -> _File:
        self.folder: Path = self.export.target / "annotations"
        make_folder(self.folder)
        for name in ("images", "annotations"):
            self.parts[name] = TemporaryFile(dir=self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        for part in self.parts.values():
            part.close()

    def add(self, name: str, entry: dict[str, object]) -> None:
        part = self.parts[name]
        part.write((b",\n" if part.tell() else b"\n") + orjson.dumps(entry))

    def finish(self) -> None:
        categories = (
            {"id": number, "name": one.title, "supercategory": "", "color": list(one.rgb)}
            for number, one in enumerate(self.export.classes, 1)
        )
        with atomic_open(self.folder / f"instances_{self.split}.json") as file:
            file.write(b'{"info": {"description": ' + orjson.dumps(self.export.project.name) + b"},\n")
            file.write(b'"licenses": [],\n"categories": [')
            file.writelines(elements(categories))
            for name, part in self.parts.items():
                file.write(b'],\n"' + name.encode() + b'": [')
                part.seek(0)
                shutil.copyfileobj(part, file, 1 << 20)
            file.write(b"]}\n")


def _attributes(tags: Iterable[Tag]) -> dict[str, object]:
    """Tags as CVAT writes attributes: one without a value is true."""
    given = {str(tag["name"]): True if tag.get("value") is None else tag["value"] for tag in tags}
    return {"attributes": given} if given else {}
