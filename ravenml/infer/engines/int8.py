"""``--engine-precision int8``: a graph in 8-bit integers, kept only where it scores as well as the model.

It is calibrated on images that the model was trained on, and measured on those that it was validated on: both
are recorded in the model's run, whose dataset must still be there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import math
import os
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import numpy as np

from ravenml.common.extras import install_command
from ravenml.common.io import JsonObject, temporary_folder, to_user_error
from ravenml.common.locks import exclusive_lock
from ravenml.config.machine import recall, remember
from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.project import Item, Project
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.cache import cached_export, export_folder
from ravenml.infer.engines.compare import RecordedImages, evenly, recorded_images
from ravenml.infer.engines.description import KEY, read_description
from ravenml.infer.engines.export import put_in_place, write_note
from ravenml.infer.engines.predictor import fit_image, open_graph
from ravenml.infer.engines.runtime import check_engine
from ravenml.infer.metrics import BACKGROUND, confusion_matrix, segmentation_metrics
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.predictor import Predictor

MOST_LOST = 0.005  # of the mean IoU
_CALIBRATION, _VALIDATION = 100, 200  # images, at most
_FILE = "model-int8.xml"
_KIND = "int8_scores"  # of measurement


def cached_int8(source: ModelSource, trust_code: bool = False) -> Path:
    """A model in 8-bit integers as an OpenVINO file; it is made when it is first asked for.

    That it scored worse than the model is remembered too, for these images and versions.

    Raises:
        InputError: the model has no run with its data, or no validation images to be measured on.
        RavenError: NNCF or OpenVINO is not installed, or the model's mean IoU falls by more than 0.005.
    """
    check_engine("openvino")
    folder = export_folder(source)
    path = folder / _FILE
    if not path.is_file():
        if importlib.util.find_spec("nncf") is None:
            raise RavenError(f"int8 needs NNCF; install it with: {install_command('int8')}")
        recorded = _recorded(source)
        about = {"model": folder.name, "images": _digest(recorded), "most_lost": MOST_LOST}
        for name in ("nncf", "openvino"):
            with suppress(PackageNotFoundError):  # one of its other distributions
                about[name] = version(name)
        if (known := recall(_KIND, about)) is not None:
            _refuse(known)
        exported = cached_export(source, trust_code=trust_code)
        with exclusive_lock(path.with_suffix(".lock")):
            if (known := recall(_KIND, about)) is not None:  # by the process that was waited for
                _refuse(known)
            if not path.is_file():
                refused = _write(exported, path, recorded)
                if refused is not None:
                    _refuse(remember(_KIND, about, lambda: refused))
    with suppress(OSError):  # somebody else's, or one that may only be read
        os.utime(folder)
    return path


def mean_iou(predictor: Predictor, project: Project, items: Sequence[Item]) -> float:
    """The mean IoU of a model's labels over all pixels of annotated images, at the images' own sizes."""
    titles = [BACKGROUND, *predictor.classes] if len(predictor.classes) == 1 else list(predictor.classes)
    foreground = [title for title in titles if title != BACKGROUND]
    outside = titles.index(BACKGROUND) if BACKGROUND in titles else -1
    index_of = np.array([outside, *(titles.index(title) for title in foreground)])
    total = np.zeros((len(titles), len(titles)), np.int64)
    for item in items:
        truth = index_of[draw_mask(project.annotation(item), foreground)]
        labels = predictor.predict(read_image(item.image_path)[None])[0]
        total += confusion_matrix(truth[truth >= 0], labels[truth >= 0], len(titles))
    return segmentation_metrics(total, titles).get("miou", math.nan)


def _write(exported: Path, path: Path, recorded: Sequence[RecordedImages]) -> JsonObject | None:
    """Quantize, measure, and only then give the file its name.

    Returns:
        Nothing; or both mean IoUs where that of int8 is too low, and no file is written.

    Raises:
        InputError: nothing is annotated in the validation images.
    """
    import nncf
    import openvino

    about = read_description(exported)
    images = [
        fit_image(read_image(item.image_path), about)
        for one in recorded
        for item in evenly(one.train, max(_CALIBRATION // len(recorded), 1))
    ]
    nncf.set_log_level(logging.ERROR)
    model, dataset = openvino.Core().read_model(exported), nncf.Dataset(images)
    with redirect_stdout(io.StringIO()):  # its progress bars
        quantized = nncf.quantize(model, dataset, subset_size=len(images))
    quantized.set_rt_info(write_note(about.model_copy(update={"precision": "8"})), KEY)
    try:
        with temporary_folder(path) as folder:
            openvino.save_model(quantized, str(folder / path.name), compress_to_fp16=False)
            sides = open_graph(exported, "openvino", "32"), open_graph(folder / path.name, "openvino")
            before, after = (
                float(
                    np.mean([mean_iou(side, one.project, evenly(one.val, _VALIDATION)) for one in recorded])
                )
                for side in sides
            )
            if math.isnan(before):
                raise InputError(
                    "int8 is accepted by its score, and nothing is annotated in the run's validation images; "
                    "use another --engine-precision."
                )
            if not before - after <= MOST_LOST:
                return {"before": before, "after": after}
            put_in_place(folder, path.parent)
    except OSError as error:
        raise to_user_error(error, path) from error
    return None


def _refuse(scores: JsonObject) -> NoReturn:
    """Say that int8 scores worse, and by how much.

    Raises:
        RavenError: always.
    """
    before, after = (float(scores[name]) for name in ("before", "after"))
    raise RavenError(
        f"int8 lowers the mean IoU on the validation images from {before:.4f} to {after:.4f}, by more than "
        f"{MOST_LOST:g}; use another --engine-precision."
    )


def _recorded(source: ModelSource) -> list[RecordedImages]:
    """What the runs that made the models were trained and validated on.

    Raises:
        InputError: there is no run, its dataset is no longer there, or has no images of one of the two kinds.
    """
    try:
        recorded = [recorded_images(path) for path in source.paths]
    except RavenError:
        recorded = []
    if not recorded or not all(one.train for one in recorded):
        raise InputError(
            f"{source.name}: int8 is calibrated on the images of the model's run, which are not there; name "
            "a run whose dataset still exists, or use another --engine-precision."
        )
    if not all(one.val for one in recorded):
        raise InputError(
            f"{source.name}: int8 is accepted by its score on the run's validation images, and there are "
            "none; use another --engine-precision."
        )
    return recorded


def _digest(recorded: Sequence[RecordedImages]) -> str:
    """Of the images and annotations that int8 is made and measured with, by their time and size."""
    known = hashlib.sha256()
    for one in recorded:
        calibration = evenly(one.train, max(_CALIBRATION // len(recorded), 1))
        for item in (*calibration, *evenly(one.val, _VALIDATION)):
            for file in (item.image_path, item.annotation_path):
                with suppress(OSError):
                    state = file.stat()
                    known.update(f"{file}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return known.hexdigest()[:32]
