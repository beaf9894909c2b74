"""One training from its request to its finished, stored run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from ravenml.common.io import JsonObject
from ravenml.compat.prompts import OVERWRITE, answering, may_ask
from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.console import mask_own_log, masks_console, record_console
from ravenml.runs.display import Display
from ravenml.runs.monitor import RunMonitor
from ravenml.runs.progress import RunProgress
from ravenml.runs.run import Run
from ravenml.store.publish_folder import check_destination
from ravenml.store.results import USUAL_FILES
from ravenml.train import finish
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.record import describe_origin, read_fold_choices, record_inputs
from ravenml.train.request import Request
from ravenml.train.settings import check_for_project

if TYPE_CHECKING:
    from ravenml.data.project import Project

Result = TypeVar("Result")


class Session:
    """Begins a run when it is first used, and finishes it whatever ends the block.

    Attributes:
        called, calling: whether the plugin's code has been called, and whether it is running now.
        run: the run, once it was begun.
        result: what the training returned, once it has.
        display: what shows the run's progress; folds have none, their parent shows them.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.called = self.calling = False
        self.run: Run | None = None
        self.result: finish.TrainResult | None = None
        self.display: Display | None = None
        self._stack = ExitStack()
        self._shown = ExitStack()

    def run_whole(self, call: Callable[[TrainInput], Result]) -> Result:
        """Call the plugin, then keep, store and report what comes back."""
        with self:
            output = self.call(call)
            if isinstance(output, TrainOutput):
                self.result = finish.keep_output(self.input.run, output, self.input.plugin_metadata)
                if self.request.parent is None:  # a parent stores its folds' results
                    self.complete()
        self.report()
        return output

    def call(self, call: Callable[[TrainInput], Result]) -> Result:
        """Call the plugin's code with the ``TrainInput``."""
        train = self.input
        folder = self.request.fold_folder
        if not self.called and self.request.parent is not None and folder is not None and masks_console():
            self._stack.enter_context(mask_own_log(folder / layout.CONSOLE))
        self.called = self.calling = True
        # A new run's folder for artifacts holds no old data, whatever a plugin for ravenML 1 thinks of it.
        known: JsonObject = {} if self.request.resumed is not None else {OVERWRITE: True}
        try:
            with answering({**known, **self.request.config.answers}):
                return call(train)
        finally:
            self.calling = False

    def close(self) -> None:
        """Finish what nobody finished: a group used its run, and none of its commands continued it."""
        if self.run is not None and not self.run.finished:
            self.__exit__(None, None, None)

    @cached_property
    def input(self) -> TrainInput:
        """The ``TrainInput`` of the request, made at its first use.

        A dataset that was named is opened now, so that a wrong one is reported before anything heavy is
        imported.
        """
        request = self.request
        if request.config.artifact_path is not None and request.parent is None:
            resumed = request.resumed.name if request.resumed is not None else None
            local = Path(request.config.artifact_path)
            check_destination(local, request.config.overwrite_local, resumed, USUAL_FILES)
        known = request.fold_folder or request.resumed
        train = TrainInput(
            request.plugin_name,
            request.config,
            request.settings,
            request.fold,
            known if known is not None and (known / layout.RUN_JSON).exists() else None,
            read_fold_choices(request.parent) if request.parent is not None else None,
            open_dataset=self._open_dataset,
            make_split=request.make_split,
            begin_run=self.begin,
        )
        if request.config.dataset is not None:
            _ = train.dataset if request.wants_folds else train.split
        return train

    def _open_dataset(self) -> Project:
        """The dataset; settings that the plugin cannot train on it are refused here."""
        request = self.request
        project = request.open_dataset()
        # A fold's parent has looked, and so has a resumed run; without settings it may be no project at all.
        if request.settings is not None and request.parent is None and request.resumed is None:
            check_for_project(request.settings, project.titles)
        return project

    def begin(self, train: TrainInput) -> Run:
        """Make the run's folder with all that is known before training, and show its progress."""
        request = self.request
        if request.config.dataset is None and self.calling and request.choose_dataset is not None:
            _ = train.dataset  # the choice among datasets, before a live view takes the terminal
        folder = request.fold_folder or request.resumed or runs_dir() / layout.new_run_id()
        run_id = f"{request.parent.name}-f{request.fold}" if request.parent is not None else folder.name
        watched = RunProgress("", folder)
        again = {"resume": f"{request.command} --resume {run_id}"}
        self.run = Run.begin(folder, run_id, describe_origin(request) | again)
        self._stack.enter_context(self.run.stop.listening())
        record_inputs(request, self.run, train)
        # A fold that is a process of its own has its log as its output already.
        tees = (
            self._stack.enter_context(record_console(folder / layout.CONSOLE))
            if request.parent is None
            else ()
        )
        self._stack.enter_context(self._shown)
        if request.parent is None:  # the parent of folds measures the whole
            self._shown.enter_context(RunMonitor.of(self.run))
        self.display = self._shown.enter_context(Display(sys.stdout, tees, self.run.stop, not may_ask()))
        if not request.wants_folds:
            self.display.watch(watched)
        return self.run

    def complete(self) -> None:
        """Describe, finish and store what the training made; see :func:`ravenml.train.finish.complete`."""
        assert self.run is not None and self.result is not None
        self.stop_display()
        finish.complete(self.request, self.run, self.result, self.input)

    def say(self, line: str) -> None:
        """Print a line above whatever shows the progress."""
        if self.display is not None:
            self.display.say(line)
        else:
            with suppress(BrokenPipeError):  # whoever read the output has gone; the training goes on
                print(line, flush=True)

    def stop_display(self) -> None:
        """Show the last state of the progress, and give the terminal back."""
        self._shown.close()
        self.display = None

    def watch(self, run: RunProgress) -> None:
        """Show the progress of one more run."""
        if self.display is not None:
            self.display.watch(run)

    def report(self) -> None:
        """Say where the result lies; a fold's parent says it for all folds."""
        if self.run is not None and self.result is not None and self.request.parent is None:
            finish.report(self.request, self.run, self.result)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.run is not None:
                finish.end(self.request, self.run, self.result, error)
            elif self.called and isinstance(error, Exception) and not isinstance(error, RavenError):
                raise finish.explain_plugin_error(self.request, None, error) from error
        finally:
            self._stack.close()
