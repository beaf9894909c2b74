"""A folder of images and a folder of masks of the same names: numbers, colours, or black and white.

A mask is a picture whose pixels say their class: by number (grey, or the index into a palette), by colour,
or as 0 and 255.  0 and black are background unless a list of classes has something else there; 255 among
numbers means "not annotated", and is background too.
Exports have `images/<dataset>/`, `masks/<dataset>/`, and `classes.txt`: names and colours by number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ravenml.data.bitmap import trim
from ravenml.data.classes import BACKGROUND
from ravenml.data.editable_annotation import Label
from ravenml.data.formats.base import Format, ImportSource, Labels, LeftOut, Record
from ravenml.data.formats.class_list import Rgb
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import dataset_name, folder_of, split_tags
from ravenml.data.formats.mask_layout import (
    BACKGROUND_TITLES,
    ClassFile,
    MaskFolders,
    MaskNames,
    find_folders,
    listed_classes,
    pairs_below,
)
from ravenml.data.formats.mask_values import (
    distinct,
    hardened,
    has_soft_edges,
    nearest,
    read_mask,
    resized,
    write_mask,
)
from ravenml.data.geometry import Bitmap, Line, Point, Size
from ravenml.data.images import read_header, turned
from ravenml.data.masks import draw, mask_type
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, Notice
from ravenml.errors import InputError

_IMAGES, _MASKS, _CLASSES = "images", "masks", "classes.txt"
_LOOKED_AT = 20  # masks, to tell what kind they are
_VOID = 255
_GREY = 0x010101  # times a shade is its colour
_DEFAULT = "object"
_FEW_COLOURS = 64  # with more, the rare ones are those of soft edges
_SMALL_SHARE = 0.005  # of a mask


class Masks(Format):
    """Reads and writes masks; each class of an image is one bitmap."""

    title = "image folder and mask folder (PNG)"
    sign = "a folder of images and one of masks of the same names"
    holds = frozenset({"bitmap", "colours", "unused classes"})

    def recognises(self, path: Path) -> bool:
        return path.is_dir() and bool(pairs_below(path, 2))

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        found = [(folders, MaskNames(folders)) for folders in find_folders(source)]
        source.total = sum(len(folders.image_files) for folders, _ in found)
        if not source.total:
            where = found[0][0].images
            raise InputError(f"There is no image below {where}; name the images' folder with --images.")
        masks = [mask for folders, _ in found for mask in folders.mask_files]
        key = _key(source, masks[:: max(len(masks) // _LOOKED_AT, 1)], found[0][0])
        source.classes = key.classes
        for folders, names in found:
            yield from _records(source, folders, names, key)
            if names.unused:
                first, more = min(names.unused), len(names.unused) - 1
                others = f" and {more:,} more" if more else ""
                source.notice(f"{first}{others} belongs to no image, and is not used.")

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


def _records(
    source: ImportSource, folders: MaskFolders, names: MaskNames, key: _Key
) -> Iterator[Record | DataProblem]:
    shared: dict[Path, Path] = {}
    for path in folders.image_files:
        same = names.of(path)
        if not same:
            problem = f"has no mask below {folders.masks}, such as {names.examples(path)}"
            yield DataProblem(path, "", problem, "put it there, or remove the image")
            continue
        if len(same) > 1:
            problem = f"may have the mask {same[0].name} or {same[1].name}"
            yield DataProblem(path, "", problem, "remove one of them")
            continue
        (mask,) = same
        if mask in shared:
            source.notice(f"{shared[mask]} and {path} have the same mask, {mask.name}.")
        shared[mask] = path
        dataset = folder_of(path, folders.images, folders.dataset or source.folder.name)
        if folders.dataset and path.parent != folders.images:
            dataset = dataset_name(f"{folders.dataset}/{dataset}")
        parts = reversed(dataset.split("/"))
        tags = next((tags for part in parts if (tags := split_tags(part))), [])
        yield Record(path, dataset, _Objects(path, mask, key), tags, file=mask)


@dataclass(frozen=True)
class _Key:
    """What the masks' values mean.

    Attributes:
        titles: classes by number; None where black and white mean one class.
        colours: classes by colour, ``0xRRGGBB``.
        classes: all classes.
        single: the class of what is white.
        resize: whether masks of another size are brought to their image's.
        notices: tells each sentence once.
    """

    titles: dict[int, str] | None
    colours: dict[int, str]
    classes: list[ObjClass]
    single: str
    resize: bool
    notices: _Once


class _Once:
    """Tells each sentence once, with the first file that it is about; masks are read in several threads."""

    def __init__(self, notice: Notice) -> None:
        self._notice, self._told, self._lock = notice, set[str](), threading.Lock()

    def __call__(self, file: Path, text: str) -> None:
        with self._lock:
            if text in self._told:
                return
            self._told.add(text)
        self._notice(f"Some masks, such as {file}, {text}.")


@dataclass(frozen=True)
class _Objects:
    """Reads a mask when it is asked for: a bitmap for each class."""

    image: Path
    mask: Path
    key: _Key

    def __call__(self, size: Size) -> Labels:
        """The objects of an image of this size, (height, width).

        Raises:
            DataProblem: the mask is not usable; without it, the image would seem to be all background.
        """
        values = self._meant(self._fitted(read_mask(self.mask)[0], size))
        labels: list[Label | LeftOut] = []
        for value, title in self._classes_of(values):
            if isinstance(title, DataProblem):
                labels.append(LeftOut(title))
                continue
            labels.append(Label.make(title, Bitmap(*trim(values == value))))
        problem = next((one.problem for one in labels if isinstance(one, LeftOut)), None)
        if problem is not None and not any(isinstance(one, Label) for one in labels):
            raise problem
        return labels

    def _fitted(self, values: np.ndarray, size: Size) -> np.ndarray:
        """The mask in its image's size, turned as the image is."""
        if values.shape == size:
            return values
        header = read_header(self.image)
        if values.shape == header.stored:
            return turned(values, header.orientation)
        said, there = (f"{width}×{height}" for height, width in (values.shape, size))
        problem, fix = f"is {said}, but its image {there}", "put the right mask there"
        fitted = resized(values, size)
        if fitted is None or not self.key.resize:
            fix += ", or scale it to its image with --resize-annotations" if fitted is not None else ""
            raise DataProblem(self.mask, "", problem, fix)
        return fitted

    def _meant(self, values: np.ndarray) -> np.ndarray:
        """The values without soft edges, where they are those of a picture that was smoothed."""
        key = self.key
        if key.colours and key.titles is not None and values.dtype == np.uint8:
            there = set(distinct(values)) - {0}
            grey = all(value * _GREY in key.colours for value in there)
            if not key.titles or (grey and not there <= set(key.titles)):  # a class's colour is white or grey
                values = values.astype(np.uint32) * _GREY
        if values.dtype == np.uint32:
            if not key.colours or all(value in key.colours or not value for value in distinct(values)):
                return values
            hard = nearest(values, list(key.colours))
            if hard is None:
                return values
            key.notices(self.mask, "have colours between those of the classes; each pixel gets the nearest")
            return hard
        if key.titles is None and not set(distinct(values)) <= {0, _VOID} and has_soft_edges(values):
            key.notices(self.mask, "have soft edges; what is brighter than 127 is taken as the object")
            return hardened(values)
        return values

    def _classes_of(self, values: np.ndarray) -> Iterator[tuple[int, str | DataProblem]]:
        """The values that a mask has, and the class of each."""
        present = distinct(values)
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
        if not colours and _VOID in present and set(present) <= {0, _VOID} and _VOID not in titles:
            problem = "has no value but 0 and 255, which means that nothing was annotated"
            raise DataProblem(self.mask, "", problem, "write the classes' numbers into it, or list one class")
        for value in present:
            title = titles.get(value)
            if title is None and value and (colours or value != _VOID):
                said = f"the colour #{value:06X}" if colours else f"the value {value}"
                problem = f"has {said}, which is not a class"
                yield value, DataProblem(self.mask, "", problem, "add it to --classes")
            elif title is not None and title.lower() not in BACKGROUND_TITLES:
                yield value, title


