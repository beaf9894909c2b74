"""The optimizers that can be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravenml_tf_bbox.settings import BoxSettings

if TYPE_CHECKING:
    import keras


def make_optimizer(model: keras.Model, settings: BoxSettings) -> keras.optimizers.Optimizer:
    """An optimizer over the variables that learn, with its own variables made.

    Weight decay is decoupled from the gradients (Loshchilov and Hutter, 2017) whatever the optimizer.
    """
    import keras

    its = settings
    common = {"learning_rate": its.lr, "weight_decay": its.weight_decay or None}
    optimizer: keras.optimizers.Optimizer
    if its.optimizer == "SGD":
        optimizer = keras.optimizers.SGD(momentum=its.momentum, nesterov=its.nesterov, **common)
    elif its.optimizer == "RMSProp":
        optimizer = keras.optimizers.RMSprop(momentum=its.momentum, **common)
    else:
        optimizer = {"Adam": keras.optimizers.Adam, "AdamW": keras.optimizers.AdamW}[its.optimizer](**common)
    optimizer.build(model.trainable_variables)
    return optimizer
