"""What plugins see under ``supervisely_lib``: the same names, made by ravenML.

Modules of the same names as Supervisely's are found, each showing the names of one or several of ours.  All
are imported when they are first used, also as attributes: after ``import supervisely_lib``,
``supervisely_lib.task.progress.report_checkpoint_saved`` is there.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ravenml import sly
from ravenml.sly import unavailable

# Each of our modules, and the modules below supervisely_lib that show its names.
_SHOWN = {
    "annotation": "annotation.annotation annotation.label",
    "annotation_transforms": "annotation.annotation_transforms",
    "augmentation": "aug aug.aug",
    "class_indexing": "nn.hosted.class_indexing",
    "color": "imaging.color",
    "configs": "io.env io.json nn.config nn.hosted.constants nn.hosted.trainer nn.hosted.inference_modes "
    "nn.hosted.legacy.inference_config",
    "deploy": "nn.hosted.deploy",
    "fs": "io.fs",
    "undrawn_geometry": "geometry.cuboid geometry.graph geometry.helpers",
    "bitmap": "geometry.bitmap geometry.helpers geometry.multichannel_bitmap",
    "geometry": "geometry.any_geometry geometry.bitmap geometry.geometry geometry.helpers "
    "geometry.multichannel_bitmap geometry.point geometry.point_location geometry.polygon geometry.polyline "
    "geometry.rectangle",
    "image": "imaging.image",
    "inference": "nn.hosted.inference_batch nn.hosted.inference_modes nn.hosted.inference_single_image "
    "nn.raw_to_labels worker_api.interfaces",
    "inference_processes": "nn.hosted.inference_batch_multiprocess",
    "metrics": "metric.classification_metrics metric.common metric.confusion_matrix_metric metric.matching "
    "metric.iou_metric metric.map_metric metric.metric_base metric.pixel_accuracy "
    "metric.precision_recall_metric metric.projects_applier",
    "paths": "task.paths",
    "project": "project.project project.project_type",
    "project_meta": "annotation.annotation annotation.obj_class annotation.obj_class_collection "
    "annotation.tag annotation.tag_collection annotation.tag_meta annotation.tag_meta_collection "
    "project.project_meta",
    "pytorch": "nn.hosted.pytorch.constants nn.hosted.pytorch.inference_applier nn.hosted.pytorch.trainer "
    "nn.pytorch.cuda nn.pytorch.dataset nn.pytorch.inference nn.pytorch.metrics nn.pytorch.weights",
    "renaming": "annotation.obj_class_collection annotation.obj_class_mapper annotation.renamer "
    "annotation.tag_meta_collection annotation.tag_meta_mapper nn.hosted.inference_modes",
    "reporting": "function_wrapper sly_logger task.progress",
    "rest": "nn.inference.rest_constants nn.inference.rest_server worker_api.rpc_servicer",
    "rotation": "geometry.image_rotator imaging.image",
    "samples": "nn.dataset",
    "sliding_windows": "geometry.sliding_windows geometry.sliding_windows_fuzzy",
    "text": "imaging.font imaging.image",
    "trainer": "nn.hosted.trainer nn.training.eval_planner",
    "utils": "_utils pyscripts_utils.utils tiny_timer",
}
# Modules that the package itself shows under a shorter name.
_SHORT = {
    "color": "imaging.color",
    "env": "io.env",
    "fs": "io.fs",
    "image": "imaging.image",
    "lj": "labeling_jobs.utils",
    "ps": "pyscripts_utils.utils",
}


def _list_modules() -> dict[str, list[str]]:
    """Each module's name below supervisely_lib, and ours that it shows."""
    found: dict[str, list[str]] = {name: [] for name in unavailable.MODULES}
    for ours, names in _SHOWN.items():
        for name in names.split():
            found.setdefault(name, []).append(ours)
    for name in list(found):
        while name := name.rpartition(".")[0]:
            found.setdefault(name, [])
    return found


MODULES = _list_modules()


def name_table() -> str:
    """The table of what is there, for the documentation: modules, and the classes and functions they show."""
    rows = ["| modules below `supervisely_lib` | names |", "| --- | --- |"]
    for ours, modules in sorted(_SHOWN.items(), key=lambda item: item[1]):
        shown = vars(importlib.import_module(f"ravenml.sly.{ours}"))
        own = sorted(
            name
            for name, value in shown.items()
            if not name.startswith("_") and getattr(value, "__module__", "") == f"ravenml.sly.{ours}"
        )
        listed = [f"`{name}`" for name in own if callable(shown[name])]
        listed += ["constants"] if any(name.isupper() for name in shown) else []
        rows.append(f"| {', '.join(f'`{name}`' for name in modules.split())} | {', '.join(listed)} |")
    return "\n".join(rows) + "\n"


class Support(Enum):
    """Whether a name of ``supervisely_lib`` can be used."""

    AVAILABLE = "available"
    REFUSED = "there, and says when it is used why it cannot work"
    MISSING = "missing"


def find_support(name: str) -> Support:
    """Whether a name below ``supervisely_lib`` can be used, such as ``fs.list_files`` or ``nn.config``."""
    parts = name.split(".") if name else []
    parts[:1] = _SHORT.get(parts[0], parts[0]).split(".") if parts else []
    module = ""
    while parts and (inner := f"{module}.{parts[0]}".strip(".")) in MODULES:
        module = inner
        parts.pop(0)
    value: Any = None
    for depth, part in enumerate(parts):
        try:
            value = getattr(value, part) if depth else _find(module, part)
        except unavailable.NotAvailable:
            return Support.REFUSED
        except AttributeError:
            return Support.MISSING
    return Support.REFUSED if unavailable.is_unavailable(value) else Support.AVAILABLE


def _find(module: str, name: str) -> Any:
    """What a module below supervisely_lib shows under a name; a submodule is none of it."""
    if not module and name in sly.__all__:
        return getattr(sly, name)
    if not (name.startswith("__") and name.endswith("__")):
        for ours in MODULES.get(module, ()):
            shown = importlib.import_module(f"ravenml.sly.{ours}")
            if hasattr(shown, name):
                return getattr(shown, name)
    return unavailable.find(module, name)


def _public(module: str) -> list[str]:
    """The names that ``from … import *`` takes from a module below supervisely_lib."""
    shown = [importlib.import_module(f"ravenml.sly.{ours}") for ours in MODULES.get(module, ())]
    own = [] if module else sly.__all__
    return sorted({*own, *(name for one in shown for name in vars(one) if not name.startswith("_"))})


def _getter(package: str, module: str) -> Callable[[str], Any]:
    def get(name: str) -> Any:
        if name == "__all__":
            return _public(module)
        inner = f"{module}.{name}".strip(".")
        inner = _SHORT.get(name, inner) if not module else inner
        if inner in MODULES:
            return importlib.import_module(f"{package}.{inner}")
        return _find(module, name)

    return get


class _Modules(MetaPathFinder, Loader):
    """Finds the modules of ``MODULES`` below a package, each of which shows what ours have."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.removeprefix(f"{self._package}.")
        known = name != fullname and name in MODULES
        is_package = any(other.startswith(f"{name}.") for other in MODULES)
        return ModuleSpec(fullname, self, is_package=is_package) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix(f"{self._package}.")
        vars(module)["__getattr__"] = _getter(self._package, name)


def install_alias(package: ModuleType) -> None:
    """Let a package show the SDK's names and modules."""
    sys.meta_path.append(_Modules(package.__name__))
    vars(package)["__getattr__"] = _getter(package.__name__, "")
