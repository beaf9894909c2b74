"""Modules, and names in them, that plugins may import under the names that they had: they load, and warn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

RENAMED = {
    "ravenml.data.faults": "ravenml.data.problems",
    "ravenml.data.formats.forms": "ravenml.data.formats.geometry_parsing",
    "ravenml.data.listed": "ravenml.data.item_list",
    "ravenml.files": "ravenml.common.io",
    "ravenml.infer.sources": "ravenml.infer.model_resolver",
    "ravenml.remote.submit": "ravenml.remote.client.submit",
    "ravenml.runs.readers": "ravenml.runs.exporters",
    "ravenml.runs.readers.base": "ravenml.runs.exporters.base",
    "ravenml.runs.readers.chosen": "ravenml.runs.exporters.registry",
    "ravenml.runs.readers.clearml": "ravenml.runs.exporters.clearml",
    "ravenml.runs.readers.follower": "ravenml.runs.exporters.cursor",
    "ravenml.runs.readers.mlflow": "ravenml.runs.exporters.mlflow",
    "ravenml.runs.readers.sidecar": "ravenml.runs.exporters.sidecar",
    "ravenml.runs.readers.start": "ravenml.runs.exporters.start_sidecar",
    "ravenml.runs.readers.sync": "ravenml.runs.exporters.sync",
    "ravenml.runs.readers.tensorboard": "ravenml.runs.exporters.tensorboard",
    "ravenml.runs.readers.tfwriter": "ravenml.runs.exporters.tensorboard",
    "ravenml.runs.secrets": "ravenml.common.secrets",
    "ravenml.sly.classes": "ravenml.sly.project_meta",
    "ravenml.sly.collection": "ravenml.sly.project_meta",
    "ravenml.sly.constants": "ravenml.sly.configs",
    "ravenml.sly.env": "ravenml.sly.configs",
    "ravenml.sly.eval_planner": "ravenml.sly.trainer",
    "ravenml.sly.inference_batch": "ravenml.sly.inference",
    "ravenml.sly.inference_modes": "ravenml.sly.inference",
    "ravenml.sly.inference_single_image": "ravenml.sly.inference",
    "ravenml.sly.json_files": "ravenml.sly.configs",
    "ravenml.sly.opaque_geometry": "ravenml.sly.geometry",
    "ravenml.sly.progress": "ravenml.sly.reporting",
    "ravenml.sly.pytorch.applier": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.constants": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.cuda": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.dataset": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.inference": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.metrics": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.trainer": "ravenml.sly.pytorch",
    "ravenml.sly.pytorch.weights": "ravenml.sly.pytorch",
    "ravenml.sly.raw_to_labels": "ravenml.sly.inference",
    "ravenml.sly.sly_logger": "ravenml.sly.reporting",
    "ravenml.sly.wrapper": "ravenml.sly.reporting",
    "ravenml.sly.ours": "ravenml.agent.builtin_tasks",
    "ravenml.toolkit.lr_schedule": "ravenml.toolkit.hyperparameters",
    "ravenml.train.augmentation": "ravenml.toolkit.augmentation",
    "ravenml.train.augmentation.imgaug": "ravenml.toolkit.augmentation.imgaug",
    "ravenml.train.augmentation.pipeline": "ravenml.toolkit.augmentation.pipeline",
    "ravenml.train.augmentation.reading": "ravenml.toolkit.augmentation.reading",
    "ravenml.train.augmentation.templates": "ravenml.toolkit.augmentation.templates",
    "ravenml.train.background": "ravenml.toolkit.async_writer",
    "ravenml.train.checks": "ravenml.toolkit.preflight",
    "ravenml.train.curves": "ravenml.toolkit.metric_history",
    "ravenml.train.evaluate": "ravenml.train.options",
    "ravenml.train.identity": "ravenml.toolkit.resume_guard",
    "ravenml.train.keeping": "ravenml.toolkit.checkpoints",
    "ravenml.train.loading": "ravenml.toolkit.prefetch",
    "ravenml.train.loop_settings": "ravenml.toolkit.hyperparameters",
    "ravenml.train.memory": "ravenml.toolkit.memory",
    "ravenml.train.pictures": "ravenml.toolkit.pictures",
    "ravenml.train.previews": "ravenml.toolkit.previews",
    "ravenml.train.randomness": "ravenml.toolkit.seeding",
    "ravenml.train.schedule": "ravenml.toolkit.hyperparameters",
    "ravenml.train.starts": "ravenml.toolkit.pretrained",
}


class _Loader:
    """Loads a module of :data:`RENAMED`, which has one copy, whichever name it is imported by."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module under its new name."""
        import importlib
        import warnings

        new = RENAMED[spec.name]
        warnings.warn(f"{spec.name} is now {new}; import that.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It is loaded; the import has only put the old name's spec into it."""
        module.__spec__ = self._spec


def find_renamed(name: str) -> ModuleSpec | None:
    """A spec for an old name, and None for any other."""
    return ModuleSpec(name, _Loader()) if name in RENAMED else None  # type: ignore[arg-type]


def former_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__``, which gives what was renamed under its former name, with a warning."""

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        import sys
        import warnings

        new = names[name]
        warnings.warn(f"{module}.{name} is now {new}; use that.", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], new)

    return get
