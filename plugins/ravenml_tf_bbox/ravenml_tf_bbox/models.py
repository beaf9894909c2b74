"""RetinaNets (Lin et al., "Focal Loss for Dense Object Detection", 2017) of keras-hub's parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

PRIOR = 0.01  # how likely an anchor is an object before anything was learned


@dataclass(frozen=True)
class Architecture:
    """One size of the network.

    Attributes:
        description: a line for people.
        parameters: how many there are with two classes and three aspect ratios; for people too.
        stem: filters of the first convolution.
        filters: of the backbone's four stacks.
        blocks: residual blocks in each stack.
        block: ``basic_block`` or ``bottleneck_block``.
        levels: the pyramid's first and last level; a level's cells are 2 to its power pixels wide.
        width: filters of the pyramid and the heads.
        depth: convolutions of a head before its last.
    """

    description: str
    parameters: int
    stem: int
    filters: Sequence[int]
    blocks: Sequence[int]
    block: str
    levels: tuple[int, int]
    width: int
    depth: int


ARCHITECTURES: Mapping[str, Architecture] = {
    "RetinaNetSmall": Architecture(
        "a ResNet of 10 layers and slim heads; learns on a processor", 1_032_790,
        32, (64, 64, 128, 128), (1, 1, 1, 1), "basic_block_vd", (3, 6), 64, 2,
    ),
    "RetinaNet50": Architecture(
        "ResNet50 and the heads of the paper; for a GPU", 32_276_982,
        64, (64, 128, 256, 512), (3, 4, 6, 3), "bottleneck_block", (3, 7), 256, 4,
    ),
}  # fmt: skip


def create_model(name: str, classes: int, anchors: int, width: int, height: int) -> keras.Model:
    """A network with random weights.

    Args:
        name: one of :data:`ARCHITECTURES`.
        classes: how many there are, ``C``.
        anchors: boxes at every cell of the pyramid.
        width: the input's; like ``height`` a multiple of 32.

    Returns:
        From RGB in -1 … 1, float32 ``(N, H, W, 3)``, to ``boxes``, deltas to the ``A`` anchors
        ``(N, A, 4)``, and ``classes``, logits ``(N, A, C)``.
    """
    import keras
    from keras_hub.models import ResNetBackbone
    from keras_hub.src.models.retinanet.feature_pyramid import FeaturePyramid
    from keras_hub.src.models.retinanet.prediction_head import PredictionHead

    its = ARCHITECTURES[name]
    first, last = its.levels
    backbone = ResNetBackbone(
        input_conv_filters=[its.stem],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=list(its.filters),
        stackwise_num_blocks=list(its.blocks),
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=its.block,
        image_shape=(height, width, 3),
        name="backbone",
    )
    levels = {f"P{n}": backbone.pyramid_outputs[f"P{n}"] for n in range(first, min(last, 5) + 1)}
    pyramid = FeaturePyramid(first, last, use_p5=False, num_filters=its.width, name="pyramid")(levels)
    heads: dict[str, Any] = {
        "boxes": (4, keras.initializers.Zeros()),
        "classes": (classes, keras.initializers.Constant(-math.log((1 - PRIOR) / PRIOR))),
    }
    outputs = {}
    for head, (size, bias) in heads.items():
        # keras-hub's own detector begins with the paper's prior at the wrong head, hence these parts.
        layer = PredictionHead(
            anchors * size, its.width, its.depth, use_group_norm=True, kernel_initializer="he_normal",
            bias_initializer="zeros", use_prior_probability=False, name=f"{head}_head",
        )  # fmt: skip
        found = [keras.layers.Reshape((-1, size))(layer(level)) for level in pyramid.values()]
        layer.prediction_layer.bias.assign(bias(layer.prediction_layer.bias.shape))
        outputs[head] = keras.layers.Concatenate(axis=1, name=head)(found)
    return keras.Model(backbone.inputs, outputs, name=name)
