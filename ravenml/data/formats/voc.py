"""PASCAL VOC (http://host.robots.ox.ac.uk/pascal/VOC): an XML of boxes per image.

Coordinates count from 1, and both corners are in the box, as the VOC's own tools have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from ravenml.common.reading import is_file
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import SPLITS, Format, ImportSource, LeftOut, Record, make_label
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import Images, dataset_name, files_of, read_ends, split_tags
from ravenml.data.formats.xml import read_tree
from ravenml.data.geometry import Rectangle
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

_FLAGS = ("difficult", "truncated", "occluded")
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".JPG", ".JPEG", ".PNG")
_ANNOTATIONS, _IMAGES, _SETS = "Annotations", "JPEGImages", "ImageSets/Main"


class Voc(Format):
    """Reads and writes VOC's folders, and reads the XML files of tools that write beside the images."""

    title = "PASCAL VOC (XML, boxes)"
    holds = frozenset({"rectangle"}) | SPLITS

    def recognises(self, path: Path) -> bool:
        first = next(files_of(path, ".xml"), None)
        return first is not None and b"<annotation>" in read_ends(first, 4096)

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        files = list(files_of(source.path, ".xml"))
        if not files:
            raise InputError(f"{source.path} holds no XML file.")
        source.total = len(files)
        readers: dict[Path, _Folder] = {}
        for path in files:
            if path.parent not in readers:
                readers[path.parent] = _Folder(source, path.parent)
            try:
                yield readers[path.parent].record(path)
            except DataProblem as error:
                yield error

    def write(self, export: Export) -> None:
        sets: dict[tuple[str, str], list[str]] = {}

        def one(image: ExportedImage) -> tuple[str, str, str | None]:
            item, stem, name = image.item, export.stem(image.item), export.file_name(image.item)
            top = export.target / item.dataset
            export.place(item, top / _IMAGES / name)
            export.write(top / _ANNOTATIONS / f"{stem}.xml", _xml(image, name).encode())
            return item.dataset, stem, image.split

        for dataset, stem, split in export.map(one):
            if split is not None:
                sets.setdefault((dataset, split), []).append(stem)
        for (dataset, split), names in sets.items():
            content = "".join(f"{name}\n" for name in names)
            export.write(export.target / dataset / _SETS / f"{split}.txt", content.encode())


class _Folder:
    """A folder of XML files: where its images are, what it is called, and which images train and validate."""

    def __init__(self, source: ImportSource, folder: Path) -> None:
        self.source = source
        self.top = folder.parent if folder.name == _ANNOTATIONS else folder
        inside = self.top.relative_to(source.folder) if self.top.is_relative_to(source.folder) else Path()
        self.dataset = dataset_name(inside.as_posix() if inside.parts else self.top.name)
        if source.options.images is not None:
            self.images = Images(source.options.images)
        else:
            own = next((self.top / n for n in (_IMAGES, "images") if (self.top / n).is_dir()), folder)
            self.images = Images(own)
        self.sets = {name: _names(self.top / _SETS / f"{name}.txt") for name in ("train", "val")}

    def record(self, path: Path) -> Record:
        root = read_tree(path)
        if root.tag != "annotation":
            raise DataProblem(path, "", f"is not an annotation of VOC but <{root.tag}>", "remove it")
        image = self._image(root, path)
        size = root.find("size")
        said = (_whole(size, "height"), _whole(size, "width")) if size is not None else (0, 0)
        objects = root.findall("object")
        labels = [_label(path, number, one) for number, one in enumerate(objects)]
        chosen = [name for name, names in self.sets.items() if path.stem in names]
        tags: list[Tag] = [{"name": name} for name in chosen] or list(split_tags(self.dataset))
        return Record(image, self.dataset, labels, tags, said if min(said) > 0 else None, path)

    def _image(self, root: Element, path: Path) -> Path:
        name = (root.findtext("filename") or "").strip()
        try:
            found = self.images.find(name, path, "filename")
        except DataProblem:
            # Many files were renamed by hand together with their images, or say the name without its ending.
            named = [self.images.near / f"{path.stem}{ending}" for ending in _ENDINGS]
            there = [image for image in named if is_file(image)]
            if not there:
                raise
            if len(there) > 1 and not os.path.samefile(*there[:2]):
                problem = f"is not an image's name, and both {there[0].name} and {there[1].name} may be meant"
                raise DataProblem(path, "filename", problem, "write the right one") from None
            found = there[0]
        return found


def _label(path: Path, number: int, one: Element) -> Label | LeftOut | DataProblem:
    where = f"object[{number}]"
    title = (one.findtext("name") or "").strip()
    if not title:
        return DataProblem(path, f"{where}.name", "is missing", "correct or remove it")
    tags: list[Tag] = [{"name": flag} for flag in _FLAGS if (one.findtext(flag) or "0").strip() == "1"]
    return make_label(path, where, title, lambda: _box(one.find("bndbox")), tags)


def _box(given: Element | None) -> Rectangle:
    if given is None:
        raise InvalidGeometry("bndbox", "is missing")
    corners = {name: given.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax")}
    left, top, right, bottom = geometry_parsing.numbers(corners, *corners)
    if right < left or bottom < top or (right == left and bottom == top and left == 0):
        raise InvalidGeometry("bndbox", f"the box has no area ({right - left:g}×{bottom - top:g})")
    # From 1 on, both corners inside; that is from the edge before the first pixel to the one behind the last.
    # Tools that count from 0 are told by a 0, and moved into the image.
    return geometry_parsing.box(max(left - 1, 0), max(top - 1, 0), max(right, 1), max(bottom, 1))


def _whole(size: Element, name: str) -> int:
    try:
        return int(float(size.findtext(name) or 0))
    except (ValueError, OverflowError):
        return 0


def _names(path: Path) -> frozenset[str]:
    """The images of a set: a name per line, in a class's set followed by 1, 0 or -1."""
    if not is_file(path):
        return frozenset()
    names = set()
    for line in read_bytes(path).decode("utf-8", "replace").splitlines():
        name, _, flag = line.strip().rpartition(" ")
        names.add(name.strip() if name and flag in ("1", "0", "-1") else line.strip())
    return frozenset(names)


def _xml(image: ExportedImage, name: str) -> str:
    height, width = image.size
    lines = [
        "<annotation>",
        f"  <folder>{_IMAGES}</folder>",
        f"  <filename>{escape(name)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    for thing in image.objects:
        assert isinstance(thing.geometry, Rectangle)
        left, top, right, bottom = geometry_parsing.edges(thing.geometry)
        flags = "".join(f"<{flag}>0</{flag}>" for flag in _FLAGS)
        lines += [
            "  <object>",
            f"    <name>{escape(thing.title)}</name><pose>Unspecified</pose>{flags}",
            f"    <bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])
