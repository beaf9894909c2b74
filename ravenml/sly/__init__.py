"""The SDK for authors of plugins after Supervisely's contract: ``import ravenml.sly as sly``.

Each name is imported when it is first used, so that the import itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "sly_logger": ("logger", "EventType", "add_default_logging_into_file", "add_logger_handler"),
    "progress": (
        "Progress",
        "epoch_float",
        "report_checkpoint_saved",
        "report_inference_finished",
        "report_metrics_training",
        "report_metrics_validation",
    ),
    "wrapper": ("main_wrapper",),
    "paths": ("TaskPaths",),
    "project": ("Dataset", "OpenMode", "Project", "read_single_project"),
    "annotation": ("ANN_EXT", "Annotation", "Label"),
    "classes": (
        "ObjClass",
        "ObjClassCollection",
        "Tag",
        "TagCollection",
        "TagMeta",
        "TagMetaCollection",
        "TagValueType",
    ),
    "project_meta": ("ProjectMeta",),
    "geometry": ("Bitmap", "Point", "PointLocation", "Polygon", "Polyline", "Rectangle"),
    "opaque_geometry": ("AnyGeometry", "MultichannelBitmap"),
    "trainer": ("SuperviselyModelTrainer", "TrainCheckpoints"),
    "inference_single_image": ("SingleImageInferenceBase",),
    "inference_batch": ("BatchInferenceApplier",),
    "deploy": ("ModelDeploy",),
    "inference_modes": (
        "InfModeBboxes",
        "InfModeFullImage",
        "InfModeRoi",
        "InfModeSlidingWindowDetection",
        "InfModeSlidingWindowSegmentation",
    ),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
