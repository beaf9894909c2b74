"""Where images and their masks lie, which mask belongs to which image, and which file lists the classes.

Known are a folder of images beside one of masks (`images` and `masks`, `imgs` and `masks`, `train` and
`train_masks`, nnU-Net's `imagesTr` and `labelsTr`, Cityscapes' `leftImg8bit` and `gtFine`, …), at any of the
first levels; a folder of masks alone, with the images elsewhere; and masks beside their images.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ravenml.common.parsing import ParseError, parse_json
from ravenml.data.formats.base import ImportSource
from ravenml.data.formats.class_list import ListedClass, classes_in
from ravenml.data.formats.image_finder import files_below, images_below
from ravenml.data.images import EXTENSIONS, UNREAD_EXTENSIONS, read_bytes
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

BACKGROUND_TITLES = ("background", "__bg__", "bg", "_background_")
_IMAGE_WORDS = r"images?|imgs?|jpegimages|leftimg8bit|inputs?|rgb|photos?|pictures?|originals?|sat"
_MASK_WORDS = (
    r"masks?|segmentationclass|segmentations?|segs?|labels?|annotations?|annots?|anns?|gt|gtfine|gtcoarse|"
    r"ground[_-]?truths?|targets?|trimaps?|mattes?"
)
_NAMED = "classes.txt", "labelmap.txt", "class_names.txt", "label_colors.txt", "classes.json"
_NNUNET = "dataset.json"
_NNUNET_FOLDERS = re.compile(r"(images|labels)(tr|ts)", re.IGNORECASE)
# What a name has before or behind what an image and its mask share.
_IMAGE_AFFIX = re.compile(rf"^(?:{_IMAGE_WORDS})[_.-]|[_.-](?:{_IMAGE_WORDS}|0000)$", re.IGNORECASE)
_MASK_AFFIX = re.compile(
    rf"^(?:{_MASK_WORDS})[_.-]|"
    rf"[_. -](?:{_MASK_WORDS}|l|p|(?:gt(?:fine|coarse)_)?label(?:train)?ids)$",
    re.IGNORECASE,
)
_NOT_CLASSES = re.compile(r"_gt(?:Fine|Coarse)_(?:color|instanceIds|instanceTrainIds)$")  # of Cityscapes
_LEVELS = 3  # of folders in which pairs are looked for
_LOOKED_FOR = (
    "a folder of images beside one of masks (images/ and masks/, imgs/ and masks/, train/ and train_masks/, "
    "imagesTr/ and labelsTr/, …), nor are there masks beside their images (a.png and a_mask.png)"
)


@dataclass(frozen=True)
class MaskFolders:
    """A folder of images and that of their masks, which may be the same one.

    Attributes:
        dataset: what its images' datasets begin with; may be empty.
    """

    images: Path
    masks: Path
    dataset: str = ""

    @cached_property
    def image_files(self) -> list[Path]:
        """The images, sorted."""
        found = images_below(self.images)
        if self.images == self.masks:
            masks = _masks_among(found)
            return [path for path in found if path not in masks]
        if self.masks.is_relative_to(self.images):
            return [path for path in found if not path.is_relative_to(self.masks)]
        return found

    @cached_property
    def mask_files(self) -> list[Path]:
        """The masks, sorted."""
        found = list(files_below(self.masks, EXTENSIONS | UNREAD_EXTENSIONS))
        if self.images == self.masks:
            return sorted(_masks_among(found))
        return [path for path in found if not _NOT_CLASSES.search(path.stem)]


def find_folders(source: ImportSource) -> list[MaskFolders]:
    """The folders of images and masks that an import is about.

    Raises:
        InputError: there are none; says what was looked for.
    """
    path = source.folder
    if source.options.images is not None:
        pairs = pairs_below(path, _LEVELS)
        masks = pairs[0].masks if len(pairs) == 1 else _only_mask_folder(path) or path
        return [MaskFolders(source.options.images, masks)]
    found = pairs_below(path, _LEVELS)
    if not found and _has_masks_beside(path):
        found = [MaskFolders(path, path)]
    if not found:
        raise InputError(
            f"{path} has no masks that were found: it has neither {_LOOKED_FOR}; name the folder of masks, "
            "and that of images with --images."
        )
    return found


def pairs_below(path: Path, levels: int) -> list[MaskFolders]:
    """Every folder of images with its folder of masks, in the order of their names."""
    found = list(_pairs(path, path, levels))
    if len(found) == 1:
        return [MaskFolders(found[0].images, found[0].masks)]
    return found


def _pairs(root: Path, folder: Path, levels: int) -> Iterator[MaskFolders]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return
    names = [name for name in names if not name.startswith(".")]
    images: dict[str, list[str]] = {}
    masks: dict[str, list[str]] = {}
    for name in names:
        role, rest = _role(name)
        (masks if role == "masks" else images).setdefault(rest, []).append(name)
    used: set[str] = set()
    for rest, of_masks in masks.items():
        mask = next((name for name in of_masks if _holds_pictures(folder / name)), None)
        image = next(
            (name for name in _by_role(images.get(rest, [])) if _holds_pictures(folder / name)), None
        )
        if mask is None or image is None:
            continue
        used |= {mask, image}
        inside = [*folder.relative_to(root).parts, *([rest] if rest else [])]
        yield MaskFolders(folder / image, folder / mask, "/".join(inside))
    if levels > 1 and not used:
        for name in names:
            yield from _pairs(root, folder / name, levels - 1)


def _by_role(names: list[str]) -> list[str]:
    """Folders that are called after images first."""
    return sorted(names, key=lambda name: _role(name)[0] != "images")


def _role(name: str) -> tuple[str, str]:
    """What a folder is called after (``images``, ``masks`` or nothing), and the rest of its name."""
    plain = name.lower()
    if nnunet := _NNUNET_FOLDERS.fullmatch(plain):
        return ("images" if nnunet[1] == "images" else "masks"), "test" if nnunet[2] == "ts" else ""
    for role, words in (("masks", _MASK_WORDS), ("images", _IMAGE_WORDS)):
        if re.fullmatch(words, plain):
            return role, ""
        short = re.sub(rf"^(?:{words})[_. -]|[_. -](?:{words})$", "", plain)
        if short != plain:
            return role, short
    if plain.endswith("annot"):  # CamVid's trainannot
        return "masks", plain.removesuffix("annot")
    return "", plain


def _holds_pictures(folder: Path) -> bool:
    return next(files_below(folder, EXTENSIONS | UNREAD_EXTENSIONS), None) is not None


def _only_mask_folder(path: Path) -> Path | None:
    """The folder in ``path`` that is called after masks, where the images are elsewhere."""
    found = [
        child
        for child in sorted(path.iterdir())
        if child.is_dir() and _role(child.name) == ("masks", "") and _holds_pictures(child)
    ]
    return found[0] if found else None


def _has_masks_beside(folder: Path) -> bool:
    """Whether at least a third of a folder's pictures are masks of others beside them."""
    found = images_below(folder)
    return bool(found) and 3 * len(_masks_among(found)) >= len(found)


