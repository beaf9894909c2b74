"""What a training may begin from: a state dict, a model of ours, or a training's folder.

A training's folder is a run's of ours or one of Supervisely's U-Net app; the latter says ``selectedModel``
and ``imgSize`` in its ``info/ui_state.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravenml.errors import InputError
from ravenml.toolkit import pretrained
from ravenml.toolkit.pretrained import PretrainedWeights


def inspect_weights(path: Path) -> PretrainedWeights:
    """Look at what ``--weights`` names, without reading the weights.

    Raises:
        InputError: it does not exist, is neither of the three kinds, or says what makes no sense.
    """
    return pretrained.inspect_weights(path, ".pth", _read_state)


def check_architecture(start: PretrainedWeights, architecture: str) -> None:
    """Refuse weights that say that they are another network's.

    Raises:
        InputError: with both names.
    """
    if start.architecture not in (None, architecture):
        raise InputError(
            f"weights: {start.path} holds a {start.architecture}, not a {architecture}; "
            f"train with --model {start.architecture} or give other weights."
        )


def _read_state(state: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    if isinstance(state.get("plugin"), dict):
        return pretrained.read_run_state(state)
    return state["selectedModel"], state["imgSize"]
