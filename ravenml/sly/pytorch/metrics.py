"""How good a network's output is."""

from __future__ import annotations

from typing import Any


class MultiClassAccuracy:
    """The share of the pixels (or other elements) whose likeliest class is the right one.

    Args:
        ignore_index: elements that truly have this index do not count; those without any give 0.
        squeeze_targets: is passed over: a channel that targets have, ``(N, 1, …)``, is taken away by itself.
    """

    def __init__(self, ignore_index: int | None = None, squeeze_targets: bool = True) -> None:
        self._ignore_index = ignore_index

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """The share, a tensor with one number.

        Args:
            outputs: a tensor with scores of the classes, ``(N, C, …)``.
            targets: a tensor with the classes' indices, ``(N, …)`` or ``(N, 1, …)``.
        """
        if targets.dim() == outputs.dim():
            targets = targets.squeeze(1)
        right = outputs.detach().argmax(dim=1) == targets
        if self._ignore_index is None:
            return right.float().mean()
        counted = targets != self._ignore_index
        return (right & counted).float().sum() / counted.float().sum().clamp(min=1)
