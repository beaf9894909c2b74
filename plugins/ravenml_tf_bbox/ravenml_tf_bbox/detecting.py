"""From what the network says of its anchors to a list of boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ravenml_tf_bbox.targets import Anchors, detection_sums

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

CANDIDATES = 1000  # the likeliest of an image that suppression looks at
THINNEST = 1.0  # pixels of the input; what is thinner is not a box


@dataclass(frozen=True)
class Choice:
    """Which boxes are kept.

    Attributes:
        score: the least score.
        iou: of two boxes of one class that overlap more, the likelier stays.
        most: how many per image.
    """

    score: float = 0.3
    iou: float = 0.5
    most: int = 300


MEASURED = Choice(score=0.01)  # scores count boxes that are hardly sure as well, as COCO does


def unit_range(images: tf.Tensor) -> tf.Tensor:
    """Pixels as the network sees them: float32 in -1 … 1 from uint8."""
    import tensorflow as tf

    return tf.cast(images, tf.float32) / 127.5 - 1.0


def select_boxes(
    outputs: dict[str, tf.Tensor], anchors: Anchors, choice: Choice
) -> tuple[tf.Tensor, tf.Tensor]:
    """The likeliest boxes of every image, those of each class suppressed on their own.

    Args:
        outputs: the network's outputs.

    Returns:
        float32 ``(N, most, 6)``: left, top, right, bottom edges in the input's pixels, score, class;
        and how many of each image's are any, int32 ``(N,)``.
    """
    import tensorflow as tf

    return tf.map_fn(
        lambda both: select_boxes_of_one(both[0], both[1], anchors, choice),
        (outputs["boxes"], outputs["classes"]),
        fn_output_signature=(tf.float32, tf.int32),
    )


def select_boxes_of_one(
    deltas: tf.Tensor, logits: tf.Tensor, anchors: Anchors, choice: Choice
) -> tuple[tf.Tensor, tf.Tensor]:
    """The same of one image: from ``(A, 4)`` and ``(A, C)`` to ``(most, 6)`` and a scalar."""
    return suppress(*decode_one(deltas, logits, anchors), anchors, choice)


def decode_one(deltas: tf.Tensor, logits: tf.Tensor, anchors: Anchors) -> tuple[tf.Tensor, tf.Tensor]:
    """What the network says of one image: edges in the input's pixels ``(A, 4)``, and scores ``(A, C)``."""
    import tensorflow as tf

    edges = tf.constant([anchors.width, anchors.height] * 2, tf.float32)
    return tf.clip_by_value(anchors.decode(deltas[None])[0], 0.0, edges), tf.sigmoid(logits)


def suppress(
    places: tf.Tensor, scores: tf.Tensor, anchors: Anchors, choice: Choice
) -> tuple[tf.Tensor, tf.Tensor]:
    """The likeliest of what :func:`decode_one` gives: ``(most, 6)``, filled up, and how many are any."""
    import tensorflow as tf

    classes = scores.shape[-1]
    count = min(CANDIDATES, scores.shape[0] * classes)
    # What lies outside of the image has no area, and TFLite's suppression cannot be rid of such a box.
    thick = tf.reduce_min(places[:, 2:] - places[:, :2], axis=1, keepdims=True) >= THINNEST
    best, flat = tf.math.top_k(tf.reshape(tf.where(thick, scores, 0.0), [-1]), count)
    place, kind = tf.gather(places, flat // classes), tf.cast(flat % classes, tf.float32)[:, None]
    # Boxes of different classes are moved far apart, so that one suppression serves all of them.
    kept, valid = tf.raw_ops.NonMaxSuppressionV4(
        boxes=place + kind * (2.0 * max(anchors.width, anchors.height)), scores=best,
        max_output_size=min(choice.most, count), iou_threshold=choice.iou, score_threshold=choice.score,
        pad_to_max_output_size=True,
    )  # fmt: skip
    rows = tf.gather(tf.concat([place, best[:, None], kind], axis=1), kept)
    return tf.pad(rows, [[0, max(choice.most - count, 0)], [0, 0]]), valid


class Detector:
    """A network that gives boxes.

    Attributes:
        model: see :func:`ravenml_tf_bbox.models.create_model`.
        anchors: what it corrects.
    """

    def __init__(self, model: keras.Model, anchors: Anchors, choice: Choice | None = None) -> None:
        self.model, self.anchors = model, anchors
        self.configure(choice or Choice())

    def configure(self, choice: Choice) -> None:
        """Keep other boxes from now on."""
        import tensorflow as tf

        self.choice = choice
        images = tf.TensorSpec([None, self.anchors.height, self.anchors.width, 3], tf.uint8)
        rows = [None, None]
        truth = tf.TensorSpec([*rows, 4], tf.float32), tf.TensorSpec(rows, tf.float32)
        self.detect = tf.function(self._detect, input_signature=[images])
        self._measure = tf.function(self._detect_and_measure, input_signature=[images, *truth])

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Boxes ``(K, 6)``, the likeliest first, for each of uint8 RGB ``(N, H, W, 3)`` of the network's."""
        return _cut(*self.detect(images))

    def measure(
        self, images: NDArray[np.uint8], boxes: NDArray[np.float32], classes: NDArray[np.float32]
    ) -> tuple[list[NDArray[np.float32]], float, float]:
        """The same, the sum of these images' losses, and how many anchors are objects, by which to divide it.

        See :class:`ravenml_tf_bbox.data.Batch`.
        """
        found, counts, loss, objects = self._measure(images, boxes, classes)
        return _cut(found, counts), float(loss), float(objects)

    def raw_output(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the network says of one uint8 image ``(1, H, W, 3)``; see :func:`decode_one`."""
        outputs = self.model(unit_range(image), training=False)
        return decode_one(outputs["boxes"][0], outputs["classes"][0], self.anchors)

    def detect_one(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """The boxes of one uint8 image ``(1, H, W, 3)`` as part of a graph.

        Returns:
            ``boxes``: float32 ``(most, 6)``, the likeliest first, filled up with zeros; and ``count``: how
            many of them reach the least score.
        """
        import tensorflow as tf

        rows, valid = suppress(*self.raw_output(image), self.anchors, replace(self.choice, score=0.0))
        rows = tf.where(tf.range(self.choice.most)[:, None] < valid, rows, 0.0)
        count = tf.reduce_sum(tf.cast(rows[:, 4] > self.choice.score, tf.int32))
        return {"boxes": rows, "count": count}

    def _detect(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return select_boxes(self.model(unit_range(images), training=False), self.anchors, self.choice)

    def _detect_and_measure(self, images: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor) -> Any:
        outputs = self.model(unit_range(images), training=False)
        class_sum, box_sum, count = detection_sums(outputs, *self.anchors.encode(boxes, classes))
        return *select_boxes(outputs, self.anchors, self.choice), class_sum + box_sum, count


def _cut(found: tf.Tensor, counts: tf.Tensor) -> list[NDArray[np.float32]]:
    return [its[:count] for its, count in zip(found.numpy(), counts.numpy(), strict=True)]


def to_image(found: NDArray[np.float32], scale: float, size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes at the network's size as boxes in the image that was fitted into it.

    Args:
        found: ``(K, 6)``.
        scale: by which the image was scaled.
        size: the image's height and width.
    """
    height, width = size
    result = found.copy()
    result[:, :4] = (found[:, :4] / scale).clip(0, [width, height, width, height])
    present = (result[:, 2] > result[:, 0]) & (result[:, 3] > result[:, 1])  # padding may look like an object
    return result[present]
