"""COCO's JSON (https://cocodataset.org/#format-data): boxes, polygons and run-length masks.

A file is read twice.  The first time notes where each annotation stands, and of which image it is: some 30
bytes for each.  Then the annotations of one image after another are read from their places.

Exports have `annotations/instances_<split>.json`, and the images in `images/<dataset>/`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import orjson

from ravenml.common.io import atomic_open
from ravenml.common.permissions import make_folder
from ravenml.data.editable_annotation import Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import (
    SPLITS,
    TAGS,
    Format,
    ImportSource,
    Labels,
    LeftOut,
    Record,
    left_out_image,
    make_label,
)
from ravenml.data.formats.coco_index import CocoIndex, OtherCocoFile
from ravenml.data.formats.coco_shapes import read_shape, shape_json
from ravenml.data.formats.encodings import Utf8Files
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import (
    Images,
    dataset_name,
    files_of,
    folder_of,
    found_instead,
    read_ends,
    split_of,
    tell_left_alone,
)
from ravenml.data.formats.json_stream import elements
from ravenml.data.geometry import Line, Point, Size
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, Notice
from ravenml.errors import InputError

_OTHER = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_PREFIX = "instances_"
_DEFAULT = "default"  # what CVAT, and we, call the file of images that belong to no split
_CROWD = "crowd"


class Coco(Format):
    """Reads and writes COCO's object detection files, one or several."""

    title = "COCO object detection (JSON)"
    sign = "a JSON with images, annotations and categories"
    holds = frozenset({"polygon", "bitmap", "rectangle", "colours", "unused classes"}) | TAGS | SPLITS

    def recognises(self, path: Path) -> bool:
        return any(_looks_like(file) for file in files_of(path, ".json"))

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        files = [file for file in files_of(source.path, ".json") if file == source.path or _looks_like(file)]
        chosen = [file for file in files if not file.name.startswith(_OTHER)] or files
        if not chosen:
            found = found_instead(source.path, ".json")
            raise InputError(
                f"{source.path} holds no COCO file, which is a JSON with images and annotations; {found}."
            )
        tell_left_alone(source, ".json", files, "COCO's")
        left = [file.name for file in files if file not in chosen]
        source.read_through(chosen)
        texts, indexes = Utf8Files(), []
        for file in chosen:
            try:
                indexes.append(CocoIndex(file, texts.open(file)))
            except OtherCocoFile as other:
                if file == chosen[-1] and not indexes:
                    raise
                left.append(f"{file.name}, which {other.problem},")
        texts.tell(source.notice)
        if left:
            source.notice(f"{', '.join(sorted(set(left)))} are left alone; name one as SRC to import it.")
        source.total = sum(len(index) + len(index.broken) for index in indexes)
        source.classes = _classes(indexes, source)
        for index in indexes:
            index.tell(source.notice)
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


def _classes(indexes: list[CocoIndex], source: ImportSource) -> list[ObjClass]:
    """The categories of all files, without those that only group others, as Roboflow writes one."""
    classes = {one.title: one for index in reversed(indexes) for one in index.classes}
    ordered = dict.fromkeys(one.title for index in indexes for one in index.classes)
    holders: dict[str, list[CocoIndex]] = {
        title: [index for index in indexes if any(one.title == title for one in index.classes)]
        for title in set().union(*(index.parents for index in indexes))
    }
    groups = {t for t, holding in holders.items() if all(t in index.parents for index in holding)}
    if groups:
        names = ", ".join(f'"{title}"' for title in ordered if title in groups)
        source.notice(f"the category {names} only groups others and has no objects: it is not a class.")
    return [classes[title] for title in ordered if title not in groups]


