"""Pipelines under ClearML's names: steps that are functions or runs, each recorded as a run of its own.

The steps run on this machine, one after another, each as soon as those that it needs are done.
"""

from __future__ import annotations

import functools
import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from ravenml.errors import InputError, RavenError
from ravenml.task import parameters
from ravenml.task.draft import Draft
from ravenml.task.names import ClearMLName
from ravenml.task.recorded import ARGUMENTS
from ravenml.task.steps import is_step, run_function
from ravenml.task.task import Task
from ravenml.task.task_view import TaskView

F = TypeVar("F", bound=Callable[..., Any])
_REFERENCE = re.compile(r"\$\{([^${}]+)\}")


@dataclass
class Step:
    """A step of a pipeline; ClearML's callbacks are given it as the ``node``.

    Attributes:
        name: unlike any other's in the pipeline.
        parents: the names of the steps that come before it.
        base_task_id: the run that it repeats; None for a function.
        function, kwargs, returns: what is called, with what, and the names of what it returns.
        parameters: what is different from the run that it repeats.
        executed: the ID of its run, once it has one.
        status: ``pending``, ``running``, ``completed``, ``failed`` or ``skipped``.
    """

    name: str
    parents: Sequence[str] = ()
    base_task_id: str | None = None
    function: Callable[..., Any] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    returns: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    task_type: str = "training"
    before: Callable[..., Any] | None = None
    after: Callable[..., Any] | None = None
    may_fail: bool = False
    executed: str | None = None
    status: str = "pending"
    results: Mapping[str, Any] = field(default_factory=dict)


