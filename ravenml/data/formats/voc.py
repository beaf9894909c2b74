"""PASCAL VOC (http://host.robots.ox.ac.uk/pascal/VOC): an XML of boxes per image.

Coordinates count from 1, and both corners are in the box, as the VOC's own tools have it.  Tools that write
turned boxes (`robndbox`, an attribute `rotation`) or outlines (`polygon`) count from 0.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from ravenml.common.reading import is_file, is_folder
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import (
    SPLITS,
    Format,
    ImportSource,
    LeftOut,
    Record,
    left_out_image,
    make_label,
)
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import (
    IMAGE_FOLDERS,
    Images,
    dataset_name,
    files_of,
    folders_in,
    is_picture,
    names_in,
    split_tags,
)
from ravenml.data.formats.text import read_lines
from ravenml.data.formats.xml import DECLARE, ILLEGIBLE, is_legible, outermost, read_tree
from ravenml.data.geometry import AnyGeometry, Polygon, Rectangle
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

_FLAGS = ("difficult", "truncated", "occluded")
_ANNOTATIONS, _IMAGES, _SETS = "Annotations", "JPEGImages", "ImageSets/Main"
_ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels", "xmls", "xml"})  # in lower case
_SET_NAMES = ("train", "val", "trainval", "test")
_LOOKED_AT = 20  # files, to see what they are


class Voc(Format):
    """Reads and writes VOC's folders, and reads the XML files of tools that write beside the images."""

    title = "PASCAL VOC (XML, boxes)"
    sign = "an XML with <annotation> for each image"
    holds = frozenset({"rectangle"}) | SPLITS

    def recognises(self, path: Path) -> bool:
        first = islice(files_of(path, ".xml"), _LOOKED_AT)
        return any(outermost(file) == "annotation" for file in first)

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
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
                yield LeftOut(error, _count_objects(path), images=1)
        for reader in readers.values():
            reader.tell_unused()

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
    """A folder of XML files: where its images are, what it is called, and which sets its images are in."""

    def __init__(self, source: ImportSource, folder: Path) -> None:
        self.source = source
        top, inside = _top_of(folder, source.folder)
        between = top.relative_to(source.folder).parts if top.is_relative_to(source.folder) else ()
        self.dataset = dataset_name("/".join((*between, *inside)) or top.name)
        self.images = _images_of(source, folder, top, inside)
        self.sets = _sets(source, top)
        self.inside = "/".join(inside)
        self._by_stem: dict[str, list[Path]] = {}
        for name in names_in(self.images.near):
            if is_picture(name):
                path = self.images.near / name
                self._by_stem.setdefault(path.stem, []).append(path)
        self._used: set[Path] = set()
        self._renamed: list[Path] = []
        self._listed: set[str] = set()

    def record(self, path: Path) -> Record | LeftOut:
        root = read_tree(path)
        if root.tag != "annotation":
            raise DataProblem(path, "", f"is not an annotation of VOC but <{root.tag}>", "remove it")
        labels = [_label(path, number, one) for number, one in enumerate(root.findall("object"))]
        try:
            image = self._image(root, path)
        except DataProblem as error:
            return left_out_image(error, labels)
        self._used.add(image)
        size = root.find("size")
        said = (_whole(size, "height"), _whole(size, "width")) if size is not None else (0, 0)
        names = {path.stem, f"{self.inside}/{path.stem}", image.stem}
        chosen = [split for split, listed in self.sets.items() if not names.isdisjoint(listed)]
        self._listed |= names
        tags: list[Tag] = [{"name": name} for name in chosen] or list(split_tags(self.dataset))
        return Record(image, self.dataset, labels, tags, said if min(said) > 0 else None, path)

    def tell_unused(self) -> None:
        """Tell of images and names in lists that no XML file speaks of."""
        unused = [one for alike in self._by_stem.values() for one in alike if one not in self._used]
        if unused:
            count = len(unused)
            what = (
                "1 image has no XML file, and is"
                if count == 1
                else f"{count} images have no XML file, and are"
            )
            self.source.notice(f"{what} not imported, such as {unused[0]}.")
        for split, names in self.sets.items():
            if missing := sorted(names - self._listed):
                what = "1 image" if len(missing) == 1 else f"{len(missing)} images"
                self.source.notice(f"The set {split} lists {what} without an XML file, such as {missing[0]}.")
        if self._renamed:
            count, first = len(self._renamed), self._renamed[0]
            what = "1 file names" if count == 1 else f"{count} files name"
            self.source.notice(
                f"{what} another image than the one called after the file, which is taken, as for {first}."
            )

    def _image(self, root: Element, path: Path) -> Path:
        """The image that is called after the file, as VOC has it; else the one that the file names."""
        name = (root.findtext("filename") or "").strip()
        alike = self._by_stem.get(path.stem, [])
        try:
            if not is_legible(name):
                raise DataProblem(path, "filename", ILLEGIBLE, DECLARE)
            found = self.images.find(name, path, "filename")
        except DataProblem:
            # Many files were renamed by hand together with their images, or say the name without its ending.
            alike = [one for one in alike if is_file(one)]  # not links that lead nowhere
            if not alike:
                raise
            if len(alike) > 1 and not os.path.samefile(*alike[:2]):
                problem = f"is not an image's name, and both {alike[0].name} and {alike[1].name} may be meant"
                raise DataProblem(path, "filename", problem, "write the right one") from None
            return alike[0]
        if len(alike) == 1 and found.stem != path.stem:  # a copy of another file
            self._renamed.append(path)
            return alike[0]
        return found