def _key(source: ImportSource, sample: Sequence[Path], folders: MaskFolders) -> _Key:
    """What the values mean, by the list of classes and by what the first masks are like."""
    seen = _Sample()
    for path in sample:
        try:
            seen.add(*read_mask(path))
        except DataProblem:
            continue  # told when its image comes
    listed = listed_classes(source, folders)
    made = _listed_key(listed, seen) if listed is not None else _unlisted_key(source, seen)
    titles, colours, classes, single = made
    if listed is not None and titles is not None:
        _tell_of_zero(source, listed, seen)
    single = source.options.class_name or single
    resize = source.options.resize_annotations
    return _Key(titles, colours, classes, single, resize, _Once(source.notice))


@dataclass
class _Sample:
    """What some of the masks are like.

    Attributes:
        numbers: the values of those that are numbers.
        colours: the colours of the others, each with its largest share of a mask.
        zeros: how many of those that are numbers are 0 for the most part, less how many are not.
        palette: whether there is one.
        soft: how many have soft edges.
        hard: how many have other numbers than 0 and 255, and no soft edges.
    """

    numbers: set[int] = field(default_factory=set)
    colours: dict[int, float] = field(default_factory=dict)
    zeros: int = 0
    palette: bool = False
    soft: int = 0
    hard: int = 0

    def add(self, values: np.ndarray, palette: np.ndarray | None) -> None:
        self.palette |= palette is not None
        if values.dtype == np.uint32:
            found, counts = np.unique(values, return_counts=True)
            for value, count in zip(found.tolist(), counts.tolist(), strict=True):
                self.colours[value] = max(self.colours.get(value, 0), count / values.size)
            return
        numbers = set(distinct(values))
        self.numbers |= numbers
        self.zeros += 1 if 2 * np.count_nonzero(values) < values.size else -1
        if not numbers <= {0, _VOID}:
            soft = palette is None and has_soft_edges(values)
            self.soft, self.hard = self.soft + soft, self.hard + (not soft)

    @property
    def black_and_white(self) -> bool:
        return not self.palette and not self.hard and bool(self.numbers)


