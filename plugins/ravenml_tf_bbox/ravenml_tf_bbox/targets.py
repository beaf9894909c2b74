"""What the network is to say, and how far it is from saying it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ravenml_tf_bbox.models import ARCHITECTURES

if TYPE_CHECKING:
    import tensorflow as tf

FORMAT = "xyxy"  # left, top, right, bottom edges in pixels
DELTAS = "center_xywh"
SCALES = 3  # sizes of anchors at every level
IGNORED, BACKGROUND = -2, -1  # classes that the encoder gives to anchors
POSITIVE, NEGATIVE = 0.5, 0.4  # overlaps from which an anchor is an object, and below which it is none
TRANSITION = 0.1  # where the Huber loss turns from a square to a line


class Anchors:
    """The boxes that the network corrects, and objects as corrections of them.

    Attributes:
        boxes: float32 ``(A, 4)``: left, top, right and bottom edges in the input's pixels.
        per_cell: how many of them have the same middle.
    """

    def __init__(
        self, architecture: str, width: int, height: int, size: float, ratios: Sequence[float]
    ) -> None:
        import keras_hub
        import tensorflow as tf

        first, last = ARCHITECTURES[architecture].levels
        self.width, self.height = width, height
        generator = keras_hub.layers.AnchorGenerator(
            FORMAT, first, last, num_scales=SCALES, aspect_ratios=list(ratios), anchor_size=size
        )
        self.per_cell = generator.num_base_anchors
        self.boxes = tf.concat(list(generator(tf.zeros((1, height, width, 3))).values()), axis=0)

    def encode(self, boxes: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Which anchors are to become which objects.

        An anchor becomes the object that it overlaps most, if by half; every object gets the anchor that fits
        it best in any case.  (keras-hub's label encoder cannot do the latter where images have different
        numbers of objects: it looks for a box beyond the last one.)

        Args:
            boxes: float32 ``(N, M, 4)``, filled up with -1.
            classes: float32 ``(N, M)``, filled up with -1.

        Returns:
            Deltas, float32 ``(N, A, 4)``, and classes, int32 ``(N, A)``: -1 is background, -2 does not count.
        """
        import tensorflow as tf

        # One image at a time: what is compared is anchors × objects.
        return tf.map_fn(
            self._encode_one,
            (boxes, classes),
            fn_output_signature=(tf.float32, tf.int32),
            parallel_iterations=1,
        )

    def _encode_one(self, both: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf
        from keras.utils import bounding_boxes

        count = tf.maximum(tf.math.count_nonzero(both[1] >= 0, dtype=tf.int32), 1)
        boxes, classes = both[0][:count], both[1][:count]  # without what fills up, but never nothing
        overlap = bounding_boxes.compute_iou(self.boxes, boxes, FORMAT)
        overlap = tf.where(classes >= 0, overlap, -1.0)
        most = tf.reduce_max(overlap, axis=0)
        fits_best = (overlap >= most) & (most > 0)
        # An anchor that fits an object best is that one's, whatever else it overlaps.
        chosen = tf.argmax(tf.where(fits_best, overlap + 1, overlap), axis=1)
        its_overlap = tf.reduce_max(overlap, axis=1)
        positive = (its_overlap >= POSITIVE) | tf.reduce_any(fits_best, axis=1)
        unclear = (its_overlap >= NEGATIVE) & ~positive
        found = tf.where(positive, tf.cast(tf.gather(classes, chosen), tf.int32), BACKGROUND)
        deltas = bounding_boxes.encode_box_to_deltas(
            self.boxes,
            tf.gather(boxes, chosen),
            FORMAT,
            FORMAT,
            DELTAS,
            image_shape=(self.height, self.width, 3),
        )
        return tf.where(positive[:, None], deltas, 0.0), tf.where(unclear, IGNORED, found)

    def decode(self, deltas: tf.Tensor) -> tf.Tensor:
        """Boxes ``(N, A, 4)`` from what the network says of them."""
        from keras.utils import bounding_boxes

        return bounding_boxes.decode_deltas_to_boxes(
            self.boxes,
            deltas,
            FORMAT,
            encoded_format=DELTAS,
            box_format=FORMAT,
            image_shape=(self.height, self.width, 3),
        )


def detection_loss(
    outputs: dict[str, tf.Tensor], deltas: tf.Tensor, classes: tf.Tensor
) -> dict[str, tf.Tensor]:
    """The focal loss over all anchors and the Huber loss over those that are objects.

    Both are sums divided by the number of anchors that are objects, as in the paper.

    Returns:
        ``loss``, and its parts ``class_loss`` and ``box_loss``: scalars.
    """
    import tensorflow as tf

    class_sum, box_sum, count = detection_sums(outputs, deltas, classes)
    count = tf.maximum(count, 1.0)
    class_loss, box_loss = class_sum / count, box_sum / count
    return {"loss": class_loss + box_loss, "class_loss": class_loss, "box_loss": box_loss}


def detection_sums(
    outputs: dict[str, tf.Tensor], deltas: tf.Tensor, classes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The sums of the focal and the Huber loss, and the number of anchors that are objects: scalars."""
    import keras
    import tensorflow as tf

    positive = tf.cast(classes > BACKGROUND, tf.float32)
    counted = tf.cast(classes > IGNORED, tf.float32)
    truth = tf.one_hot(classes, outputs["classes"].shape[-1])
    focal = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True, axis=-1, reduction=None
    )
    # one by one: Keras would take the mean over the classes
    focal_losses = focal(truth[..., None], outputs["classes"][..., None])
    huber = keras.losses.Huber(delta=TRANSITION, reduction=None)
    box_losses = huber(deltas[..., None], outputs["boxes"][..., None]) / TRANSITION
    class_sum = tf.reduce_sum(focal_losses * counted[..., None])
    return class_sum, tf.reduce_sum(box_losses * positive[..., None]), tf.reduce_sum(positive)