def _masks_among(paths: list[Path]) -> set[Path]:
    """Those of some pictures that are called like another beside them, and after masks."""
    there = {path.parent / path.stem for path in paths}
    cores = {
        path.parent / _core(path.stem, _IMAGE_AFFIX) for path in paths if not _MASK_AFFIX.search(path.stem)
    }
    found = set()
    for path in paths:
        short = path.parent / _core(path.stem, _MASK_AFFIX)
        if short.name != path.stem and (short in there or short in cores):
            found.add(path)
    return found


def _core(stem: str, affix: re.Pattern[str]) -> str:
    """A name without what it has before and behind it, unless nothing else would stay."""
    short = affix.sub("", stem)
    return short or stem


class MaskNames:
    """Finds an image's mask: by its very name first, then without what is written before or behind it."""

    def __init__(self, folders: MaskFolders) -> None:
        self._folders = folders
        self._image_folders = {_inside(folders.images, path) for path in folders.image_files} - {"."}
        self._mask_folders = {_inside(folders.masks, path) for path in folders.mask_files}
        self._levels: list[dict[str, list[Path]]] = [{} for _ in range(4)]
        for path in folders.mask_files:
            inside = _inside(folders.masks, path)
            core = _core(path.stem, _MASK_AFFIX)
            for level, key in enumerate(
                (f"{inside}/{path.name}", f"{inside}/{path.stem}", f"{inside}/{core}", core)
            ):
                self._levels[level].setdefault(key, []).append(path)
        self.unused = set(folders.mask_files)

    def of(self, image: Path) -> list[Path]:
        """The masks that an image may have; more than one where it is not clear which is meant."""
        inside = _inside(self._folders.images, image)
        core = _core(image.stem, _IMAGE_AFFIX)
        exact, by_stem, by_core, anywhere = self._levels
        for level, key in (
            (exact, f"{inside}/{image.name}"),
            (by_stem, f"{inside}/{image.name}"),
            (by_stem, f"{inside}/{image.stem}"),
            (by_core, f"{inside}/{image.stem}"),
            (by_stem, f"{inside}/{core}"),
            (by_core, f"{inside}/{core}"),
        ):
            if key in level:
                return self._used([path for path in level[key] if path != image])
        if inside in self._mask_folders:
            return []  # the mask of that name in another folder is another image's
        for key in (image.stem, core):
            if found := [path for path in anywhere.get(key, []) if path != image and self._is_free(path)]:
                return self._used(found)
        return []

    def _used(self, found: list[Path]) -> list[Path]:
        self.unused.difference_update(found)
        return _preferred(found)

    def _is_free(self, mask: Path) -> bool:
        """Whether a mask is in a folder that no images are in, so that it may belong to those of another."""
        return _inside(self._folders.masks, mask) not in self._image_folders

    @staticmethod
    def examples(image: Path) -> str:
        """The names that a mask of an image could have."""
        core = _core(image.stem, _IMAGE_AFFIX)
        return f"{core}.png, {core}_mask.png or mask_{core}.png"


