"""``raven train tf-bbox export``: a SavedModel and TFLite, which need no ravenML to be used.

Both take uint8 RGB ``(1, H, W, 3)`` at the network's input size and give what
:meth:`ravenml_tf_bbox.detecting.Detector.detect_one` gives.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import temporary_folder, to_user_error, write_bytes, write_json
from ravenml.errors import RavenError
from ravenml_tf_bbox.detecting import Choice
from ravenml_tf_bbox.export import describe_model
from ravenml_tf_bbox.export_check import Agreement, RawOutput, Rows, compare_outputs
from ravenml_tf_bbox.framework import quiet, tensorflow
from ravenml_tf_bbox.loading import load_model
from ravenml_tf_bbox.predict import BoxPredictor

SAVED_MODEL, TFLITE, CLASSES = "saved_model", "model.tflite", "classes.json"
SIGNATURE = "serving_default"
BLOBS = (9, 17, 33)  # pixels; an image of blobs of each size is what the forms are compared on
Detect = Callable[[NDArray[np.uint8]], Mapping[str, Any]]


def export_model(model: Path, folder: Path, choice: Mapping[str, Any]) -> list[str]:
    """Write a model in both forms, and check each against the model itself.

    Args:
        model: what :func:`ravenml_tf_bbox.loading.load_model` loads.
        folder: where the files go; what is there under the same names is replaced.
        choice: ``score``, ``iou`` and ``most`` of the boxes that are kept, or None.

    Returns:
        A line about each form.

    Raises:
        RavenError: a form does not predict what the model predicts; then nothing is written.
    """
    tf = tensorflow("cpu")
    predictor = load_model(model, "cpu")
    predictor.configure(choice)
    images = pictures(*predictor.input_size)
    outputs = [raw_output(predictor, image) for image in images]
    folder = folder.expanduser().absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as made:
            module = _module(predictor)
            tf.saved_model.save(module, str(made / SAVED_MODEL), signatures={SIGNATURE: module.detect})
            lite = tf.lite.TFLiteConverter.from_saved_model(str(made / SAVED_MODEL)).convert()
            write_bytes(made / TFLITE, lite)
            write_json(made / CLASSES, describe_model(predictor.obj_classes))
            lines = [
                _line(folder / name, load(made / name), images, outputs, predictor.detector.choice)
                for name, load in ((SAVED_MODEL, load_saved_model), (TFLITE, load_tflite))
            ]
            folder.mkdir(exist_ok=True)
            shutil.rmtree(folder / SAVED_MODEL, ignore_errors=True)
            for name in (SAVED_MODEL, TFLITE, CLASSES):
                os.replace(made / name, folder / name)
    except OSError as error:
        raise to_user_error(error, folder) from error
    return lines


def load_saved_model(path: Path) -> Detect:
    """A SavedModel as a function from an image to its outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def detect(image: NDArray[np.uint8]) -> Mapping[str, Any]:
        found = loaded.signatures[SIGNATURE](tf.constant(image))
        return {name: value.numpy() for name, value in found.items()}

    return detect


def load_tflite(path: Path) -> Detect:
    """A TFLite file as the same."""
    import tensorflow as tf

    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")  # it will move to a package of its own one day
        runner = tf.lite.Interpreter(model_content=path.read_bytes()).get_signature_runner(SIGNATURE)

    def detect(image: NDArray[np.uint8]) -> Mapping[str, Any]:
        return dict(runner(image=image))

    return detect


def pictures(width: int, height: int) -> list[NDArray[np.uint8]]:
    """Images ``(1, H, W, 3)`` of coloured blobs, in which every network sees something."""
    import cv2

    random = np.random.default_rng(0)
    made: list[NDArray[np.uint8]] = []
    for size in BLOBS:
        noise = random.integers(0, 256, (max(height // size, 2), max(width // size, 2), 3), dtype=np.uint8)
        made.append(
            np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)[None]
        )
    return made


def raw_output(predictor: BoxPredictor, image: NDArray[np.uint8]) -> RawOutput:
    """What the model itself says of an image."""
    import tensorflow as tf

    detector = predictor.detector
    with predictor.placed():
        places, scores = detector.raw_output(tf.constant(image))
        rows = detector.detect_one(tf.constant(image))["boxes"].numpy()
    return RawOutput(places.numpy(), scores.numpy(), rows[rows[:, 4] > 0])


def compare(
    detect: Detect, images: Sequence[NDArray[np.uint8]], outputs: Sequence[RawOutput], choice: Choice
) -> Agreement:
    """How well a form agrees with the model over images.

    Raises:
        RavenError: not at all; see :func:`ravenml_tf_bbox.export_check.compare_outputs`.
    """
    total = Agreement()
    for image, its in zip(images, outputs, strict=True):
        found = detect(image)
        rows: Rows = found["boxes"][found["boxes"][:, 4] != 0]
        total += compare_outputs(its, rows, choice)
        if int(found["count"]) != int((rows[:, 4] > choice.score).sum()):
            raise RavenError(f"it counts {int(found['count'])} boxes")
    return total


def _line(
    path: Path,
    detect: Detect,
    images: Sequence[NDArray[np.uint8]],
    outputs: Sequence[RawOutput],
    choice: Choice,
) -> str:
    try:
        found = compare(detect, images, outputs, choice)
    except RavenError as error:
        raise RavenError(
            f"{path.name} does not predict what the model predicts: {error}; nothing was exported."
        ) from None
    others = f", of which {found.others} were as likely as the model's choice" if found.others else ""
    return (
        f"{path} predicts what the model predicts: {found.boxes} boxes in {len(images)} images{others}; "
        f"they differ by {found.pixels:.1g} pixels and {found.score:.1g} of a score at most."
    )


def _module(predictor: BoxPredictor) -> Any:
    """The detector for one image, with its pixels' preparation and the choice of boxes.

    Its weights are constants: TFLite finds variables empty.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    width, height = predictor.input_size
    image = tf.TensorSpec([1, height, width, 3], tf.uint8, name="image")
    graph = tf.function(predictor.detector.detect_one, input_signature=[image]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(graph)
    names = sorted(graph.structured_outputs)

    class Exported(tf.Module):
        """One image in, its boxes out."""

        @tf.function(input_signature=[image])
        def detect(self, image: Any) -> dict[str, Any]:
            return dict(zip(names, frozen(image), strict=True))

    return Exported()
