"""Randomness as a pure function of what is being done.

No generator's state is ever saved: whoever needs random numbers asks for those of (seed, fold, epoch,
step) and gets the same ones, whatever was computed, validated or interrupted in between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# One number per purpose, so that no two purposes share their numbers.
INITIAL_WEIGHTS, ORDER, STEP, AUGMENTATION = 1, 2, 3, 4


def derived_seed(seed: int, fold: int | None, purpose: int, *position: int) -> int:
    """A 63-bit seed for one purpose at one position.

    Args:
        seed: the run's seed.
        fold: the fold's number, or None without k-fold.
        purpose: one of this module's constants.
        position: where in the training, such as ``epoch, step``.
    """
    entropy = [seed, 0 if fold is None else fold + 1, purpose, *position]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def epoch_order(count: int, seed: int, fold: int | None, epoch: int) -> NDArray[np.int64]:
    """The order in which ``count`` training images are seen in ``epoch``: a permutation, int64."""
    generator = np.random.Generator(np.random.PCG64(derived_seed(seed, fold, ORDER, epoch)))
    return generator.permutation(count)
