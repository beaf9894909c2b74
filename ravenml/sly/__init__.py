"""The SDK for authors of plugins after Supervisely's contract: ``import ravenml.sly as sly``.

Each name is imported when it is first used, so that the import itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "reporting": (
        "EventType",
        "Progress",
        "add_default_logging_into_file",
        "add_logger_handler",
        "epoch_float",
        "logger",
        "main_wrapper",
        "report_checkpoint_saved",
        "report_inference_finished",
        "report_metrics_training",
        "report_metrics_validation",
    ),
    "paths": ("TaskPaths",),
    "project": ("Dataset", "OpenMode", "Project", "read_single_project"),
    "project_meta": (
        "ObjClass",
        "ObjClassCollection",
        "ProjectMeta",
        "Tag",
        "TagCollection",
        "TagMeta",
        "TagMetaCollection",
        "TagValueType",
    ),
    "annotation": ("ANN_EXT", "Annotation", "Label"),
    "geometry": (
        "AnyGeometry",
        "Bitmap",
        "MultichannelBitmap",
        "Point",
        "PointLocation",
        "Polygon",
        "Polyline",
        "Rectangle",
    ),
    "json_fields": ("InvalidJson",),
    "trainer": ("SuperviselyModelTrainer", "TrainCheckpoints"),
    "inference": (
        "BatchInferenceApplier",
        "InfModeBboxes",
        "InfModeFullImage",
        "InfModeRoi",
        "InfModeSlidingWindowDetection",
        "InfModeSlidingWindowSegmentation",
        "SingleImageInferenceBase",
    ),
    "deploy": ("ModelDeploy",),
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
