"""``--engine-precision int8``: a graph in 8-bit integers, kept only where it scores as well as the model.

It is calibrated on images that the model was trained on, and measured on those that it was validated on: both
are recorded in the model's run, whose dataset must still be there.
"""

from __future__ import annotations

import importlib.util
import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ravenml.common.io import read_json, temporary_folder, to_user_error
from ravenml.common.locks import exclusive_lock
from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.project import Item, Project
from ravenml.data.split import Split, read_split
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.cache import cached_export, export_folder
from ravenml.infer.engines.description import KEY, read_description
from ravenml.infer.engines.export import put_in_place, write_note
from ravenml.infer.engines.predictor import fit_image, open_graph
from ravenml.infer.engines.runtime import check_engine
from ravenml.infer.metrics import BACKGROUND, confusion_matrix, segmentation_metrics
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.predictor import Predictor
from ravenml.runs import layout

MOST_LOST = 0.005  # of the mean IoU
_CALIBRATION, _VALIDATION = 100, 200  # images, at most
_FILE = "model-int8.xml"


@dataclass(frozen=True)
class _Recorded:
    """What a run was trained and validated on."""

    project: Project
    split: Split


def cached_int8(source: ModelSource, trust_code: bool = False) -> Path:
    """A model in 8-bit integers as an OpenVINO file; it is made when it is first asked for.

    Raises:
        InputError: the model has no run with its data.
        RavenError: NNCF or OpenVINO is not installed, or the model's mean IoU falls by more than 0.005.
    """
    check_engine("openvino")
    path = export_folder(source) / _FILE
    if not path.is_file():
        if importlib.util.find_spec("nncf") is None:
            raise RavenError("int8 needs NNCF, which the extra brings: pip install 'ravenml[int8]'.")
        exported = cached_export(source, trust_code=trust_code)
        with exclusive_lock(path.with_suffix(".lock")):
            if not path.is_file():
                _write(exported, path, [_recorded(source, one) for one in source.paths])
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
    return segmentation_metrics(total, titles).get("miou", 0.0)


def _write(exported: Path, path: Path, recorded: Sequence[_Recorded]) -> None:
    """Quantize, measure, and only then give the file its name."""
    import nncf
    import openvino

    about = read_description(exported)
    images = [
        fit_image(read_image(item.image_path), about)
        for one in recorded
        for item in one.split.train[: max(_CALIBRATION // len(recorded), 1)]
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
                float(np.mean([mean_iou(side, one.project, one.split.val[:_VALIDATION]) for one in recorded]))
                for side in sides
            )
            if before - after > MOST_LOST:
                raise RavenError(
                    f"int8 lowers the mean IoU on the validation images from {before:.4f} to {after:.4f}, by "
                    f"more than {MOST_LOST:g}; take another --engine-precision."
                )
            put_in_place(folder, path.parent)
    except OSError as error:
        raise to_user_error(error, path) from error


def _recorded(source: ModelSource, model: Path) -> _Recorded:
    """What the run that made a model was trained and validated on.

    Raises:
        InputError: there is no run, or its dataset is no longer there.
    """
    folder = model if model.is_dir() else model.parent
    info = folder / layout.INFO
    try:
        project = Project.read(Path(str(read_json(folder / layout.RUN_JSON)["dataset"]["path"])))
        return _Recorded(project, read_split(project, info / "train_set.json", info / "val_set.json"))
    except (RavenError, KeyError, TypeError):
        raise InputError(
            f"{source.name}: int8 is calibrated on the images of the model's run, which are not there; name "
            "a run whose dataset still exists, or take another --engine-precision."
        ) from None
