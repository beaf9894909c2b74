"""A folder of images and a folder of masks of the same names: numbers, colours, or black and white.

A mask is a picture whose pixels say their class: by number (grey, or the index into a palette), by colour,
or as 0 and 255.  0 and black are background; 255 among numbers means "not annotated", and is background too.
Exports have `images/<dataset>/`, `masks/<dataset>/`, and `classes.txt`: names and colours by number.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ravenml.data.bitmap import chunk, trim
from ravenml.data.classes import BACKGROUND
from ravenml.data.editable_annotation import Label
from ravenml.data.formats.base import Format, ImportSource, Labels, Record
from ravenml.data.formats.class_list import ListedClass, Rgb, classes_in
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import files_below, folder_of, images_below, split_tags
from ravenml.data.geometry import Bitmap, Line, Point, Size
from ravenml.data.image_header import PNG_SIGNATURE, why_not_decodable
from ravenml.data.images import EXTENSIONS, imdecode, read_bytes
from ravenml.data.masks import draw, mask_type
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

_IMAGES, _MASKS, _CLASSES = "images", "masks", "classes.txt"
_IMAGE_FOLDERS = (_IMAGES, "image", "img", "imgs", "JPEGImages", "leftImg8bit", "input", "inputs")
_MASK_FOLDERS = (_MASKS, "mask", "SegmentationClass", "labels", "label", "annotations", "gt", "gtFine")
_LISTS = (_CLASSES, "labelmap.txt", "class_names.txt", "label_colors.txt", "classes.json")
_ENDINGS = ("", "_mask", "-mask", ".mask", "_L", "_P", "_label", "_labels", "_seg", "_gt")
_BACKGROUND = ("background", "__bg__", "bg", "_background_")
_PIXELS_PER_BYTE = 2000  # of a large mask; what is empty has about 1030 in 8 bits
_LOOKED_AT = 20  # masks, to tell what kind they are
_VOID = 255
_DEFAULT = "object"


class Masks(Format):
    """Reads and writes masks; each class of an image is one bitmap."""

    title = "image folder and mask folder (PNG)"
    holds = frozenset({"bitmap", "colours", "unused classes"})

    def recognises(self, path: Path) -> bool:
        return path.is_dir() and _folders(path) is not None

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        images, masks = _where(source)
        found = _by_stem(masks)
        paths = images_below(images)
        if not paths:
            raise InputError(f"There is no image below {images}; name the images' folder with --images.")
        sample = [same[0] for same in found.values()][:: max(len(found) // _LOOKED_AT, 1)]
        key = _key(source, sample, masks)
        source.total = len(paths)
        source.classes = key.classes
        shared: dict[Path, Path] = {}
        for path in paths:
            inside = path.parent.relative_to(images).as_posix()
            names = [f"{inside}/{name}" for name in (path.name, *(path.stem + end for end in _ENDINGS))]
            same = next((found[name] for name in names if name in found), [])
            if not same:
                yield DataProblem(path, "", f"has no mask of its name below {masks}", "put it there")
                continue
            if len(same) > 1:
                problem = f"may have the mask {same[0].name} or {same[1].name}"
                yield DataProblem(path, "", problem, "remove one of them")
                continue
            (mask,) = same
            if mask in shared:
                source.notice(f"{shared[mask]} and {path} have the same mask, {mask.name}.")
            shared[mask] = path
            dataset = folder_of(path, images, source.folder.name)
            yield Record(path, dataset, _Objects(mask, key), split_tags(dataset), file=mask)

    def write(self, export: Export) -> None:
        """Write an image's objects into one mask, a later one over an earlier one."""
        classes = [one for one in export.classes if one.title != BACKGROUND]
        numbers = {one.title: number for number, one in enumerate(classes, 1)}
        kind = mask_type(len(classes) + 1)  # 255 would be read as "not annotated"
        listed = [ObjClass(BACKGROUND, "bitmap", "#000000"), *classes]
        palette = np.array([one.rgb for one in listed[:256]], np.uint8)

        def one(image: ExportedImage) -> None:
            item = image.item
            mask = np.zeros(image.size, kind)
            drawn = np.zeros(image.size, bool)
            for thing in image.objects:
                assert not isinstance(thing.geometry, Line | Point)
                own = np.zeros(image.size, np.uint8)
                draw(own, thing.geometry, 1)
                covered = int((drawn & (own > 0)).any())
                export.lose("what lies below other objects", "were painted over", covered)
                drawn |= own > 0
                mask[own > 0] = numbers.get(thing.title, 0)
            titles = [thing.title for thing in image.objects]
            export.lose("objects one by one", "were joined in one mask", len(titles) - len(set(titles)))
            export.place(item, export.target / _IMAGES / item.dataset / export.file_name(item))
            path = export.target / _MASKS / item.dataset / f"{export.stem(item)}.png"
            export.write(path, write_mask(mask, palette))

        export.each(one)
        lines = "".join(f"{one.title} {one.color}\n" for one in listed)
        export.write(export.target / _CLASSES, lines.encode())


