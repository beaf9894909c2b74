"""Annotating a project with a network in several processes, each of which has a copy of it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed

from ravenml.sly.configs import AlwaysPassingConfigValidator
from ravenml.sly.inference import InferenceModeBase, ProjectAnnotator, SingleImageInferenceBase
from ravenml.sly.project_meta import ProjectMeta
from ravenml.sly.reporting import Progress, report_inference_finished

MakeNetwork = Callable[[], SingleImageInferenceBase]

_annotator: ProjectAnnotator
_mode: InferenceModeBase


def _start(make: MakeNetwork, annotator: ProjectAnnotator) -> None:
    """In a new process: make the network and the mode."""
    global _annotator, _mode
    _annotator, _mode = annotator, annotator.make_mode(make())


def _annotate(dataset: str, name: str) -> ProjectMeta:
    """Annotate an item; the classes and tags of the result."""
    _annotator.annotate(_mode, dataset, name)
    return _mode.out_meta


class BatchInferenceMultiprocessApplier:
    """Annotates the task's project in several processes, and writes the result as a project.

    Args:
        single_image_inference_initializer: makes a network; called once in each process.
        num_processes: how many.
        default_inference_mode_config: what the task's ``mode`` is laid over.
        config_validator: a plugin's own; kept for its sake.
    """

    def __init__(
        self,
        single_image_inference_initializer: MakeNetwork,
        num_processes: int,
        default_inference_mode_config: Mapping[str, object],
        config_validator: AlwaysPassingConfigValidator | None = None,
    ) -> None:
        self._make, self._count = single_image_inference_initializer, num_processes
        self._config_validator = config_validator or AlwaysPassingConfigValidator()
        self._annotator = ProjectAnnotator(default_inference_mode_config)

    def run_inference(self) -> None:
        """Annotate every image and report the end.

        Raises:
            Exception: what a network raised, or `BrokenProcessPool` where a process ended.
        """
        self._annotator.create_result()
        items = self._annotator.items()
        progress = Progress("Model applying: ", len(items))
        # Forked, as plugins hand over functions that no other process could import.
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(self._count, context, _start, (self._make, self._annotator)) as pool:
            waiting = [pool.submit(_annotate, dataset, name) for dataset, name in items]
            for done in as_completed(waiting):
                self._annotator.result.set_meta(done.result())
                progress.iter_done_report()
        report_inference_finished()
