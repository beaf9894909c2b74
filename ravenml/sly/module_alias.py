"""What plugins see under ``supervisely_lib``: the same names, made by ravenML.

Modules of the same names as Supervisely documents are found, each standing for one or several of ours.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from ravenml import sly

# Each of our modules, and the modules below supervisely_lib that show its names.
_SHOWN = {
    "annotation": "annotation.annotation annotation.label",
    "class_indexing": "nn.hosted.class_indexing",
    "configs": "io.env io.json nn.config nn.hosted.constants nn.hosted.trainer",
    "deploy": "nn.hosted.deploy",
    "geometry": "geometry.bitmap geometry.geometry geometry.multichannel_bitmap geometry.point "
    "geometry.polygon geometry.polyline geometry.rectangle",
    "image": "imaging.image",
    "inference": "nn.hosted.inference_batch nn.hosted.inference_modes nn.hosted.inference_single_image "
    "nn.raw_to_labels",
    "paths": "io.fs task.paths",
    "project": "project.project",
    "project_meta": "annotation.annotation annotation.obj_class annotation.obj_class_collection "
    "annotation.tag annotation.tag_collection annotation.tag_meta annotation.tag_meta_collection "
    "project.project_meta",
    "pytorch": "nn.hosted.pytorch.constants nn.hosted.pytorch.inference_applier nn.hosted.pytorch.trainer "
    "nn.pytorch.cuda nn.pytorch.dataset nn.pytorch.inference nn.pytorch.metrics nn.pytorch.weights",
    "reporting": "function_wrapper sly_logger task.progress",
    "samples": "nn.dataset",
    "trainer": "nn.hosted.trainer nn.training.eval_planner",
}


def _list_modules() -> dict[str, list[str]]:
    """Each module's name below supervisely_lib, and ours that it shows; packages show none."""
    found: dict[str, list[str]] = {"_utils": []}
    for ours, names in _SHOWN.items():
        for name in names.split():
            found.setdefault(name, []).append(ours)
            while name := name.rpartition(".")[0]:
                found.setdefault(name, [])
    return found


MODULES = _list_modules()


class _Modules(MetaPathFinder, Loader):
    """Finds the modules of ``MODULES`` below a package, each of which shows what ours have."""

    def __init__(self, package: str) -> None:
        self._below = f"{package}."

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.removeprefix(self._below)
        known = name != fullname and name in MODULES
        return ModuleSpec(fullname, self, is_package=not MODULES[name]) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        for ours in reversed(MODULES[module.__name__.removeprefix(self._below)]):
            names = vars(importlib.import_module(f"ravenml.sly.{ours}"))
            vars(module).update({name: value for name, value in names.items() if not name.startswith("__")})


def install_alias(package: ModuleType) -> None:
    """Let a package show the SDK's names and modules."""
    sys.meta_path.append(_Modules(package.__name__))
    vars(package)["__all__"] = sly.__all__
    vars(package).update({name: getattr(sly, name) for name in sly.__all__})
    for name, place in (
        ("fs", "io.fs"), ("env", "io.env"), ("image", "imaging.image"), ("sly_logger", "sly_logger"),
    ):  # fmt: skip
        setattr(package, name, importlib.import_module(f"{package.__name__}.{place}"))
