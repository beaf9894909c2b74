"""Files and folders in which libraries save models: whoever listens is told of each once it is written.

Every library is watched from the moment it is imported, and none is imported for it.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravenml.task.import_hooks import when_imported


@dataclass(frozen=True)
class Saver:
    """A function or method that writes a model.

    Attributes:
        module: where it is; the module is only watched, never imported.
        name: the function, or ``Class.method``.
        parameter: which of its parameters names the file or folder.
    """

    module: str
    name: str
    parameter: str


SAVERS = (
    Saver("torch", "save", "f"),
    Saver("torch.jit._serialization", "save", "f"),
    Saver("onnx", "save_model", "f"),
    Saver("onnx", "save", "f"),
    Saver("safetensors.torch", "save_file", "filename"),
    Saver("safetensors.torch", "save_model", "filename"),
    Saver("safetensors.numpy", "save_file", "filename"),
    Saver("safetensors.tensorflow", "save_file", "filename"),
    Saver("safetensors.flax", "save_file", "filename"),
    Saver("transformers.modeling_utils", "PreTrainedModel.save_pretrained", "save_directory"),
    Saver("peft.peft_model", "PeftModel.save_pretrained", "save_directory"),
    Saver("keras.src.models.model", "Model.save", "filepath"),
    Saver("keras.src.models.model", "Model.save_weights", "filepath"),
    Saver("keras.src.models.model", "Model.export", "filepath"),
    Saver("joblib.numpy_pickle", "dump", "filename"),
    Saver("joblib", "dump", "filename"),
    Saver("xgboost.core", "Booster.save_model", "fname"),
    Saver("lightgbm.basic", "Booster.save_model", "filename"),
    Saver("catboost.core", "CatBoost.save_model", "fname"),
    Saver("pytorch_lightning.trainer.trainer", "Trainer.save_checkpoint", "filepath"),
    Saver("lightning.pytorch.trainer.trainer", "Trainer.save_checkpoint", "filepath"),
)

_saving = threading.local()  # `depth`: savers call each other, and only the outermost counts


def watch_models(saved: Callable[[Path], None]) -> None:
    """Call ``saved`` with the file or folder of each model that this process saves from now on.

    What ``saved`` raises is a line on stderr: it never ends the program.
    """
    for saver in SAVERS:
        when_imported(saver.module, functools.partial(_wrap, saver, saved))


def _wrap(saver: Saver, saved: Callable[[Path], None], module: Any) -> None:
    owner_name, _, name = saver.name.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    save = getattr(owner, name, None)
    if save is None or hasattr(save, "_tells_of_models"):
        return
    signature = inspect.signature(save)

    @functools.wraps(save)
    def saving(*args: Any, **kwargs: Any) -> Any:
        _saving.depth = getattr(_saving, "depth", 0) + 1
        try:
            result = save(*args, **kwargs)
        finally:
            _saving.depth -= 1
        if _saving.depth == 0:
            try:
                path = _path_of(signature.bind(*args, **kwargs).arguments.get(saver.parameter))
                if path is not None:
                    saved(path)
            except Exception as error:  # the program's own work comes first
                print(f"Warning: a saved model was not kept: {error}", file=sys.stderr)
        return result

    saving._tells_of_models = True  # type: ignore[attr-defined]
    setattr(owner, name, saving)


def _path_of(target: object) -> Path | None:
    """Where something was written: a path, or an open file's; None for what lies in memory alone."""
    if not isinstance(target, str | os.PathLike):
        with suppress(AttributeError, OSError, ValueError):
            target.flush()  # type: ignore[attr-defined]
        target = getattr(target, "name", None)  # of an open file
    if not isinstance(target, str | os.PathLike):
        return None
    path = Path(os.fsdecode(os.path.abspath(target)))
    return path if path.exists() else None
