"""YOLO as Ultralytics has it (https://docs.ultralytics.com/datasets): a text of boxes or outlines per image.

A line is ``class x y width height`` or ``class x1 y1 x2 y2 x3 y3 …``, in shares of the image's sides.
`data.yaml` names the classes, and the images that train and validate: a folder, or a list in a text file.
Exports have `images/<dataset>/`, `labels/<dataset>/`, and `train.txt`, `val.txt` and `test.txt` if tags name
the splits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from ravenml.common.formatting import shortened
from ravenml.common.parsing import ParseError, parse_yaml
from ravenml.common.reading import is_file, is_folder
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import SPLITS, Format, ImportSource, Labels, Record, make_label
from ravenml.data.formats.class_list import classes_in
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import folder_of, images_below, read_ends, split_of
from ravenml.data.geometry import AnyGeometry, Polygon, Rectangle, Size
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.images import read_bytes
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, from_parse_error
from ravenml.data.split import TRAIN, VAL
from ravenml.errors import InputError

_YAML = ("data.yaml", "data.yml", "dataset.yaml")
_LISTS = ("classes.txt", "obj.names", "classes.names", "labels.txt")
_IMAGES, _LABELS = "images", "labels"


class Yolo(Format):
    """Reads and writes boxes and segments."""

    title = "YOLO, boxes and segments (Ultralytics)"
    holds = frozenset({"polygon", "rectangle", "unused classes"}) | SPLITS

    def recognises(self, path: Path) -> bool:
        if path.is_file():
            return path.suffix in (".yaml", ".yml") and b"names" in read_ends(path, 1 << 16)
        if any((path / name).is_file() for name in _YAML):
            return True
        return any((path / n).is_dir() for n in (_LABELS, "train/labels")) and _has_texts(path)

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        yaml = _yaml(source.path)
        described = _load(yaml) if yaml is not None else {}
        titles = _titles(source, yaml, described)
        root = source.options.images or source.folder
        images = images_below(root)
        if not images:
            raise InputError(f"There is no image below {root}; name the images' folder with --images.")
        splits = _splits(described, yaml, root)
        source.total = len(images)
        source.classes = [ObjClass(title, "any", "") for title in titles]
        reader = _Reader(source, titles, splits, root)
        for image in images:
            yield reader.record(image)
        if reader.without:
            source.notice(
                f"{reader.without} images have no text of labels, and are imported without objects."
            )

    def write(self, export: Export) -> None:
        import yaml

        numbers = {one.title: number for number, one in enumerate(export.classes)}

        def one(image: ExportedImage) -> tuple[str, str | None]:
            item = image.item
            name = f"{_IMAGES}/{item.dataset}/{export.file_name(item)}"
            export.place(item, export.target / name)
            lines = [_line(numbers[thing.title], thing.geometry, image.size) for thing in image.objects]
            text = export.target / _LABELS / item.dataset / f"{export.stem(item)}.txt"
            export.write(text, "".join(lines).encode())
            return name, image.split

        sets: dict[str, list[str]] = {}
        untagged: list[str] = []
        for name, split in export.map(one):
            (untagged if split is None else sets.setdefault(split, [])).append(name)
        described: dict[str, object] = {"path": "."}
        if not sets:
            described |= {"train": _IMAGES, "val": _IMAGES}
        elif not sets.keys() & {TRAIN, VAL}:  # Ultralytics wants both, and neither may have the test images
            sets |= {TRAIN: untagged, VAL: untagged}
        for split, names in sets.items():
            described[split] = f"{split}.txt"
            export.write(export.target / f"{split}.txt", "".join(f"./{name}\n" for name in names).encode())
        described["names"] = dict(enumerate(numbers))
        content = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=1000)
        export.write(export.target / "data.yaml", content.encode())


class _Reader:
    def __init__(
        self, source: ImportSource, titles: list[str], splits: dict[str, set[Path]], root: Path
    ) -> None:
        self.source, self.titles, self.splits, self.root = source, titles, splits, root
        self.without = 0
        self._shared: dict[Path, Path] = {}

    def record(self, image: Path) -> Record:
        labels = self._labels_of(image)
        self.without += labels is None
        if labels is not None:
            first = self._shared.setdefault(labels, image)
            if first is not image:
                self.source.notice(f"{first} and {image} have the same text of labels, {labels.name}.")
        tags = [{"name": name} for name, images in self.splits.items() if image in images]
        read = _Lines(labels, self.titles) if labels is not None else ()
        return Record(image, self._dataset(image), read, tags, file=labels)

    def _dataset(self, image: Path) -> str:
        """The image's folder, without `images`, wherever that is, and without its split if more is left."""
        kept = list(image.parent.relative_to(self.root).parts)
        if _IMAGES in kept:
            kept.remove(_IMAGES)
        if len(kept) > 1 and split_of(kept[0]):
            kept = kept[1:]
        return folder_of(self.root / "/".join(kept) / image.name, self.root, self.root.resolve().name)

    def _labels_of(self, image: Path) -> Path | None:
        name = f"{image.stem}.txt"
        inside = image.parent.relative_to(self.root).parts
        places = [image.parent / name]
        if _IMAGES in inside:
            at = len(inside) - 1 - inside[::-1].index(_IMAGES)  # the last one, as Ultralytics has it
            other = Path(self.source.folder, *inside[:at], _LABELS, *inside[at + 1 :], name)
            places.insert(0, other)
        places += [Path(self.source.folder, _LABELS, *inside, name), self.source.folder / _LABELS / name]
        return next((place for place in places if is_file(place)), None)