def _top_of(folder: Path, source: Path) -> tuple[Path, tuple[str, ...]]:
    """The dataset's folder above a folder of XML files, and what is between `Annotations` and the files."""
    inside: list[str] = []
    place = folder
    while place.name.lower() not in _ANNOTATION_FOLDERS:
        if place == source or not place.is_relative_to(source):
            return folder, ()
        inside.insert(0, place.name)
        place = place.parent
    place = place.parent
    if place.name.lower() in _ANNOTATION_FOLDERS and place.is_relative_to(source):  # `annotations/xmls`
        place = place.parent
    return place, tuple(inside)


def _images_of(source: ImportSource, folder: Path, top: Path, inside: tuple[str, ...]) -> Images:
    """Where the images of a folder of XML files are."""
    if source.options.images is not None:
        root = source.options.images
    else:
        named = {one.name.lower(): one for one in folders_in(top) if one.name.lower() in IMAGE_FOLDERS}
        found = next((named[name] for name in IMAGE_FOLDERS if name in named), None)
        if found is None and any(is_picture(name) for name in names_in(folder)):
            found = folder
        if found is None:
            return Images(top, folder if folder.is_relative_to(top) else None, source.notice)
        root = found
    near = root.joinpath(*inside)
    return Images(root, near if is_folder(near) else None, source.notice)


def _sets(source: ImportSource, top: Path) -> dict[str, frozenset[str]]:
    """The names in the lists of each set; what `trainval` has alone is in the one without a list."""
    folder = next((top / name for name in (_SETS, "ImageSets") if is_folder(top / name)), None)
    if folder is None:
        return {}
    sets = {name: _names(folder / f"{name}.txt") for name in _SET_NAMES}
    both = sets.pop("trainval") - sets["train"] - sets["val"]
    if both and not (sets["train"] and sets["val"]):
        rest = "val" if sets["train"] else "train"
        if not sets["val"] and not sets["train"]:
            source.notice(
                f"{folder} has a list trainval, but neither train nor val; its images are tagged train."
            )
        sets[rest] = both
    return {name: names for name, names in sets.items() if names}


