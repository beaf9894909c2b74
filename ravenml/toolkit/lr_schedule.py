"""The learning rate as a pure function of the step, so that resuming needs no scheduler's state."""

from __future__ import annotations

import math

from ravenml.toolkit.hyperparameters import LoopSettings


def learning_rate(settings: LoopSettings, step: int, steps_per_epoch: int) -> float:
    """The rate for one step.

    StepLR, MultiStepLR and ExponentialLR change after whole epochs and give what PyTorch's schedulers of
    these names give; cosine falls with every step, from the end of the warm-up to the last step
    (Loshchilov and Hutter, "SGDR", 2016, without restarts).  The warm-up grows linearly and multiplies
    whatever the schedule says.

    Args:
        settings: the training's.
        step: how many steps are done, from 0.
        steps_per_epoch: how many an epoch has.
    """
    epoch = step // steps_per_epoch
    warmup = settings.warmup_epochs * steps_per_epoch
    factor = min(1.0, (step + 1) / (warmup + 1))
    if settings.lr_schedule == "StepLR":
        factor *= settings.gamma_step ** (epoch // settings.step_size)
    elif settings.lr_schedule == "MultiStepLR":
        factor *= settings.gamma_step ** sum(epoch >= milestone for milestone in settings.milestones)
    elif settings.lr_schedule == "ExponentialLR":
        factor *= settings.gamma_exp**epoch
    elif settings.lr_schedule == "cosine":
        last = settings.epochs * steps_per_epoch - 1
        done = min(1.0, max(0.0, step - warmup) / max(1.0, last - warmup))
        lowest = settings.min_lr / settings.lr
        factor *= lowest + (1 - lowest) * (1 + math.cos(math.pi * done)) / 2
    return settings.lr * factor