@dataclass(frozen=True)
class _Key:
    """What the masks' values mean: numbers or colours to titles; None where 0 and 255 mean one class."""

    titles: dict[int, str] | None
    colours: dict[int, str]
    classes: list[ObjClass]
    single: str


class _Objects:
    """Reads a mask when it is asked for: a bitmap for each class."""

    def __init__(self, mask: Path, key: _Key) -> None:
        self.mask, self.key = mask, key

    def __call__(self, size: Size) -> Labels:
        values, _ = read_mask(self.mask)
        if values.shape[:2] != size:
            said, there = (f"{width}×{height}" for height, width in (values.shape[:2], size))
            yield DataProblem(self.mask, "", f"is {said}, but its image {there}", "put the right mask there")
            return
        for value, title in self._classes_of(values):
            if isinstance(title, DataProblem):
                yield title
                continue
            where = values != 0 if self.key.titles is None else values == value
            yield Label.make(title, Bitmap(*trim(where)))

    def _classes_of(self, values: np.ndarray) -> Iterator[tuple[int, str | DataProblem]]:
        """The values that a mask has, and the class of each."""
        present = _distinct(values)
        if self.key.titles is None and values.dtype != np.uint32:
            if odd := [value for value in present if value not in (0, _VOID)]:
                fix = "name the classes with --classes"
                problem = f"has the value {odd[0]} where other masks have 0 and 255 alone"
                yield odd[0], DataProblem(self.mask, "", problem, fix)
            elif _VOID in present:
                yield _VOID, self.key.single
            return
        colours = values.dtype == np.uint32
        titles = self.key.colours if colours else self.key.titles or {}
        for value in present:
            title = titles.get(value)
            if title is None and value and (colours or value != _VOID):
                said = f"the colour #{value:06X}" if colours else f"the value {value}"
                problem = f"has {said}, which is not a class"
                yield value, DataProblem(self.mask, "", problem, "add it to --classes")
            elif title is not None and title.lower() not in _BACKGROUND:
                yield value, title


def _distinct(values: np.ndarray) -> list[int]:
    """The values that an array has, sorted."""
    if values.dtype == np.uint8:
        return [int(v) for v in np.flatnonzero(np.bincount(values.reshape(-1), minlength=256))]
    return [int(value) for value in np.unique(values)]


def _key(source: ImportSource, sample: Sequence[Path], masks: Path) -> _Key:
    """What the values mean, by the list of classes and by what the first masks are like."""
    single = source.options.class_name or _DEFAULT
    listed = _listed(source, masks)
    numbers: set[int] = set()
    colours: set[int] = set()
    palette: np.ndarray | None = None
    for path in sample:
        try:
            values, own = read_mask(path)
        except DataProblem:
            continue  # told when its image comes
        palette = own if own is not None else palette
        (colours if values.dtype == np.uint32 else numbers).update(_distinct(values))
    if listed:
        return _listed_key(listed, single)
    if colours:
        titles = {value: f"#{value:06X}" for value in sorted(colours - {0})}
        source.notice(
            "No list of classes, so classes are named after their colours; --classes FILE names them."
        )
        return _Key({}, titles, [ObjClass(title, "bitmap", title) for title in titles.values()], single)
    if numbers <= {0, _VOID} and palette is None:
        return _Key(None, {}, [], single)
    source.notice("No list of classes, so classes are named after their numbers; --classes FILE names them.")
    return _Key({value: f"class {value}" for value in range(1, 1 << 16)}, {}, [], single)


def _listed_key(listed: list[ListedClass], single: str) -> _Key:
    """The first in a list has the number 0; a list of colours alone, without black, begins with 1."""
    numbers = {number: one.title for number, one in enumerate(listed)}
    colours = {_value(one.rgb): one.title for one in listed if one.rgb is not None}
    classes = [
        ObjClass(one.title, "bitmap", f"#{_value(one.rgb):06X}" if one.rgb is not None else "")
        for one in listed
        if one.title.lower() not in _BACKGROUND
    ]
    return _Key(numbers, colours, classes, single)