def _records(source: ImportSource, index: CocoIndex) -> Iterator[Record | LeftOut | DataProblem]:
    path = index.path
    stem = path.stem.removeprefix(_PREFIX)
    split = split_of(stem.rstrip("0123456789_")) or split_of(path.parent.name)
    # A file that is called `_annotations.coco.json` or so is known by its folder.
    default = stem if "coco" not in stem.lower() and stem != _DEFAULT else path.parent.name
    images = _images(source, path, stem)
    yield from index.left_out()
    for number in range(len(index)):
        where = f"images[{index.place(number)}]"
        try:
            entry = index.image(number)
            name = entry.get("file_name") or entry.get("coco_url")  # LVIS has the address alone
            image = images.find(name, path, f"{where}.file_name")
        except DataProblem as error:
            yield left_out_image(error, partial(_labels, index, number, lambda text: None))
            continue
        tags: list[Tag] = [{"name": split}] if split else []
        tags += [tag for tag in _as_tags(entry.get("attributes")) if tag["name"] != split]
        size = _size(entry)
        dataset = folder_of(image, images.near, dataset_name(default))
        labels = partial(_labels, index, number, partial(_remark, source, path))
        yield Record(image, dataset, labels, tags, size, path, where)


def _labels(index: CocoIndex, number: int, remark: Notice, size: Size) -> Labels:
    """An image's objects; they are made when they are asked for."""
    for place, entry in index.annotations(number):
        where = f"annotations[{place}]"
        if isinstance(entry, DataProblem):
            yield entry
            continue
        category = entry.get("category_id")
        title = index.title(category)
        if title is None:
            yield LeftOut(DataProblem(index.path, f"{where}.category_id", *index.category_problem(category)))
            continue
        tags = _as_tags(entry.get("attributes"))
        if _is_crowd(entry.get("iscrowd")):
            tags.append({"name": _CROWD})
        yield make_label(index.path, where, title, partial(read_shape, entry, size, remark), tags)


def _remark(source: ImportSource, path: Path, text: str) -> None:
    source.remark(f"{path.name}: {text}")


def _is_crowd(given: object) -> bool:
    """Whether ``iscrowd`` says so: 1, 1.0, "1" or true."""
    if isinstance(given, str):
        return given.strip().lower() in ("1", "1.0", "true", "yes")
    return isinstance(given, int | float) and given == given and given != 0


def _as_tags(attributes: object) -> list[Tag]:
    """CVAT's attributes as tags: what is true is one without a value; text and numbers are values."""
    given = attributes.items() if isinstance(attributes, dict) else ()
    tags: list[Tag] = []
    for name, value in given:
        if value is True:
            tags.append({"name": name})
        elif isinstance(value, float) and not math.isfinite(value):
            continue
        elif isinstance(value, str | int | float) and value is not False and value != "":
            tags.append({"name": name, "value": value})
    return tags


def _images(source: ImportSource, path: Path, stem: str) -> Images:
    """Where a file's images are: in `--images`, a folder called like the file, `images`, or beside it."""
    chosen = source.options.images
    if chosen is not None:
        near = chosen / stem
        return Images(chosen, near if near.is_dir() else chosen, source.notice)
    roots = [path.parent, path.parent.parent] if path.parent.name in ("annotations", "annotation") else []
    for root in (*reversed(roots), path.parent):
        for folder in (root / "images" / stem, root / stem, root / "images"):
            if folder.is_dir():
                return Images(folder, notice=source.notice)
    return Images(roots[-1] if roots else path.parent, notice=source.notice)


def _size(entry: dict[str, object]) -> Size | None:
    height, width = (geometry_parsing.whole_side(entry.get(name)) for name in ("height", "width"))
    return (height, width) if height and width else None


def _looks_like(path: Path) -> bool:
    """By the beginning and the end, as the list of images may come after millions of annotations."""
    text = read_ends(path, 1 << 16, 1 << 16)
    if text[:3].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b""):
        return False
    listed = sum(word in text for word in (b'"images"', b'"annotations"', b'"categories"'))
    told = sum(word in text for word in (b'"image_id"', b'"category_id"', b'"file_name"', b'"iscrowd"'))
    return listed >= 2 or (listed == 1 and told >= 2)


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
        shape = shape_json(thing.geometry, image.size, crowd)
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
