"""Names of Supervisely's SDK that cannot work here: they can be imported, and say so when they are used.

Plugins import them for parts that they may never reach, so the import itself must not fail.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ravenml.errors import RavenError

_INSTANCE = (
    "there is no Supervisely instance to talk to; a plugin reads TaskPaths.DATA_DIR and writes to "
    "TaskPaths.RESULTS_DIR"
)
_VIDEOS = "videos are not supported; import their frames as images"
_POINT_CLOUDS = "point clouds are not supported"

# Why, and which names: of each module below supervisely_lib ("" is the package itself).
_NAMES: dict[str, dict[str, str]] = {
    _INSTANCE: {
        "": "AgentAPI Api NotificationType WaitingTimeExceeded api_proto download_pointcloud_project "
        "download_project download_video_project",
        "api": "Api SUPERVISELY_TASK_ID",
        "api.api": "Api SUPERVISELY_TASK_ID",
        "api.module_api": "ApiField",
        "api.report_api": "NotificationType",
        "api.task_api": "WaitingTimeExceeded",
        "labeling_jobs.utils": "classes_summary images_summary jobs_stats jobs_summary tags_summary",
        "project.project": "download_project",
        "worker_api.agent_api": "AgentAPI",
        "worker_api.agent_rpc": "SimpleCache decode_image download_data_from_remote "
        "download_image_from_remote",
        "worker_api.chunking": "ChunkSplitter ChunkedFileReader ChunkedFileWriter",
        "worker_api.rpc_servicer": "AgentRPCServicer AgentRPCServicerBase SmarttoolRPCServicer",
        "worker_proto.worker_api_pb2": "Empty GeneralEvent",
    },
    _VIDEOS: {
        "": "Frame FrameCollection VideoAnnotation VideoDataset VideoFigure VideoObject "
        "VideoObjectCollection VideoProject",
        "project.video_project": "VideoDataset VideoProject download_video_project",
        "video": "ALLOWED_VIDEO_EXTENSIONS has_valid_ext validate_ext",
        "video.import_utils": "get_dataset_name",
        "video.video": "ALLOWED_VIDEO_EXTENSIONS _SUPPORTED_CODECS _SUPPORTED_CONTAINERS "
        "_check_video_requires_processing gen_video_stream_name get_video_streams has_valid_ext "
        "validate_ext warn_video_requires_processing",
        "video_annotation.frame": "Frame",
        "video_annotation.frame_collection": "FrameCollection",
        "video_annotation.key_id_map": "KeyIdMap",
        "video_annotation.video_annotation": "VideoAnnotation",
        "video_annotation.video_figure": "VideoFigure",
        "video_annotation.video_object": "VideoObject",
        "video_annotation.video_object_collection": "VideoObjectCollection",
    },
    _POINT_CLOUDS: {
        "": "PointcloudAnnotation PointcloudDataset PointcloudFigure PointcloudObject PointcloudProject",
        "pointcloud": "ALLOWED_POINTCLOUD_EXTENSIONS is_valid_ext validate_ext",
        "pointcloud.pointcloud": "ALLOWED_POINTCLOUD_EXTENSIONS is_valid_ext validate_ext",
        "pointcloud_annotation.pointcloud_annotation": "PointcloudAnnotation",
        "pointcloud_annotation.pointcloud_figure": "PointcloudFigure",
        "pointcloud_annotation.pointcloud_object": "PointcloudObject",
        "project.pointcloud_project": "PointcloudDataset PointcloudProject download_pointcloud_project",
    },
}
_WHY = {
    (module, name): reason
    for reason, modules in _NAMES.items()
    for module, names in modules.items()
    for name in names.split()
}
MODULES = frozenset(module for module, _ in _WHY if module)


class NotAvailable(RavenError):
    """A plugin used what cannot work here."""


class _Unavailable(type):
    """A class whose use raises, whatever the use is; only to be imported and inherited from."""

    _sentence: str

    def _refuse(cls, *_: object, **__: object) -> NoReturn:
        raise NotAvailable(cls._sentence)

    __call__ = __iter__ = __len__ = __contains__ = __getitem__ = __str__ = _refuse

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        cls._refuse()


def find(module: str, name: str) -> Any:
    """What stands for a name of a module below supervisely_lib.

    Raises:
        AttributeError: it is not among those that cannot work.
    """
    reason = _WHY.get((module, name))
    if reason is None:
        full = f"supervisely_lib.{module}".rstrip(".")
        raise AttributeError(f"module {full!r} has no attribute {name!r}")
    sentence = f"supervisely_lib's {name} cannot be used: {reason}."
    if name == "WaitingTimeExceeded":  # plugins catch it
        return type(name, (Exception,), {"__doc__": sentence})
    return _Unavailable(name, (), {"__doc__": sentence, "_sentence": sentence})


def is_unavailable(value: object) -> bool:
    """Whether a value stands for what cannot work."""
    return isinstance(value, _Unavailable)


def reasons() -> dict[str, list[str]]:
    """Why names cannot work, and which ones, under their shortest names."""
    return {
        reason: sorted({name for names in modules.values() for name in names.split()})
        for reason, modules in _NAMES.items()
    }
