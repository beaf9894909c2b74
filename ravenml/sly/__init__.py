"""The SDK for authors of plugins after Supervisely's contract: ``import ravenml.sly as sly``.

Each name is imported when it is first used, so that the import itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "utils": (
        "COMMUNITY",
        "ENTERPRISE",
        "TinyTimer",
        "batched",
        "generate_names",
        "get_bytes_hash",
        "rand_str",
        "take_with_default",
    ),
    "reporting": (
        "ServiceType",
        "catch_silently",
        "function_wrapper",
        "function_wrapper_external_logger",
        "function_wrapper_nofail",
        "get_task_logger",
        "report_dtl_finished",
        "report_dtl_verification_finished",
        "report_import_finished",
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
    "project": ("Dataset", "OpenMode", "Project", "ProjectType", "read_single_project"),
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
        "Point",
        "PointLocation",
        "Polygon",
        "Polyline",
        "Rectangle",
    ),
    "bitmap": ("Bitmap", "MultichannelBitmap", "geometry_to_bitmap"),
    "undrawn_geometry": ("AlphaMask", "Cuboid", "GraphNodes", "OrientedBBox", "deserialize_geometry"),
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
    "inference_processes": ("BatchInferenceMultiprocessApplier",),
    "deploy": ("ModelDeploy",),
    "configs": ("AlwaysPassingConfigValidator", "JsonConfigValidator"),
    "metrics": (
        "ClassificationMetrics",
        "ConfusionMatrixMetric",
        "IoUMetric",
        "MAPMetric",
        "MetricProjectsApplier",
        "MetricsBase",
        "PixelAccuracyMetric",
        "PrecisionRecallMetric",
    ),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_WHERE)


# Modules that plugins know by these names, as attributes.
_MODULES = ("color", "fs", "image")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
