"""One training from its request to its sealed, stored run."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from ravenml.common.io import to_user_error
from ravenml.config.config import load_config
from ravenml.config.home import runs_dir
from ravenml.errors import InputError, Interrupted, RavenError
from ravenml.runs import layout
from ravenml.runs.console import record_console
from ravenml.runs.display import Display
from ravenml.runs.monitor import RunMonitor
from ravenml.runs.progress import RunProgress
from ravenml.runs.run import Run
from ravenml.runs.stop import Terminated
from ravenml.runs.tables import score_table
from ravenml.store.publish_folder import check_destination
from ravenml.store.results import USUAL_FILES
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.outcome import TrainResult, collect_output, store_result, write_metadata
from ravenml.train.record import describe_origin, record_inputs
from ravenml.train.request import Request

FULL = 64 * 2**20  # bytes; with less than this left, a failure is put down to the full disk


class Session:
    """Begins a run when it is first used, and seals it whatever ends the block.

    Attributes:
        called, calling: whether the plugin's code has been called, and whether it is running now.
        run: the run, once it was begun.
        outcome: what the training returned, once it has.
        display: what shows the run's progress; folds have none, their parent shows them.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.called = self.calling = False
        self.run: Run | None = None
        self.outcome: TrainResult | None = None
        self.display: Display | None = None
        self._stack = ExitStack()
        self._shown = ExitStack()

    def run_whole(self, call: Callable[[TrainInput], Any]) -> Any:
        """Call, keep and store what comes back, seal, and say where it lies."""
        with self:
            output = self.call(call)
            if isinstance(output, TrainOutput):
                self.keep(self.input, output)
        self.tell()
        return output

    def call(self, call: Callable[[TrainInput], Any]) -> Any:
        """Call the plugin's code with the ``TrainInput``."""
        train = self.input
        self.called = self.calling = True
        try:
            return call(train)
        finally:
            self.calling = False

    def close(self) -> None:
        """Seal what nobody sealed: a group used its run, and none of its commands went on with it."""
        if self.run is not None and not self.run.finished:
            self.__exit__(None, None, None)

    @cached_property
    def input(self) -> TrainInput:
        """The ``TrainInput`` of the request, made at its first use."""
        return self.make_input()

    def make_input(self) -> TrainInput:
        """Make the ``TrainInput`` of the request.

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
            open_dataset=request.open_dataset,
            make_split=request.make_split,
            begin_run=self.begin,
        )
        if request.config.dataset is not None:
            _ = train.dataset if request.wants_folds else train.split
        return train

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
        self.display = self._shown.enter_context(Display(sys.stdout, tees, self.run.stop))
        if not request.wants_folds:
            self.display.watch(watched)
        return self.run

    def keep(self, train: TrainInput, output: TrainOutput) -> None:
        """Keep what the training returned, and store it unless a parent does."""
        self.outcome = collect_output(train.run, output)
        if self.request.parent is None:
            self.store(train)

    def store(self, train: TrainInput) -> None:
        """Seal the run as completed, and store its outcome.

        Sealed first, so that whatever ends the storing, even ``kill -9``, leaves a completed run that
        ``raven runs upload`` can store.

        Raises:
            RavenError: it cannot be stored; the run is sealed as completed all the same.
        """
        assert self.run is not None and self.outcome is not None
        self.stop_display()
        write_metadata(self.run, self.outcome, train)
        self.run.finish("completed", **self.outcome.as_result())
        self.run.stop.storing()
        if os.environ.get("RANK", "0") == "0":  # of several that train one model, the first one stores it
            store_result(self.request, self.run, self.outcome)

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

    def tell(self) -> None:
        """Say in a few lines where the result lies."""
        if self.run is None or self.outcome is None or self.request.parent is not None:
            return
        if not self.request.wants_folds:
            for line in score_table(self.outcome.metrics):
                print(line, flush=True)
        for name in self.outcome.models.values():
            print(f"Model:     {self.run.path / name}", flush=True)
        if any(self.run.path.glob(f"**/{layout.PREVIEWS}/*")):
            folds = f"{layout.FOLDS}/*/" if (self.run.path / layout.FOLDS).is_dir() else ""
            print(f"Previews:  {self.run.path}/{folds}{layout.PREVIEWS}", flush=True)
        print(f"Run:       {self.run.path}", flush=True)
        if self.outcome.stored:
            print(f"Stored:    {self.outcome.stored}", flush=True)
            self.leave_instance(self.outcome.remote)

    def leave_instance(self, safe: bool) -> None:
        """Follow ``ec2_policy``; ``safe`` says that the result lies elsewhere than on this machine."""
        config = load_config()
        if config.ec2_policy == "keep":
            return
        if not safe:
            note = f"Note: `ec2_policy: {config.ec2_policy}` is not followed: the result lies here alone."
            print(note, file=sys.stderr, flush=True)
            return
        from ravenml.store.ec2 import act

        print(act(config.ec2_policy, config.profile), flush=True)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.run is not None:
                self.run.stop.finishing = True
                self._seal(self.run, error)
            elif error is not None and self.called and _is_foreign(error):
                raise self._plugin_failed(error) from error
        finally:
            self._stack.close()

    def _seal(self, run: Run, error: BaseException | None) -> None:
        """Write how the run ended; what the user should read instead of ``error`` is raised."""
        if run.finished:  # all was done but the storing
            if isinstance(error, KeyboardInterrupt):
                raise _storing_interrupted(run, isinstance(error, Terminated)) from None
            return
        if error is None:
            if run.stop.reason is not None and self.outcome is None:
                raise self._interrupted(run)
            run.finish("completed", **(self.outcome or TrainResult(run.last_metrics())).as_result())
        elif isinstance(error, KeyboardInterrupt | Interrupted):
            if isinstance(error, Terminated):
                run.stop.reason = "SIGTERM"
            raise self._interrupted(run) from None
        elif isinstance(error, SystemExit):
            run.finish("failed" if error.code else "completed", **TrainResult(run.last_metrics()).as_result())
        elif isinstance(error, RavenError):
            self._failed(run, str(error))
            fresh = run.attempt == 1 and not run.has_output and self.request.parent is None
            if isinstance(error, InputError) and fresh:
                shutil.rmtree(run.path)  # refused before it began: there is nothing to keep
        elif isinstance(error, OSError) and error.errno is not None:
            explained = to_user_error(error, Path(str(error.filename or run.path)))
            self._failed(run, str(explained))
            raise explained from error
        else:
            log = run.path / layout.CONSOLE
            explained = self._plugin_failed(error, f"The traceback is at the end of {log}.")
            self._failed(run, str(explained).splitlines()[0])
            with suppress(OSError), log.open("a", encoding="utf-8") as file:
                traceback.print_exception(error, file=file)
            raise explained from error

    def _plugin_failed(self, error: BaseException, where: str = "RAVENML_DEBUG=1 shows where.") -> RavenError:
        if self.run is not None and shutil.disk_usage(self.run.path).free < FULL:
            # Libraries word a full disk in many ways, few of which a person would recognise.
            return RavenError(
                f"The disk that holds {self.run.path} is full; free some space and resume with: "
                f"{self.request.command} --resume {self.run.id}"
            )
        return RavenError(
            f"The plugin {self.request.plugin_name!r} failed with {type(error).__name__}: {error}\n{where}"
        )

    def _failed(self, run: Run, message: str) -> None:
        run.finish("failed", error=message, **(self.outcome or TrainResult(run.last_metrics())).as_result())

    def _interrupted(self, run: Run) -> Interrupted:
        reason = run.stop.reason or "Ctrl-C"
        run.finish(
            "interrupted", reason=reason, **(self.outcome or TrainResult(run.last_metrics())).as_result()
        )
        message = f"Interrupted by {reason}; the run is kept in {run.path}."
        if self.request.parent is None:
            found = (
                sorted(run.path.glob(f"{folds}{layout.CHECKPOINTS}/state_*")) for folds in ("", "folds/*/")
            )
            states = [state for several in found for state in several]
            message += f"\nThe last checkpoint: {states[-1].relative_to(run.path)}." if states else ""
            message += f"\nResume with: {self.request.command} --resume {run.id}"
        stopped = Interrupted(message)
        stopped.exit_code = 143 if reason == "SIGTERM" else 130
        return stopped


def _is_foreign(error: BaseException) -> bool:
    """Whether an error is a plugin's own, and not one that has its words already."""
    return isinstance(error, Exception) and not isinstance(error, RavenError)


def _storing_interrupted(run: Run, terminated: bool) -> Interrupted:
    stopped = Interrupted(
        f"The training is done and kept in {run.path}; storing it was interrupted.\n"
        f"Resume with: raven runs upload {run.id}"
    )
    stopped.exit_code = 143 if terminated else 130
    return stopped
