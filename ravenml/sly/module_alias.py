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

# Each module's name below supervisely_lib, and where its names come from.
MODULES: dict[str, tuple[str, ...]] = {
    "_utils": (),
    "annotation": (),
    "annotation.annotation": ("annotation", "classes"),
    "annotation.label": ("annotation",),
    "annotation.obj_class": ("classes",),
    "annotation.obj_class_collection": ("classes",),
    "annotation.tag": ("classes",),
    "annotation.tag_collection": ("classes",),
    "annotation.tag_meta": ("classes",),
    "annotation.tag_meta_collection": ("classes",),
    "function_wrapper": ("wrapper",),
    "geometry": (),
    "geometry.bitmap": ("geometry",),
    "geometry.geometry": ("geometry",),
    "geometry.multichannel_bitmap": ("opaque_geometry",),
    "geometry.point": ("geometry",),
    "geometry.polygon": ("geometry",),
    "geometry.polyline": ("geometry",),
    "geometry.rectangle": ("geometry",),
    "imaging": (),
    "imaging.image": ("image",),
    "io": (),
    "io.env": ("env",),
    "io.fs": ("paths",),
    "io.json": ("json_files",),
    "nn": (),
    "nn.config": ("configs",),
    "nn.dataset": ("samples",),
    "nn.hosted": (),
    "nn.hosted.class_indexing": ("class_indexing",),
    "nn.hosted.constants": ("constants",),
    "nn.hosted.deploy": ("deploy",),
    "nn.hosted.inference_batch": ("inference_batch",),
    "nn.hosted.inference_modes": ("inference_modes",),
    "nn.hosted.inference_single_image": ("inference_single_image",),
    "nn.hosted.pytorch": (),
    "nn.hosted.pytorch.constants": ("pytorch.constants",),
    "nn.hosted.pytorch.inference_applier": ("pytorch.applier",),
    "nn.hosted.pytorch.trainer": ("pytorch.trainer",),
    "nn.hosted.trainer": ("trainer", "constants"),
    "nn.pytorch": (),
    "nn.pytorch.cuda": ("pytorch.cuda",),
    "nn.pytorch.dataset": ("pytorch.dataset",),
    "nn.pytorch.inference": ("pytorch.inference",),
    "nn.pytorch.metrics": ("pytorch.metrics",),
    "nn.pytorch.weights": ("pytorch.weights",),
    "nn.raw_to_labels": ("raw_to_labels",),
    "nn.training": (),
    "nn.training.eval_planner": ("eval_planner",),
    "project": (),
    "project.project": ("project",),
    "project.project_meta": ("project_meta",),
    "sly_logger": ("sly_logger",),
    "task": (),
    "task.paths": ("paths",),
    "task.progress": ("progress",),
}


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
            there = vars(importlib.import_module(f"ravenml.sly.{ours}"))
            vars(module).update({name: value for name, value in there.items() if not name.startswith("__")})


def install_alias(package: ModuleType) -> None:
    """Let a package show the SDK's names and modules."""
    sys.meta_path.append(_Modules(package.__name__))
    vars(package)["__all__"] = sly.__all__
    vars(package).update({name: getattr(sly, name) for name in sly.__all__})
    for name, place in (
        ("fs", "io.fs"), ("env", "io.env"), ("image", "imaging.image"), ("sly_logger", "sly_logger"),
    ):  # fmt: skip
        setattr(package, name, importlib.import_module(f"{package.__name__}.{place}"))
