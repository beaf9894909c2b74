"""Models of the bounding-box plugin that anybody may have made are loaded as data, or refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.common.validation import validate
from torture.model_files import SIDE, Models, attack
from torture.runner import Missing

TRIALS = 1_000  # each builds a network
SECONDS_PER_TRIAL = 60


def box_models(folder: Path) -> Models:
    """Those of the bounding-box plugin.

    Raises:
        Missing: the plugin is not installed.
    """
    try:
        import ravenml_tf_bbox.export as export
    except ImportError:
        raise Missing("the plugin ravenml_tf_bbox: plugins/ravenml_tf_bbox/install.sh") from None
    from ravenml.data.project import ObjClass
    from ravenml_tf_bbox.framework import tensorflow
    from ravenml_tf_bbox.models import create_model
    from ravenml_tf_bbox.settings import BoxSettings
    from ravenml_tf_bbox.weights import (
        KerasCheckpointWriter,
        State,
        inspect_weights,
        load_pretrained,
        model_arrays,
        newest_state,
        save_arrays,
    )

    tensorflow("cpu")
    settings = BoxSettings.model_validate({"input_size": {"width": 2 * SIDE, "height": 2 * SIDE}})
    classes = [ObjClass("plate", "rectangle", "#000000"), ObjClass("disc", "rectangle", "#FF0000")]
    network = create_model(settings.model, 2, 9, 2 * SIDE, 2 * SIDE)
    weights = save_arrays(folder / "good.npz", model_arrays(network)).read_bytes()
    state = State(1, 0, 2, "model_001.pth", {"loss": 1.0}, {"a": 1}, {"b": 2})
    KerasCheckpointWriter.write_state(object.__new__(KerasCheckpointWriter), folder / "state.npz", state)

    def begin(path: Path) -> None:
        validate(BoxSettings, {"weights": str(path)}, "--weights")
        load_pretrained(network, inspect_weights(path), new_head=True)

    content = (folder / "state.npz").read_bytes()
    config = export.model_config(settings, classes)
    return Models(config, weights, newest_state, ("state_001.npz", content), begin)


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    with attack(folder, box_models(folder)) as trial:
        yield trial
