"""What a YOLO dataset says of itself: its classes, images and sets, and how many keypoints objects have.

It is said by Ultralytics' data.yaml or Darknet's obj.data, else by lists and by the names of folders.  Paths
in them were often written on another machine; a path means what its end names here, and never leads out of
the folder that is imported.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from ravenml.common.formatting import shortened
from ravenml.common.parsing import ParseError, parse_yaml
from ravenml.common.reading import is_file, is_folder
from ravenml.data.formats.base import ImportSource
from ravenml.data.formats.class_list import class_without_name, classes_in, titles_by_number
from ravenml.data.formats.image_finder import (
    IMAGE_FOLDERS,
    files_below,
    folders_in,
    images_below,
    names_in,
    read_ends,
    split_tags,
)
from ravenml.data.formats.text import read_lines
from ravenml.data.images import EXTENSIONS, read_bytes
from ravenml.data.problems import DataProblem, from_parse_error
from ravenml.errors import InputError

CLASS_LISTS = ("classes.txt", "obj.names", "classes.names", "labels.txt", "_darknet.labels")
DESCRIPTIONS = (".yaml", ".yml", ".data")
_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_SETS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_FIELD = re.compile(rb"""(?:^|[\r\n{,])\s*["']?(?:names|nc|train)["']?\s*[:=]""")
_MOST = 1 << 16  # classes
_MOST_KEYPOINTS = 1000
Sets = dict[str, set[Path]]


class YoloDataset:
    """A dataset below the folder that is imported.

    Args:
        source: what is imported; it is told what its description says in vain.

    Attributes:
        file: data.yaml or obj.data, if there is one.
        folder: the folder that the file describes.
        root: the folder below which the images are.
        images: the images, sorted.
        unread: the images of kinds that are not read, sorted.
        titles: the classes' names by number.
        keypoints: how many keypoints an object has, and how many numbers each has (2 or 3).
        sets: the images of `train`, `val` and `test`, as far as they are known.

    Raises:
        InputError: there are no images or no classes, or the description cannot be used (DataProblem).
    """

    def __init__(self, source: ImportSource) -> None:
        self._source = source
        self.file = description_of(source.path)
        self._fields = _read_description(self.file) if self.file is not None else {}
        self.folder = source.folder
        if self.file is not None and next(files_below(self.file.parent, EXTENSIONS), None) is not None:
            self.folder = self.file.parent
        self.titles = self._read_titles()
        self.keypoints = self._read_keypoints()
        self.root = source.options.images or self._read_root()
        found = images_below(self.root)
        self.images = [image for image in found if image.suffix.lower() in EXTENSIONS]
        self.unread = [image for image in found if image.suffix.lower() not in EXTENSIONS]
        if not self.images:
            raise InputError(f"There is no image below {self.root}; name the images' folder with --images.")
        self.sets = self._read_sets()

    def tags_of(self, image: Path) -> list[dict[str, str]]:
        """The tags of an image: the sets that it is in."""
        return [{"name": name} for name, images in self.sets.items() if image in images]

    def _read_titles(self) -> list[str]:
        options = self._source.options
        if options.classes is not None:
            return [one.title for one in classes_in(options.classes)]
        names = self._fields.get("names")
        if names and self.file is not None:
            titles = self._named(names, self.file)
            if twice := [title for title, count in Counter(titles).items() if count > 1]:
                named = shortened(", ".join(twice), 200)
                self._source.notice(
                    f"{self.file} gives a name to several classes, which become one: {named}."
                )
            count = self._number_of_classes()
            if count is not None and count != len(titles):
                self._source.notice(
                    f"{self.file} says that there are {count} classes, but names {len(titles)}; these count."
                )
            return titles
        listed = self._list_of_classes()
        if listed is not None:
            return [one.title for one in classes_in(listed)]
        count = self._number_of_classes()
        if count:
            self._source.notice(
                f"{self.file} says that there are {count} classes, but not their names; they are called "
                f"{class_without_name(0)}, {class_without_name(1)} …; name them with --classes."
            )
            return [class_without_name(number) for number in range(count)]
        if self.file is not None:
            raise DataProblem(
                self.file, "names", "is missing", "list the classes, or name a file with --classes"
            )
        raise InputError(
            f"{self._source.path} has no data.yaml and no classes.txt; name a file with the classes with "
            "--classes, one per line."
        )

    def _named(self, names: object, file: Path) -> list[str]:
        try:
            if not isinstance(names, str):
                return titles_by_number(names)
            if names.lstrip().startswith(("[", "{")):  # a list within quotes
                return titles_by_number(parse_yaml(names, str(file), scalars_as_text=True))
            listed = self._find(names, self.folder)
            if listed is not None and is_file(listed):
                return [one.title for one in classes_in(listed)]
            if "," not in names and PurePosixPath(names.replace("\\", "/")).suffix:
                problem = f"the file {names} is not there"
                raise DataProblem(file, "names", problem, "put it there, or write the names as a list")
            return titles_by_number(names.split(","))
        except ParseError as error:
            raise from_parse_error(file, error, "correct it") from None
        except ValueError as error:
            problem = f"is not a list of classes ({error})"
            raise DataProblem(file, "names", problem, "write it as a list") from None

    def _number_of_classes(self) -> int | None:
        for key in ("nc", "classes"):
            given = str(self._fields.get(key, "")).strip()
            if given.isascii() and given.isdecimal() and int(given[:9]) < _MOST:
                return int(given)
        return None

    def _list_of_classes(self) -> Path | None:
        """A list of classes at the top, or within a folder of labels."""
        folders = [self.folder, *folders_in(self.folder)]
        folders += [inner for folder in folders[1:] for inner in folders_in(folder)]
        for folder in folders:
            for name in CLASS_LISTS:
                if is_file(folder / name):
                    return folder / name
            if found := next(iter(sorted(folder.glob("*.names"))), None):
                return found
        return None

    def _read_keypoints(self) -> tuple[int, int] | None:
        given = self._fields.get("kpt_shape")
        if given in (None, "", []):
            return None
        words = given if isinstance(given, list) else str(given).strip("()[] ").split(",")
        try:
            count, numbers = (int(str(word)) for word in words)
        except ValueError:
            count = numbers = 0
        if not (0 < count <= _MOST_KEYPOINTS and numbers in (2, 3)):
            raise DataProblem(
                self.file or self.folder,
                "kpt_shape",
                "is not [number of keypoints, 2 or 3]",
                "correct it, or remove it if the objects have no keypoints",
            )
        self._source.notice(
            f"{self.file}: objects have keypoints (kpt_shape), which are not imported; their boxes are."
        )
        return count, numbers

    def _read_root(self) -> Path:
        given = str(self._fields.get("path") or "").strip()
        if not given:
            return self.folder
        found = self._find(given, self.folder)
        if found is not None and is_folder(found):
            return found
        if _parts(given)[-1:] not in ([], [self.folder.name]):
            self._source.notice(
                f"{self.file}: the path {given} is not below {self.folder}, whose images are taken instead."
            )
        return self.folder

    def _read_sets(self) -> Sets:
        """The images of each set.

        Folders that are called after a set decide where the description does not say it, or says it with
        paths that name no image here.
        """
        sets: Sets = {}
        missing: list[str] = []  # or without images
        for split, entries in self._entries().items():
            for entry in entries:
                place = self._find(entry, self.root, self.folder)
                images = self._images_at(place) if place is not None else set()
                if images or (place is not None and is_file(place)):
                    sets.setdefault(split, set()).update(images)
                else:
                    missing.append(entry)
        rest = [image for image in self.images if not any(image in images for images in sets.values())]
        train, val, test = (sets.get(split) for split in _SETS)
        if train == val:  # as in small examples; neither says anything then
            sets |= {split: set() for split, images in sets.items() if images == train}
        elif val and test == val:  # as Roboflow writes it without a test set
            sets["test"] = set()
            self._source.notice(
                f"{self.file or self.folder}: val and test are the same images, which get the tag val alone."
            )
        self._tell_overlaps(sets)
        by_folder: Sets = {}
        for image in rest:
            for tag in split_tags(image.parent.relative_to(self.root).as_posix()):
                if tag["name"] not in sets:
                    by_folder.setdefault(tag["name"], set()).add(image)
        if missing:
            shown = ", ".join(shortened(entry, 80) for entry in missing[:3])
            verb = "is" if len(missing) == 1 else "are"
            decide = f"; the folders' names decide on {' and '.join(by_folder)}" if by_folder else ""
            self._source.notice(
                f"{self.file or self.folder}: {shown} {verb} not below {self.folder}{decide}."
            )
        untagged = len(rest) - sum(map(len, by_folder.values()))
        if sets and untagged:
            what = "1 image is" if untagged == 1 else f"{untagged} images are"
            self._source.notice(f"{self.file or self.folder}: {what} in no set, and imported without a tag.")
        return {split: images for split, images in (sets | by_folder).items() if images}

    def _entries(self) -> dict[str, list[str]]:
        """The folders and lists of each set, as they are written, else the lists that are called after it."""
        found = {}
        for split, keys in _SETS.items():
            given = next((self._fields[key] for key in keys if self._fields.get(key)), None)
            entries = given if isinstance(given, list) else [given]
            found[split] = [one.strip() for one in entries if isinstance(one, str) and one.strip()]
        if not any(found.values()):
            for split, keys in _SETS.items():
                found[split] = [f"{key}.txt" for key in keys if is_file(self.folder / f"{key}.txt")]
        return found

    def _tell_overlaps(self, sets: Sets) -> None:
        names = list(sets)
        for one, other in ((a, b) for n, a in enumerate(names) for b in names[n + 1 :]):
            if common := sets[one] & sets[other]:
                what = "1 image is" if len(common) == 1 else f"{len(common)} images are"
                self._source.notice(
                    f"{self.file or self.folder}: {what} in both {one} and {other}, such as {min(common)}."
                )

    def _images_at(self, place: Path) -> set[Path]:
        """The images below a folder, or in a list of paths."""
        if is_folder(place):
            top = os.path.join(place, "")
            return {image for image in self.images if str(image).startswith(top)}
        found: set[Path] = set()
        missing: list[str] = []
        for line in read_lines(place):
            if entry := line.strip():
                image = self._listed_image(entry, place.parent)
                if image is None:
                    missing.append(entry)
                else:
                    found.add(image)
        if missing:
            what = "1 line names" if len(missing) == 1 else f"{len(missing)} lines name"
            self._source.notice(
                f"{place}: {what} no image below {self.root}, such as {shortened(missing[0], 80)}."
            )
        return found

    def _listed_image(self, entry: str, beside: Path) -> Path | None:
        """The image whose path ends most like the entry, with any ending; None where several do."""
        plain = entry.replace("\\", "/")
        for base in (beside, self.root):
            path = Path(os.path.normpath(base / plain))
            if path in self._all_images:
                return path
        wanted = _parts(plain)
        near = self._by_stem.get(PurePosixPath(plain).stem.lower(), [])
        ranked = sorted(((_in_common(image, wanted), image) for image in near), reverse=True)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            return None
        return ranked[0][1] if ranked else None

    @cached_property
    def _all_images(self) -> frozenset[Path]:
        return frozenset(self.images)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for image in self.images:
            found.setdefault(image.stem.lower(), []).append(image)
        return found

    def _find(self, entry: str, *bases: Path) -> Path | None:
        """The file or folder that a path means: itself, or what its end names below one of the bases."""
        plain = entry.strip().replace("\\", "/")
        places = (Path(os.path.normpath(base / plain)) for base in (*bases, self.folder))
        limits = (self._source.folder, *bases)
        for place in places:
            if any(place.is_relative_to(limit) for limit in limits) and (is_file(place) or is_folder(place)):
                return place
        parts = _parts(plain)
        for start in range(len(parts)):
            rest = parts[start:]
            if start and all(part.lower() in IMAGE_FOLDERS for part in rest):
                break  # `train/images` is not all images
            for base in dict.fromkeys(bases):
                if (found := _below(base, rest)) is not None:
                    return found
        return None


def description_of(path: Path) -> Path | None:
    """The file that describes the dataset at ``path``: this file itself, or one in the folder.

    Raises:
        InputError: the file is of another kind, or the folder holds several datasets.
    """
    if path.is_file():
        if path.suffix.lower() not in DESCRIPTIONS:
            raise InputError(f"{path} is not a data.yaml or obj.data; name that file, or the folder.")
        return path
    if found := _description_in(path):
        return found
    inner = [found for folder in folders_in(path) if (found := _description_in(folder)) is not None]
    if len(inner) > 1:
        raise InputError(
            f"{path} holds {len(inner)} datasets ({inner[0]}, {inner[1]}{', …' if len(inner) > 2 else ''}); "
            "import one at a time."
        )
    return inner[0] if inner else None


def _description_in(folder: Path) -> Path | None:
    for name in _YAML:
        if is_file(folder / name):
            return folder / name
    files = [folder / name for name in names_in(folder) if is_file(folder / name)]
    for path in files:
        if path.suffix in (".yaml", ".yml") and describes(path):
            return path
    return next((path for path in files if path.suffix == ".data" and describes(path)), None)


def describes(path: Path) -> bool:
    """Whether a file looks like a description of a dataset: it has one of its fields."""
    return _FIELD.search(read_ends(path, 1 << 16).replace(b"\0", b"")) is not None


def _read_description(path: Path) -> Mapping[str, object]:
    if path.suffix == ".data":
        pairs = (line.partition("=") for line in read_lines(path) if not line.lstrip().startswith("#"))
        return {key.strip(): value.strip() for key, equals, value in pairs if equals}
    try:
        found = parse_yaml(read_bytes(path), str(path), scalars_as_text=True)
    except ParseError as error:
        raise from_parse_error(path, error, "correct it") from None
    if not isinstance(found, dict | None):
        raise DataProblem(path, "", "is not a mapping", "write fields such as `names: [car, bus]`")
    return found if isinstance(found, dict) else {}


def _parts(path: str) -> list[str]:
    """A path's parts without what leads nowhere here: the root, a drive, dots."""
    parts = path.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..") and not part.endswith(":")]


def _below(folder: Path, parts: Iterable[str]) -> Path | None:
    """What is at these parts below a folder, in upper or lower case."""
    place = folder
    for part in parts:
        if is_folder(place / part) or is_file(place / part):
            place = place / part
            continue
        alike = [name for name in names_in(place) if name.lower() == part.lower()]
        if len(alike) != 1:
            return None
        place = place / alike[0]
    return place


def _in_common(image: Path, parts: list[str]) -> tuple[bool, int]:
    """How much a path's end is like the parts: whether the names are equal, and how many folders are."""
    count = 0
    for one, other in zip(reversed(image.parent.parts), reversed(parts[:-1]), strict=False):
        if one.lower() != other.lower():
            break
        count += 1
    return image.name.lower() == parts[-1].lower(), count