def _inside(top: Path, path: Path) -> str:
    """The folders between ``top`` and a file, ``.`` where there are none."""
    return path.parent.relative_to(top).as_posix()


def _preferred(found: list[Path]) -> list[Path]:
    """Of Cityscapes' two kinds of numbers, those of all classes."""
    whole = [path for path in found if not path.stem.endswith("_labelTrainIds")]
    return whole or found


@dataclass(frozen=True)
class ClassFile:
    """A list of classes: the file, and its classes in the order of their numbers."""

    path: Path
    classes: list[ListedClass]


def listed_classes(source: ImportSource, folders: MaskFolders) -> ClassFile | None:
    """The list of classes that the user named, or that lies beside the masks.

    Raises:
        DataProblem: it lists none.
    """
    if source.options.classes is not None:
        return ClassFile(source.options.classes, _classes_in(source.options.classes))
    for folder in dict.fromkeys((source.folder, folders.masks, folders.masks.parent)):
        for name in (*_NAMED, _NNUNET):
            if (folder / name).is_file():
                classes = _classes_in(folder / name)
                if classes:
                    return ClassFile(folder / name, classes)
    return None


def _classes_in(path: Path) -> list[ListedClass]:
    if path.name != _NNUNET:
        return classes_in(path)
    return _nnunet_classes(path)


def _nnunet_classes(path: Path) -> list[ListedClass]:
    """The classes of nnU-Net's `dataset.json`: numbers by name, in its first version names by number.

    A file without ``labels`` is another program's, and lists nothing.
    """
    try:
        content = parse_json(read_bytes(path), str(path))
    except ParseError:
        return []
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        return []
    named: dict[int, str] = {}
    for key, value in labels.items():
        if isinstance(value, str) and key.isdecimal():
            key, value = value, int(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 16:
            problem = f"is not a class's number ({value!r}); classes of several numbers are not read"
            raise DataProblem(
                path, f"labels.{key}", problem, "name a list of the single classes with --classes"
            )
        # nnU-Net's "ignore" is what is not annotated.
        named[int(value)] = BACKGROUND_TITLES[0] if key.lower() == "ignore" else key
    return [
        ListedClass(named.get(number, f"class {number}"), None)
        for number in range(max(named, default=-1) + 1)
    ]