def _listed(source: ImportSource, masks: Path) -> list[ListedClass]:
    if source.options.classes is not None:
        return classes_in(source.options.classes)
    for folder in (source.folder, masks, masks.parent):
        for name in _LISTS:
            if (folder / name).is_file():
                return classes_in(folder / name)
    return []


def _where(source: ImportSource) -> tuple[Path, Path]:
    """The folders of images and masks."""
    path = source.folder
    if source.options.images is not None:
        masks = next((path / name for name in _MASK_FOLDERS if (path / name).is_dir()), path)
        return source.options.images, masks
    found = _folders(path)
    if found is None:
        raise InputError(
            f"{path} has no folders `images` and `masks`; name the folder of masks, and that of images with "
            "--images."
        )
    return found


def _folders(path: Path) -> tuple[Path, Path] | None:
    images = next((path / name for name in _IMAGE_FOLDERS if (path / name).is_dir()), None)
    masks = next((path / n for n in _MASK_FOLDERS if (path / n).is_dir() and _pictures(path / n)), None)
    return (images, masks) if images is not None and masks is not None else None


def _pictures(folder: Path) -> bool:
    return next(files_below(folder, EXTENSIONS), None) is not None


def _by_stem(masks: Path) -> dict[str, list[Path]]:
    """The masks by their names, with ending and without."""
    found: dict[str, list[Path]] = {}
    for path in images_below(masks):
        inside = path.parent.relative_to(masks).as_posix()
        found.setdefault(f"{inside}/{path.stem}", []).append(path)
        found[f"{inside}/{path.name}"] = [path]
    return found


def _value(rgb: Rgb) -> int:
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A mask's values (height, width), and its palette (N, 3) of RGB, if it has one.

    Numbers are uint8 or uint16; colours are uint32, ``0xRRGGBB``.  A JPEG's grey is rounded to 0 or 255.

    Raises:
        DataProblem: it cannot be read, or is a JPEG with colours, which are not exact.
    """
    content = read_bytes(path)
    palette = None
    grey = b""
    if content.startswith(PNG_SIGNATURE) and content[25:26] == b"\x03":
        try:
            grey, palette = _as_grey(content)
        except (ValueError, IndexError):
            raise DataProblem(path, "", "is a damaged PNG", "copy it again from where it came") from None
    problem = why_not_decodable(content, _PIXELS_PER_BYTE)
    if problem:
        raise DataProblem(path, "", problem, "copy it again from where it came")
    values = imdecode(grey or content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DataProblem(path, "", "is not a picture that can be read", "convert it to PNG")
    if palette is not None:
        return values // (255 // ((1 << content[24]) - 1)), palette
    lossy = content.startswith(b"\xff\xd8")
    if values.ndim == 2:
        return (np.where(values > 127, 255, 0).astype(np.uint8) if lossy else values), None
    if lossy:
        raise DataProblem(path, "", "is a JPEG, whose colours are not exact", "save the masks as PNG")
    parts = values[:, :, :3].astype(np.uint32)
    if values.dtype == np.uint16:
        parts >>= 8
    blue, green, red = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
    if (blue == green).all() and (green == red).all():
        return red.astype(np.uint8), None  # grey in three channels
    return red << 16 | green << 8 | blue, None


def write_mask(values: np.ndarray, palette: np.ndarray) -> bytes:
    """A PNG of numbers (height, width): with a palette uint8 (N, 3) for uint8, grey for uint16."""
    if values.dtype != np.uint8:
        return bytes(cv2.imencode(".png", values)[1])
    height, width = values.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = values
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x03\0\0\0"
    png = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    return png + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def _as_grey(png: bytes) -> tuple[bytes, np.ndarray]:
    """The same picture with its numbers as shades of grey, and the palette."""
    header = bytearray(png[16:29])
    header[9] = 0  # grey
    out, palette = [PNG_SIGNATURE, chunk(b"IHDR", bytes(header))], None
    for kind, content in _chunks(png):
        if kind == b"PLTE":
            palette = np.frombuffer(content, np.uint8).reshape(-1, 3)
        elif kind in (b"IDAT", b"IEND"):
            out.append(chunk(kind, content))
    if palette is None or png[24] not in (1, 2, 4, 8):
        raise ValueError("no palette, or no such depth")
    return b"".join(out), palette


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 8 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