_Meaning = tuple[dict[int, str] | None, dict[int, str], list[ObjClass], str]


def _unlisted_key(source: ImportSource, seen: _Sample) -> _Meaning:
    single = source.options.class_name
    if seen.colours:
        colours = _main_colours(seen.colours) | {value * _GREY for value in seen.numbers}
        titles = {value: f"#{value:06X}" for value in sorted(colours - {0})}
        source.notice(
            "No list of classes, so classes are named after their colours; --classes FILE names them."
        )
        return {}, titles, [ObjClass(title, "bitmap", title) for title in titles.values()], single or _DEFAULT
    if seen.black_and_white or not seen.numbers:
        return None, {}, [], single or _DEFAULT
    classes = seen.numbers - {0, _VOID}
    if single and len(classes) == 1:
        return dict.fromkeys(classes, single), {}, [], single
    source.notice("No list of classes, so classes are named after their numbers; --classes FILE names them.")
    return {value: f"class {value}" for value in range(1, 1 << 16)}, {}, [], single or _DEFAULT


def _main_colours(shares: dict[int, float]) -> set[int]:
    """The colours of classes, without those that only smooth their edges; all where there are few."""
    if len(shares) <= _FEW_COLOURS:
        return set(shares)
    return {value for value, share in shares.items() if share >= _SMALL_SHARE} or set(shares)


def _listed_key(listed: ClassFile, seen: _Sample) -> _Meaning:
    """The first in a list has the number 0, whether it is background or not."""
    numbers = {number: one.title for number, one in enumerate(listed.classes)}
    colours = {_value(one.rgb): one.title for one in listed.classes if one.rgb is not None}
    classes = [
        ObjClass(one.title, "bitmap", f"#{_value(one.rgb):06X}" if one.rgb is not None else "")
        for one in listed.classes
        if one.title.lower() not in BACKGROUND_TITLES
    ]
    white = colours.get(0xFFFFFF) or (classes[0].title if len(classes) == 1 else None)
    if seen.black_and_white and _VOID in seen.numbers and _VOID not in numbers and white is not None:
        return None, colours, classes, white
    return numbers, colours, classes, _DEFAULT


def _tell_of_zero(source: ImportSource, listed: ClassFile, seen: _Sample) -> None:
    """Tell that 0 is a class where it looks like background, because the list does not begin with it."""
    first = listed.classes[0]
    if first.title.lower() in BACKGROUND_TITLES or first.rgb == (0, 0, 0):
        return
    if seen.zeros > 0 and seen.numbers - {_VOID} <= set(range(len(listed.classes))):
        source.notice(
            f'Most of the masks\' pixels are 0, which is "{first.title}", the first class in {listed.path}; '
            "if they are background, write that as the first line."
        )


def _value(rgb: Rgb) -> int:
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]
