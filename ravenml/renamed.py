"""Modules, and names in them, that plugins may import under the names that they had: they load, and warn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

FORMER_PACKAGE = "raven"  # as a document of ravenML 1 writes it; another package of that name goes before
RENAMED = {
    # what plugins for ravenML 1 import
    "ravenml.data.interfaces": "ravenml.compat.datasets",
    "ravenml.options": "ravenml.compat.prompts",
    "ravenml.utils.aws": "ravenml.compat.buckets",
    "ravenml.utils.config": "ravenml.compat.buckets",
    "ravenml.utils.dataset": "ravenml.compat.datasets",
    "ravenml.utils.git": "ravenml.compat.git",
    "ravenml.utils.imageset": "ravenml.compat.datasets",
    "ravenml.utils.local_cache": "ravenml.compat.local_cache",
    "ravenml.utils.question": "ravenml.compat.prompts",
    "ravenml.utils.save": "ravenml.compat.buckets",
    # what has moved since
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


USED: dict[str, str] = {}  # the former names that were used in this process, and the new ones


def _new_name(name: str) -> str | None:
    """The new name of a module; None where the name is no former one."""
    if name in RENAMED:
        return RENAMED[name]
    package, dot, rest = name.partition(".")
    return f"ravenml{dot}{rest}" if package == FORMER_PACKAGE else None


class _Loader:
    """Loads a module by a former name; it has one copy, whichever name it is imported by."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module under its new name."""
        import importlib

        new = _new_name(spec.name)
        assert new is not None
        if not spec.name.startswith(f"{FORMER_PACKAGE}."):  # of its modules, which the package has warned of
            warn_of(spec.name, new, "import", stacklevel=3)
        module = importlib.import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It is loaded; the import has only put the old name's spec into it."""
        module.__spec__ = self._spec


def find_renamed(name: str) -> ModuleSpec | None:
    """A spec for an old name, and None for any other."""
    if _new_name(name) is None:
        return None
    if name == FORMER_PACKAGE and _is_installed(name):
        return None
    if (
        name.startswith(f"{FORMER_PACKAGE}.")
        and sys.modules.get(FORMER_PACKAGE) is not sys.modules["ravenml"]
    ):
        return None
    return ModuleSpec(name, _Loader())  # type: ignore[arg-type]


def _is_installed(package: str) -> bool:
    """Whether there is such a package, of whomever; a folder without `__init__.py` is none."""
    global _is_looking
    if _is_looking:  # another finder asks all of them, and so this one: what it looks for is not ours to find
        return True
    _is_looking = True
    try:
        for finder in sys.meta_path:
            if getattr(finder, "__module__", None) != "ravenml":
                find = getattr(finder, "find_spec", None)
                spec = find(package, None) if find is not None else None
                if spec is not None and spec.origin is not None:
                    return True
        return False
    finally:
        _is_looking = False


_is_looking = False


def warn_of(former: str, new: str, verb: str = "use", stacklevel: int = 2) -> None:
    """Warn a plugin's author of a former name, and note that it was used."""
    import warnings

    USED[former] = new
    warnings.warn(f"{former} is now {new}; {verb} that.", DeprecationWarning, stacklevel=stacklevel + 1)


def former_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__``, which gives what was renamed under its former name, with a warning.

    Args:
        module: the module's name.
        names: the new name by the former one; with dots, it is that of another module's object.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new = names[name]
        warn_of(f"{module}.{name}", new)
        place, _, new = new.rpartition(".")
        if place:
            import importlib

            return getattr(importlib.import_module(place), new)
        return getattr(sys.modules[module], new)

    return get
