"""A trained detector as ravenML's inference uses it.  TensorFlow is imported when a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ravenml.errors import InputError
from ravenml.infer.model_folder import read_model_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ravenml.data.project import ObjClass
    from ravenml_tf_bbox.detecting import Detector

MOST_RATIOS, MOST_ANCHORS = 100, 20_000_000  # of a model, whoever made it
LIMITS = {"score": (0.0, 1.0), "iou": (0.0, 1.0), "most": (1, 10_000)}  # of `model` in a config for inference


class BoxPredictor:
    """A trained detector.

    Attributes:
        task: ``detection``.
        classes: the classes' titles in index order.
        obj_classes: the same with shape and colour.
        input_size: the network's ``(width, height)``; images of any size are fitted into it.
        architecture: as ``--model`` names it.
        device: where it computes.
    """

    task = "detection"

    def __init__(
        self,
        detector: Detector,
        obj_classes: list[ObjClass],
        input_size: tuple[int, int],
        architecture: str,
        device: str,
    ) -> None:
        self.detector, self.obj_classes, self.input_size = detector, obj_classes, input_size
        self.architecture = architecture
        self.device = "cpu" if "CPU" in device else "cuda"
        self._device = device
        self.classes = [c.title for c in obj_classes]

    def placed(self) -> Any:
        """A context in which TensorFlow computes on the predictor's device."""
        import tensorflow as tf

        return tf.device(self._device)

    @property
    def batch_size(self) -> int:
        """How many images at once are fastest."""
        return 4 if self.device == "cpu" else 16

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the content of ``model`` in a config for inference.

        It may have ``score`` (the least that a box must have), ``iou`` (of two boxes of one class that
        overlap more, the likelier stays) and ``most`` (boxes per image).

        Raises:
            InputError: a value is none.
        """
        from dataclasses import replace

        unknown = next((name for name in settings if name not in LIMITS), None)
        if unknown is not None:
            raise InputError(f"model.{unknown} is not a known field; there are {', '.join(LIMITS)}.")
        given: dict[str, Any] = {}
        for name, (low, high) in LIMITS.items():
            value = settings.get(name)
            if value is None:
                continue
            kind = int if isinstance(low, int) else float
            if isinstance(value, bool) or not isinstance(value, int | kind) or not low <= value <= high:
                raise InputError(f"model.{name} must be a number from {low} to {high}, not {value!r}.")
            given[name] = kind(value)
        if given:
            self.detector.configure(replace(self.detector.choice, **given))

    def predict(
        self, images: NDArray[np.uint8], want: Literal["labels", "probabilities"] = "labels"
    ) -> list[NDArray[np.float32]]:
        """Find objects in a batch of images.

        Args:
            images: uint8 RGB ``(N, H, W, 3)``.
            want: is of no account; boxes come in any case.

        Returns:
            For each image float32 ``(K, 6)``: left, top, right and bottom edges in its pixels, score, class
            index; the likeliest first.

        Raises:
            InputError: the images have another shape or type.
        """
        import numpy as np

        from ravenml_tf_bbox.data import fit_image, pad_image
        from ravenml_tf_bbox.detecting import to_image

        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype.name != "uint8":
            raise InputError(
                f"Images must be uint8 of shape (N, H, W, 3), not {images.dtype}, {images.shape}."
            )
        if not len(images):
            return []
        small = [fit_image(image, *self.input_size) for image in images]
        with self.placed():
            found = self.detector(np.stack([pad_image(image, *self.input_size) for image, _ in small]))
        size = images.shape[1], images.shape[2]
        return [to_image(one, scale, size) for one, (_, scale) in zip(found, small, strict=True)]


def load(model_dir: Path, device: str = "auto") -> BoxPredictor:
    """Load an unpacked ``model-state.tar``.

    Args:
        model_dir: the folder with ``config.json`` and the weights.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RavenError: the folder holds no model of this plugin.
    """
    model_dir = Path(model_dir)
    found = read_model_folder(model_dir)
    architecture, classes, size = found.architecture, found.classes, found.input_size
    anchor_size, ratios = _read_anchors(found.settings.get("anchors"), model_dir)
    cells = size[0] * size[1] / 48  # those of 8×8 pixels, and a third more of larger ones
    from ravenml_tf_bbox.settings import STRIDE
    from ravenml_tf_bbox.targets import SCALES

    if size[0] % STRIDE or size[1] % STRIDE or cells * SCALES * len(ratios) > MOST_ANCHORS:
        raise InputError(
            f"{model_dir}: config.json: `settings.input_size`: the sides must be multiples of {STRIDE}, with "
            f"at most {MOST_ANCHORS:,} anchors in all, not {size[0]}×{size[1]}."
        )
    from ravenml_tf_bbox.framework import device_name
    from ravenml_tf_bbox.models import ARCHITECTURES

    if architecture not in ARCHITECTURES:
        raise InputError(f"{model_dir}: there is no network {architecture!r}; the plugin may be too old.")
    where = device_name(device)
    import tensorflow as tf

    from ravenml_tf_bbox.detecting import Detector
    from ravenml_tf_bbox.models import create_model
    from ravenml_tf_bbox.targets import Anchors
    from ravenml_tf_bbox.weights import load_weights

    with tf.device(where):
        anchors = Anchors(architecture, *size, anchor_size, ratios)
        model = create_model(architecture, len(classes), anchors.per_cell, *size)
        load_weights(model, found.weights)
        detector = Detector(model, anchors)
    return BoxPredictor(detector, classes, size, architecture, where)


def _read_anchors(anchors: object, model_dir: Path) -> tuple[float, list[float]]:
    """Size and aspect ratios of the anchors, in the ranges that the settings allow."""
    values = anchors if isinstance(anchors, Mapping) else {}
    size, ratios = values.get("size"), values.get("aspect_ratios")
    numbers = [
        float(value)
        for value in [size, *(ratios if isinstance(ratios, list) else [])]
        if isinstance(value, int | float) and 0 < value <= 100
    ]
    if not isinstance(ratios, list) or len(numbers) != len(ratios) + 1 or not 1 <= len(ratios) <= MOST_RATIOS:
        raise InputError(
            f"{model_dir}: config.json: `settings.anchors` should have a size and 1 to {MOST_RATIOS} "
            "aspect_ratios, numbers above 0."
        )
    return numbers[0], numbers[1:]
