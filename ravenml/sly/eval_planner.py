"""When to validate."""

from __future__ import annotations

VAL_EVERY = "val_every"


class EvalPlanner:
    """Plans validations every ``val_every`` epochs, fractions allowed, and at the end."""

    def __init__(self, epochs: int, val_every: float) -> None:
        self.epochs, self.val_every = epochs, val_every
        self._done = 0

    def need_validation(self, epoch_flt: float) -> bool:
        """Whether it is time, at a moment in epochs."""
        nearly = 1e-9 * max(1.0, epoch_flt)
        planned = int((epoch_flt + nearly) / self.val_every)
        last = epoch_flt + nearly >= self.epochs and self.epochs % self.val_every > nearly
        return planned + last > self._done

    def validation_performed(self) -> None:
        """It was done."""
        self._done += 1
