"""YOLO as Ultralytics has it (https://docs.ultralytics.com/datasets): a text of boxes or outlines per image.

A line is ``class x y width height`` or ``class x1 y1 x2 y2 x3 y3 …``, in shares of the image's sides.
`data.yaml` names the classes, and the images that train and validate: a folder, or a list in a text file.
Exports have `images/<dataset>/`, `labels/<dataset>/`, and `train.txt`, `val.txt` and `test.txt` if tags name
the splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ravenml.data.formats.base import SPLITS, Format, ImportSource, LeftOut, Record
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import (
    IMAGE_FOLDERS,
    files_below,
    folder_of,
    folders_in,
    split_of,
)
from ravenml.data.formats.yolo_dataset import (
    DESCRIPTIONS,
    YoloDataset,
    describes,
    description_of,
)
from ravenml.data.formats.yolo_labels import LABELS, LabelLines, LabelTexts, count_labels, label_line
from ravenml.data.images import unread_kind
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.data.split import TRAIN, VAL
from ravenml.errors import InputError

_IMAGES = "images"


class Yolo(Format):
    """Reads and writes boxes and segments."""

    title = "YOLO, boxes and segments (Ultralytics, Darknet)"
    sign = "a data.yaml with names, or folders of images and of labels"
    holds = frozenset({"polygon", "rectangle", "unused classes"}) | SPLITS

    def recognises(self, path: Path) -> bool:
        if path.is_file():
            return path.suffix.lower() in DESCRIPTIONS and describes(path)
        return description_of(path) is not None or _label_folder_in(path)

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        dataset = YoloDataset(source)
        source.total = len(dataset.images)
        source.classes = [ObjClass(title, "any", "") for title in dataset.titles]
        yield from _Reader(source, dataset).records()

    def write(self, export: Export) -> None:
        import yaml

        numbers = {one.title: number for number, one in enumerate(export.classes)}

        def one(image: ExportedImage) -> tuple[str, str | None]:
            item = image.item
            name = f"{_IMAGES}/{item.dataset}/{export.file_name(item)}"
            export.place(item, export.target / name)
            lines = [label_line(numbers[thing.title], thing.geometry, image.size) for thing in image.objects]
            text = export.target / LABELS / item.dataset / f"{export.stem(item)}.txt"
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
    """Makes the records of a dataset's images."""

    def __init__(self, source: ImportSource, dataset: YoloDataset) -> None:
        self.source, self.dataset = source, dataset
        self.notice = cache(source.notice)  # tells each thing once
        # What another folder's images are called is not looked for where the dataset says its path.
        self.texts = LabelTexts(dataset.folder if source.options.images else dataset.root, dataset.root)
        self._shared: dict[Path, Path] = {}

    def records(self) -> Iterator[Record | LeftOut | DataProblem]:
        images = self.dataset.images
        texts = [self.texts.of(image) for image in images]
        without = [image for image, text in zip(images, texts, strict=True) if text is None]
        unread = [(image, self.texts.of(image)) for image in self.dataset.unread]
        unused = list(self.texts.unused())
        if len(without) == len(images):
            other = f"; {unused[0][0]} is of another image" if unused else ""
            raise InputError(
                f"No image below {self.dataset.root} has labels: {without[0].stem}.txt is neither beside "
                f"{without[0]} nor in a folder `labels`{other}. Put the labels there."
            )
        for image, text in zip(images, texts, strict=True):
            yield self._record(image, text)
        if without:
            what = (
                "1 image has no text of labels, and is"
                if len(without) == 1
                else (f"{len(without)} images have no text of labels, and are")
            )
            self.source.notice(f"{what} imported without objects, such as {without[0]}.")
        for image, text in unread:
            count = count_labels(text) if text is not None else 0
            yield LeftOut(unread_kind(image), count, images=1)
        for text, count in unused:
            problem = DataProblem(text, "", "its image is not there", "put it back, or remove this file")
            yield LeftOut(problem, count, images=1)

    def _record(self, image: Path, text: Path | None) -> Record:
        if text is None:
            return Record(image, self._folder(image), (), self.dataset.tags_of(image))
        first = self._shared.setdefault(text, image)
        if first is not image:
            self.source.notice(f"{first} and {image} have the same text of labels, {text.name}.")
        lines = LabelLines(text, self.dataset.titles, self.dataset.keypoints, self.notice)
        return Record(image, self._folder(image), lines, self.dataset.tags_of(image), file=text)

    def _folder(self, image: Path) -> str:
        """The image's folder, without `images`, wherever that is, and without its split if more is left."""
        root = self.dataset.root
        kept = list(image.parent.relative_to(root).parts)
        folders = [at for at, part in enumerate(kept) if part.lower() in IMAGE_FOLDERS]
        if folders:
            del kept[folders[0]]
        if len(kept) > 1 and split_of(kept[0]):
            kept = kept[1:]
        return folder_of(root / "/".join(kept) / image.name, root, root.resolve().name)


def _label_folder_in(path: Path) -> bool:
    """Whether there is a folder of labels at the top, or in a folder there, with a text."""
    tops = [path, *folders_in(path)]
    labels = (one for top in tops for one in folders_in(top) if one.name.lower() == LABELS)
    return any(next(files_below(folder, frozenset({".txt"})), None) is not None for folder in labels)
