"""The project that an inference writes, and what lies beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject, atomic_open, read_json, write_bytes, write_json
from ravenml.data.editable_annotation import EditableAnnotation
from ravenml.data.images import encode_png
from ravenml.data.meta import ObjClass
from ravenml.data.writing import ProjectWriter, dataset_folder
from ravenml.errors import InputError
from ravenml.infer.drawing import draw_mask, draw_overlay
from ravenml.infer.inputs import InputImage
from ravenml.infer.modes.interface import ModeResult

RECORD = "infer.json"
SCHEMA = 1
MASKS, OVERLAYS, PROBABILITIES = "masks", "overlays", "probabilities"
SAVED = (MASKS, OVERLAYS, PROBABILITIES)
_SUFFIX = {MASKS: ".png", OVERLAYS: ".png", PROBABILITIES: ".npy"}


class Output:
    """The folder ``--out``.

    Args:
        root: the folder.
        saved: which of masks, overlays and probabilities are written.
        link: link the images symbolically instead of copying them.
    """

    def __init__(self, root: Path, saved: Sequence[str] = (), link: bool = False) -> None:
        self.root, self.saved, self.link = root, tuple(saved), link
        self.writer = ProjectWriter(root)
        self.classes: list[ObjClass] = []

    def begin(self, request: Mapping[str, object], overwrite: bool) -> None:
        """Claim the folder for what is asked for; one that was made by the same request is resumed.

        Raises:
            InputError: something else lies there.
        """
        record = self.root / RECORD
        if record.is_file() and not overwrite:
            before = read_json(record)
            before = before.get("request") if isinstance(before, dict) else None
            changed = sorted(name for name in request if (before or {}).get(name) != request[name])
            if changed:
                raise InputError(
                    f"{self.root} holds the results of other settings ({', '.join(changed)} differ); name a "
                    "new folder with --out, or say --overwrite."
                )
        elif self.root.is_file() or (
            not record.is_file() and self.root.is_dir() and any(self.root.iterdir())
        ):
            raise InputError(f"{self.root} is not empty, and no results of `raven infer`; name a new folder.")

    def forget(self, pictures: Sequence[InputImage]) -> None:
        """Remove all annotations, so that their results count as missing, and what else is there of images
        that are not among ``pictures``.
        """
        stay = {self.writer.item(one.dataset, one.name).annotation_path for one in pictures}
        for annotation in [*self.root.rglob("ann/*.json")]:
            annotation.unlink(missing_ok=True)
            if annotation in stay:
                continue
            dataset, name = annotation.parent.parent, annotation.name.removesuffix(".json")
            for kind, suffix in {"img": "", **_SUFFIX}.items():
                (dataset / kind / f"{name}{suffix}").unlink(missing_ok=True)
            for folder in (*(dataset / kind for kind in ("img", "ann", *_SUFFIX)), dataset):
                with suppress(OSError):  # it holds more
                    folder.rmdir()

    def describe(
        self,
        request: Mapping[str, object],
        mode: Mapping[str, object],
        classes: Sequence[ObjClass],
        meta: JsonObject,
        engine: str = "torch",
    ) -> None:
        """Write `meta.json`, and what the results mean.

        Args:
            request: what was asked for.
            mode: the mode's config with every default.
            classes: the results' classes; masks number them from 1.
            meta: the content of `meta.json`.
            engine: what computes the network.
        """
        self.classes = list(classes)
        titles = {one.title: index + 1 for index, one in enumerate(classes)}
        self.writer.write_meta(meta)
        record = {
            "v": SCHEMA,
            "request": dict(request),
            "mode": dict(mode),
            "masks": titles,
            "engine": engine,
        }
        write_json(self.root / RECORD, record)

    def is_done(self, picture: InputImage) -> bool:
        """Whether an image's results are there, and newer than what they were made from."""
        item = self.writer.item(picture.dataset, picture.name)
        wanted = [self.place(picture, kind) for kind in self.saved]
        if not all(path.is_file() for path in (item.annotation_path, item.image_path, *wanted)):
            return False
        made = item.annotation_path.stat().st_mtime
        sources = [path for path in (picture.image_path, picture.annotation_path) if path is not None]
        return all(not path.exists() or path.stat().st_mtime <= made for path in sources)

    def place(self, picture: InputImage, kind: str) -> Path:
        """Where an image's mask, overlay or probabilities lie."""
        return dataset_folder(self.root, picture.dataset) / kind / f"{picture.name}{_SUFFIX[kind]}"

    def write(
        self, picture: InputImage, image: NDArray[np.uint8], document: EditableAnnotation, outcome: ModeResult
    ) -> None:
        """Write an image's results; its annotation last, so that what is there is whole."""
        if MASKS in self.saved:
            mask = draw_mask(outcome.predicted, document.size, self.classes)
            write_bytes(self.place(picture, MASKS), encode_png(mask))
        if OVERLAYS in self.saved:
            shown = draw_overlay(image, outcome.added, self.classes)
            write_bytes(self.place(picture, OVERLAYS), encode_png(shown))
        if PROBABILITIES in self.saved and outcome.probabilities is not None:
            with atomic_open(self.place(picture, PROBABILITIES)) as file:
                np.save(file, outcome.probabilities)
        self.writer.add(picture.dataset, picture.name, picture.image_path, document, self.link)