def _label(path: Path, number: int, one: Element) -> Label | LeftOut | DataProblem:
    where = f"object[{number}]"
    title = (one.findtext("name") or "").strip()
    if not title:
        return DataProblem(path, f"{where}.name", "is missing", "correct or remove it")
    if not is_legible(title):
        return LeftOut(DataProblem(path, f"{where}.name", ILLEGIBLE, DECLARE), title=title)
    tags: list[Tag] = [{"name": flag} for flag in _FLAGS if (one.findtext(flag) or "0").strip() == "1"]
    return make_label(path, where, title, lambda: _shape(one), tags)


def _shape(one: Element) -> AnyGeometry:
    turned, outline, box = one.find("robndbox"), one.find("polygon"), one.find("bndbox")
    if turned is not None:
        return _turned_box(turned)
    if outline is not None:
        try:
            return _outline(outline)
        except InvalidGeometry:
            if box is None:
                raise
    if box is None:
        raise InvalidGeometry("bndbox", "is missing")
    if box.find("xmin") is None and box.find("x1") is not None:  # the corners of a turned box
        return _outline(box)
    return _box(box, _rotation(one))


def _turned_box(given: Element) -> Polygon:
    if given.find("cx") is None:
        return _outline(given)
    said = {name: given.findtext(name) for name in ("cx", "cy", "w", "h", "angle")}
    x, y, width, height, angle = geometry_parsing.numbers(said, *said)
    left, top = x - width / 2, y - height / 2
    return geometry_parsing.turned_box(left, top, left + width, top + height, math.degrees(angle))


def _outline(given: Element) -> Polygon:
    """The polygon of corners that are written as `x1`, `y1`, `x2` … or `x_left_top` …, or in a `pt` each."""
    said = [(child.tag, child.text) for child in given.iter() if child.tag[:1] in ("x", "y") and child.text]
    values = geometry_parsing.numbers(
        {str(n): text for n, (_, text) in enumerate(said)}, *map(str, range(len(said)))
    )
    across = [value for value, (name, _) in zip(values, said, strict=True) if name[0] == "x"]
    down = [value for value, (name, _) in zip(values, said, strict=True) if name[0] == "y"]
    if len(across) != len(down):
        raise InvalidGeometry(given.tag, f"has {len(across)} x and {len(down)} y")
    return geometry_parsing.polygon([list(pair) for pair in zip(across, down, strict=True)], given.tag)


def _box(given: Element, degrees: float) -> Rectangle | Polygon:
    corners = {name: given.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax")}
    left, top, right, bottom = geometry_parsing.numbers(corners, *corners)
    if right < left or bottom < top or (right == left and bottom == top and left == 0):
        raise InvalidGeometry("bndbox", f"the box has no area ({right - left:g}×{bottom - top:g})")
    if degrees:
        return geometry_parsing.turned_box(left, top, right, bottom, degrees)
    # From 1 on, both corners inside; that is from the edge before the first pixel to the one behind the last.
    # Tools that count from 0 are told by a 0, and moved into the image.
    return geometry_parsing.box(max(left - 1, 0), max(top - 1, 0), max(right, 1), max(bottom, 1))


def _rotation(one: Element) -> float:
    """By how many degrees a box is turned clockwise, which CVAT says in an attribute."""
    attributes = one.find("attributes")
    for attribute in () if attributes is None else attributes:
        if (attribute.findtext("name") or "").strip() == "rotation":
            (degrees,) = geometry_parsing.numbers({"rotation": attribute.findtext("value")}, "rotation")
            return degrees
    return 0.0


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
    for line in read_lines(path):
        name, _, flag = line.strip().rpartition(" ")
        name = name.strip() if name and flag in ("1", "0", "-1") else line.strip()
        stem, ending = os.path.splitext(name)
        names.add(stem if is_picture(name) or ending.lower() == ".xml" else name)
    return frozenset(names - {""})


def _count_objects(path: Path) -> int:
    """How many objects a file has that cannot be used, by its text alone."""
    try:
        return len(re.findall(rb"<object[\s>]", read_bytes(path)))
    except DataProblem:
        return 0


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
