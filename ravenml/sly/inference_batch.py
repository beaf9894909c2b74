"""Running a network over a whole project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ravenml.common.io import read_json
from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.configs import AlwaysPassingConfigValidator
from ravenml.sly.inference_modes import MODE, InferenceModeFactory, get_effective_inference_mode_config
from ravenml.sly.inference_single_image import SingleImageInferenceBase
from ravenml.sly.paths import TaskPaths
from ravenml.sly.progress import Progress, report_inference_finished
from ravenml.sly.project import OpenMode, Project, read_single_project


class BatchInferenceApplier:
    """Annotates the task's project with a network, and writes the result as a project into ``results/``.

    Args:
        single_image_inference: the network.
        default_inference_mode_config: what the task's ``mode`` is laid over.
        config_validator: a plugin's own; kept for its sake.

    Raises:
        InputError: the task's ``mode`` is wrong; the field's path is named.
    """

    def __init__(
        self,
        single_image_inference: SingleImageInferenceBase,
        default_inference_mode_config: Mapping[str, Any],
        config_validator: AlwaysPassingConfigValidator | None = None,
    ) -> None:
        self._single_image_inference = single_image_inference
        self._config_validator = config_validator or AlwaysPassingConfigValidator()
        given = read_json(Path(TaskPaths.TASK_CONFIG_PATH)).get(MODE) or {}
        self._inference_mode_config = get_effective_inference_mode_config(
            given, deepcopy(dict(default_inference_mode_config))
        )
        self._in_project = read_single_project(TaskPaths.DATA_DIR)

    def run_inference(self) -> None:
        """Annotate every image and report the end."""
        mode = InferenceModeFactory.create(
            self._inference_mode_config, self._in_project.meta, self._single_image_inference
        )
        out = Project(os.path.join(TaskPaths.RESULTS_DIR, self._in_project.name), OpenMode.CREATE)
        out.set_meta(mode.out_meta)
        progress = Progress("Model applying: ", self._in_project.total_items)
        for dataset in self._in_project:
            made = out.create_dataset(dataset.name)
            for name in dataset:
                paths = dataset.get_item_paths(name)
                ann = Annotation.load_json_file(paths.ann_path, self._in_project.meta)
                annotated = mode.infer_annotate(images.read(paths.img_path), ann)
                made.add_item_file(name, paths.img_path, annotated)
                progress.iter_done_report()
        report_inference_finished()