_CLASS_NUMBER = re.compile(r"[0-9]{1,9}")


class _Lines:
    """Reads an image's text when it is asked for."""

    def __init__(self, path: Path, titles: list[str]) -> None:
        self.path, self.titles = path, titles

    def __call__(self, size: Size) -> Labels:
        for number, line in enumerate(read_bytes(self.path).decode("utf-8", "replace").splitlines(), 1):
            words = line.split()
            if not words:
                continue
            where = f"line {number}"
            word = words[0]
            if not (_CLASS_NUMBER.fullmatch(word) and int(word) < len(self.titles)):
                shown, count = shortened(repr(word), 40), len(self.titles)
                problem = f"{shown} is not a class: there are {count}, numbered from 0"
                yield DataProblem(
                    self.path, where, problem, "correct the number, or name the class in data.yaml"
                )
            else:
                title = self.titles[int(word)]
                yield make_label(self.path, where, title, partial(_shape, words[1:], size))


def _shape(words: list[str], size: Size) -> AnyGeometry:
    named = {str(at): word for at, word in enumerate(words)}
    values = geometry_parsing.numbers(named, *named)
    height, width = size
    if len(values) == 4:
        x, y, across, down = values
        if across <= 0 or down <= 0:
            raise InvalidGeometry("", "the box has no area")
        left, top = (x - across / 2) * width, (y - down / 2) * height
        return geometry_parsing.box(left, top, left + across * width, top + down * height)
    if len(values) < 6 or len(values) % 2:
        raise InvalidGeometry(
            "", f"has {len(values)} numbers behind the class: a box has 4, an outline at least 6"
        )
    corners = [[x * width, y * height] for x, y in zip(values[::2], values[1::2], strict=True)]
    return geometry_parsing.polygon(corners, "")


def _titles(source: ImportSource, yaml: Path | None, described: Mapping[str, object]) -> list[str]:
    """The classes by number: of `--classes`, data.yaml, or a list beside the labels."""
    if source.options.classes is not None:
        return [one.title for one in classes_in(source.options.classes)]
    names = described.get("names")
    if isinstance(names, list):
        return [str(name) for name in names]
    if isinstance(names, dict) and all(isinstance(number, int) and 0 <= number < 1 << 16 for number in names):
        return [str(names.get(number, f"class {number}")) for number in range(max(names, default=-1) + 1)]
    if names is not None:
        raise DataProblem(yaml or source.path, "names", "is not a list of classes", "write it as a list")
    for folder in (source.folder, source.folder / _LABELS, source.folder / "train" / _LABELS):
        for name in _LISTS:
            if (folder / name).is_file():
                return [one.title for one in classes_in(folder / name)]
    raise InputError(
        f"{source.path} has no data.yaml and no classes.txt; name a file with the classes with --classes, "
        "one per line."
    )


def _splits(described: Mapping[str, object], yaml: Path | None, root: Path) -> dict[str, set[Path]]:
    """The images that train and that validate; neither where both would be the same ones."""
    found: dict[str, set[Path]] = {}
    for split in ("train", "val"):
        given = described.get(split) or ()
        for entry in [given] if isinstance(given, str) else given if isinstance(given, list) else ():
            found.setdefault(split, set()).update(_listed(str(entry), described, yaml, root))
    if not found:
        for top in (root, root / _IMAGES):
            for folder in top.iterdir() if top.is_dir() else ():
                named = split_of(folder.name)
                if named and folder.is_dir():
                    found.setdefault(named, set()).update(images_below(folder))
    if found.get("train") == found.get("val"):
        return {}
    return {split: images for split, images in found.items() if images}


def _listed(entry: str, described: Mapping[str, object], yaml: Path | None, root: Path) -> set[Path]:
    """The images of a folder or a list that data.yaml names, as far as they are below ``root``."""
    parent = yaml.parent if yaml is not None else root
    above = parent / str(described.get("path") or ".")
    for place in (above / entry, parent / entry, parent / entry.removeprefix("../"), root / entry):
        place = Path(os.path.normpath(place))
        if not place.is_relative_to(root):
            continue
        if is_folder(place):
            return set(images_below(place))
        if is_file(place) and place.suffix == ".txt":
            names = (line.strip() for line in read_bytes(place).decode("utf-8", "replace").splitlines())
            return {Path(os.path.normpath(place.parent / name)) for name in names if name}
    return set()


def _yaml(path: Path) -> Path | None:
    if path.is_file():
        return path
    found = (path / name for name in _YAML if (path / name).is_file())
    return next(found, None) or next(iter(sorted(path.glob("*.y*ml"))), None)


def _load(path: Path) -> Mapping[str, object]:
    try:
        found = parse_yaml(read_bytes(path), str(path))
    except ParseError as error:
        raise from_parse_error(path, error, "correct it") from None
    return found if isinstance(found, dict) else {}


def _has_texts(path: Path) -> bool:
    folder = next((path / n for n in (_LABELS, "train/labels") if (path / n).is_dir()), path)
    return next(folder.rglob("*.txt"), None) is not None


def _line(number: int, geometry: AnyGeometry, size: Size) -> str:
    height, width = size
    if isinstance(geometry, Rectangle):
        left, top, right, bottom = geometry_parsing.edges(geometry)
        shares = [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ]
    else:
        assert isinstance(geometry, Polygon)
        shares = ((geometry.exterior + 0.5) / (width, height)).reshape(-1).tolist()
    return " ".join([str(number), *(f"{share:.9g}" for share in shares)]) + "\n"