class PipelineController(ClearMLName):
    """A pipeline of steps that are added by name; ``start`` runs them.

    Args:
        name, project: of the pipeline's own run.
        version: is recorded.
    """

    def __init__(
        self, name: str, project: str | None = None, version: str | None = None, **_: object
    ) -> None:
        self.name, self.project, self.version = name, project, version or "1.0.0"
        self._steps: dict[str, Step] = {}
        self._parameters: dict[str, Any] = {}
        self._tags: list[str] = []
        self._task: Task | None = None
        self._began = self._ended = 0.0
        self._stopped = False

    # Building it.

    def add_parameter(
        self, name: str, default: Any = None, description: str | None = None, param_type: str | None = None
    ) -> None:
        """Add a parameter, which steps are given as ``${pipeline.NAME}``."""
        self._parameters[name] = default

    def get_parameters(self) -> dict[str, Any]:
        """The parameters by name."""
        return dict(self._parameters)

    def add_step(
        self,
        name: str,
        base_task_id: str | None = None,
        parents: Sequence[str] | None = None,
        parameter_override: Mapping[str, Any] | None = None,
        base_task_project: str | None = None,
        base_task_name: str | None = None,
        continue_on_fail: bool = False,
        pre_execute_callback: Callable[..., Any] | None = None,
        post_execute_callback: Callable[..., Any] | None = None,
        **_: object,
    ) -> bool:
        """Add a step that repeats a run.

        Args:
            base_task_id: the run; or
            base_task_project, base_task_name: the newest run of this project and name.
            parameter_override: what is different, by section and name; may refer to steps:
                ``${STEP.id}``, ``${STEP.artifacts.NAME.url}``, ``${pipeline.NAME}``.
            continue_on_fail: run the rest even if it fails.
            pre_execute_callback: is given pipeline, step and parameters; the step is left out on False.
            post_execute_callback: is given pipeline and step.

        Raises:
            InputError: the name is taken, or there is no such run or parent.
        """
        base = Task.get_task(base_task_id, base_task_project, base_task_name)
        if base is None:
            raise InputError(
                f"add_step: there is no run {base_task_name!r} in {base_task_project!r} to repeat."
            )
        self._add(
            Step(
                name,
                tuple(parents or ()),
                base_task_id=base.id,
                parameters=dict(parameter_override or {}),
                may_fail=continue_on_fail,
                before=pre_execute_callback,
                after=post_execute_callback,
            )
        )
        return True

    def add_function_step(
        self,
        name: str,
        function: Callable[..., Any],
        function_kwargs: Mapping[str, Any] | None = None,
        function_return: Sequence[str] | None = None,
        parents: Sequence[str] | None = None,
        task_type: str | None = None,
        continue_on_fail: bool = False,
        pre_execute_callback: Callable[..., Any] | None = None,
        post_execute_callback: Callable[..., Any] | None = None,
        **_: object,
    ) -> bool:
        """Add a step that calls a function, in a process and a run of its own.

        Args:
            function: one at the top of its file; what it returns must be such that pickle can take it.
            function_kwargs: its arguments; may refer to what a step has returned (``${STEP.NAME}``), and to
                all that ``add_step`` names.
            function_return: names for what it returns, by which later steps refer to it.

        Raises:
            InputError: the name is taken, or there is no such parent.
        """
        self._add(
            Step(
                name,
                tuple(parents or ()),
                function=function,
                kwargs=dict(function_kwargs or {}),
                returns=tuple(function_return or ()),
                task_type=str(task_type or "data_processing"),
                may_fail=continue_on_fail,
                before=pre_execute_callback,
                after=post_execute_callback,
            )
        )
        return True

    def add_tags(self, tags: Sequence[str] | str) -> None:
        """Add words by which people find the pipeline's run."""
        self._tags += [tags] if isinstance(tags, str) else list(tags)

    def set_default_execution_queue(self, default_execution_queue: str | None) -> None:
        """Steps run on this machine, whatever stands here."""

    # Running it.

    def start(self, queue: str | None = None, wait: bool = True, **_: object) -> bool:
        """Run all steps; the pipeline itself is a run, too.

        Returns:
            Whether all were completed.

        Raises:
            RavenError: a step failed that may not.
        """
        if is_step():
            raise InputError(
                'Start the pipeline below `if __name__ == "__main__":`; its steps import the file.'
            )
        current = Task.current_task()
        own = current is None or current._ended
        self._task = task = Task.init(self.project, self.name, Task.TaskTypes.controller, tags=self._tags)
        self._parameters |= parameters.find_overridden(self._parameters, None)
        parameters.record(self._parameters, arguments=ARGUMENTS)
        self._began = time.monotonic()
        try:
            while (step := self._next()) is not None:
                self._run(step)
        except BaseException as error:
            if own and isinstance(error, Exception):
                task.mark_failed(status_reason=str(error))
            raise
        finally:
            self._ended = time.monotonic()
        if own:
            task.close()
        return self.is_successful()

    def start_locally(self, run_pipeline_steps_locally: bool = False) -> None:
        """Run all steps; see :meth:`start`."""
        self.start()

    def wait(self, timeout: float | None = None) -> bool:
        """``start`` has waited already; whether the pipeline has ended."""
        return not self.is_running()

    def stop(self, **_: object) -> None:
        """Begin no further step."""
        self._stopped = True

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return bool(self._began) and not self._ended

    def is_successful(self, fail_on_step_fail: bool = True, fail_condition: str = "all") -> bool:
        """Whether no step has failed, and none is left."""
        return all(step.status in ("completed", "skipped") for step in self._steps.values())

    def elapsed(self) -> float:
        """For how many minutes it has run."""
        return ((self._ended or time.monotonic()) - self._began) / 60 if self._began else -1.0

    @property
    def task(self) -> Task | None:
        """The pipeline's own run; None before it is started."""
        return self._task

    @property
    def id(self) -> str | None:
        """The ID of the pipeline's own run."""
        return self._task.id if self._task is not None else None

    def get_pipeline_dag(self) -> Mapping[str, Step]:
        """The steps by name."""
        return dict(self._steps)

    def get_processed_nodes(self) -> list[Step]:
        """The steps that have ended."""
        return [step for step in self._steps.values() if step.status not in ("pending", "running")]

    def get_running_nodes(self) -> list[Step]:
        """The step that runs now, if any."""
        return [step for step in self._steps.values() if step.status == "running"]

    @classmethod
    def get_logger(cls) -> Any:
        """The logger of the current task."""
        task = Task.current_task()
        return None if task is None else task.get_logger()

    @classmethod
    def upload_artifact(cls, name: str, artifact_object: object, **more: Any) -> bool:
        """Keep an artifact with the current task."""
        task = Task.current_task()
        return task is not None and task.upload_artifact(name, artifact_object, **more)

    def _add(self, step: Step) -> None:
        if step.name in self._steps or step.name == "pipeline":
            raise InputError(f"There is a step {step.name!r} already; name it otherwise.")
        named = {one for value in (step.kwargs, step.parameters) for one in _references(value)}
        parents = dict.fromkeys([*step.parents, *sorted(named - {"pipeline"})])
        for parent in parents:
            if parent not in self._steps:
                known = ", ".join(self._steps) or "none"
                raise InputError(
                    f"The step {step.name!r} needs {parent!r}, which is no step before it: {known}."
                )
        step.parents = tuple(parents)
        self._steps[step.name] = step

    def _next(self) -> Step | None:
        """The first step that has not run, and whose parents have."""
        if self._stopped:
            return None
        for step in self._steps.values():
            if step.status == "pending":
                before = [self._steps[name] for name in step.parents]
                if all(one.status == "completed" or one.may_fail for one in before):
                    return step
                step.status = "skipped"  # a parent was left out
        return None

    def _run(self, step: Step) -> None:
        overrides = {name: self._resolved(value) for name, value in step.parameters.items()}
        kwargs = {name: self._resolved(value) for name, value in step.kwargs.items()}
        if step.before is not None and step.before(self, step, overrides or kwargs) is False:
            step.status = "skipped"
            return
        step.status = "running"
        try:
            if step.function is not None:
                named = (self.project, step.name, step.task_type, f"pipeline:{self.name}")
                step.executed, step.results = run_function(step.function, (), kwargs, step.returns, *named)
            else:
                draft = Draft.of_run(step.base_task_id or "", step.name, self.project)
                draft.set_parameters(overrides)
                draft.start()
                step.executed = draft.id
                if draft.wait() != "completed":
                    raise RavenError(f"it is {draft.status}; `raven runs logs {draft.id}` shows why")
            step.status = "completed"
        except RavenError as error:
            step.status = "failed"
            if not step.may_fail:
                raise RavenError(f"The step {step.name!r} failed: {error}") from error
        if step.after is not None:
            step.after(self, step)

    def _resolved(self, value: Any) -> Any:
        """A value with what it refers to; the whole of a reference keeps its type."""
        if isinstance(value, Mapping):
            return {name: self._resolved(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._resolved(one) for one in value)
        if not isinstance(value, str):
            return value
        if whole := _REFERENCE.fullmatch(value):
            return self._look_up(whole[1])
        return _REFERENCE.sub(lambda found: str(self._look_up(found[1])), value)

    def _look_up(self, reference: str) -> Any:
        name, *path = reference.split(".")
        if name == "pipeline" and len(path) == 1 and path[0] in self._parameters:
            return self._parameters[path[0]]
        step = self._steps.get(name)
        if step is not None and len(path) == 1 and path[0] in step.results:
            return step.results[path[0]]
        run = TaskView(self._folder(step)) if step is not None and step.executed else None
        match path:
            case ["id"] if step is not None:
                return step.executed
            case ["artifacts", artifact, "url" | "path"] if run is not None and artifact in run.artifacts:
                return run.artifacts[artifact].url
            case ["artifacts", artifact] if run is not None and artifact in run.artifacts:
                return run.artifacts[artifact].get()
            case ["parameters", *parts] if run is not None:
                return run.get_parameter(".".join(parts).replace(".", "/", 1))
            case ["models", kind, number, field_] if run is not None:
                return getattr(run.models[kind][int(number)], field_)
        raise InputError(f"${{{reference}}} is nothing that the pipeline or a step before has.")

    @staticmethod
    def _folder(step: Step) -> Any:
        from ravenml.config.home import runs_dir

        return runs_dir() / str(step.executed)


def _references(value: Any) -> set[str]:
    """The names of steps that a value refers to."""
    if isinstance(value, Mapping):
        return {name for one in value.values() for name in _references(one)}
    if isinstance(value, list | tuple):
        return {name for one in value for name in _references(one)}
    return {one.partition(".")[0] for one in _REFERENCE.findall(value)} if isinstance(value, str) else set()


class PipelineDecorator(ClearMLName):
    """Pipelines that are functions: those below ``pipeline`` call those below ``component``."""

    _in_process: ClassVar[bool] = False
    _current: ClassVar[tuple[str | None, str] | None] = None  # project and name of the one that runs
    _counts: ClassVar[dict[str, int]] = {}

    @classmethod
    def component(
        cls,
        _func: Callable[..., Any] | None = None,
        *,
        return_values: str | Sequence[str] = ("return_object",),
        name: str | None = None,
        task_type: str | None = None,
        **_: object,
    ) -> Any:
        """Make a function a step: within a pipeline, a call runs in a process and a run of its own.

        Args:
            return_values: names under which what it returns is kept with its run.
            name: of its run; by default, the function's.
        """
        names = (return_values,) if isinstance(return_values, str) else tuple(return_values)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                if cls._current is None or cls._in_process or is_step():
                    return function(*args, **kwargs)
                project, pipeline = cls._current
                title = name or function.__name__
                count = cls._counts[title] = cls._counts.get(title, 0) + 1
                title = title if count == 1 else f"{title}_{count}"
                kind = str(task_type or "training")
                named = (project, title, kind, f"pipeline:{pipeline}")
                try:
                    _run, results = run_function(call, args, kwargs, names, *named)
                except RavenError as error:
                    raise RavenError(f"The step {title!r} failed: {error}") from error
                values = tuple(results.values())
                return values[0] if len(values) == 1 else values or None

            return call

        return decorate if _func is None else decorate(_func)

    @classmethod
    def pipeline(
        cls,
        _func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        project: str | None = None,
        version: str | None = None,
        **_: object,
    ) -> Any:
        """Make a function a pipeline: a call is a run, with the function's arguments as its parameters."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                if is_step():
                    raise InputError(
                        'Call the pipeline below `if __name__ == "__main__":`; its steps import the file.'
                    )
                title = name or function.__name__
                current = Task.current_task()
                own = current is None or current._ended
                task = Task.init(project, title, Task.TaskTypes.controller)
                given = inspect.signature(function).bind(*args, **kwargs)
                given.apply_defaults()
                values = dict(given.arguments)
                values |= parameters.find_overridden(values, None)
                parameters.record(values, arguments=ARGUMENTS)
                cls._current, cls._counts = (project, title), {}
                try:
                    result = function(**values)
                except Exception as error:
                    if own:
                        task.mark_failed(status_reason=str(error))
                    raise
                finally:
                    cls._current = None
                if own:
                    task.close()
                return result

            return call

        return decorate if _func is None else decorate(_func)

    @classmethod
    def run_locally(cls) -> None:
        """Pipelines run on this machine anyway."""

    @classmethod
    def debug_pipeline(cls) -> None:
        """Call the steps in this process, without runs of their own."""
        cls._in_process = True

    @classmethod
    def set_default_execution_queue(cls, default_execution_queue: str | None) -> None:
        """Steps run on this machine, whatever stands here."""

    @classmethod
    def get_logger(cls) -> Any:
        """The logger of the current task."""
        return PipelineController.get_logger()

    @classmethod
    def upload_artifact(cls, name: str, artifact_object: object, **more: Any) -> bool:
        """Keep an artifact with the current task."""
        return PipelineController.upload_artifact(name, artifact_object, **more)
