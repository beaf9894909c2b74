"""``HyperParameterOptimizer``: a search over the parameters of a run, under ClearML's names.

Every combination is a clone of the run with other parameters, started on this machine.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.errors import InputError, RavenError
from ravenml.task.draft import Draft
from ravenml.task.names import ClearMLName
from ravenml.task.task import Task
from ravenml.task.task_view import TaskView

Values = dict[str, Any]  # a combination: values by the parameters' names
Finished = Callable[[str, float | None, int, Values, str | None], object]


class Parameter(ClearMLName):
    """Values that a parameter may have; ``name`` is such as ``General/lr``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def draw(self, source: random.Random) -> Values:
        """One value, chosen by chance."""
        return source.choice(self.to_list())

    def to_list(self) -> list[Values]:
        """All values, in order."""
        raise InputError(f"{self.name} has no end of values; give step_size=, or use RandomSearch.")


class UniformParameterRange(Parameter):
    """Numbers from ``min_value`` to ``max_value``; for a grid, every ``step_size``."""

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step_size: float | None = None,
        include_max_value: bool = True,
    ) -> None:
        super().__init__(name)
        self.lowest, self.highest, self.step, self.closed = min_value, max_value, step_size, include_max_value

    def draw(self, source: random.Random) -> Values:
        """One value, every one equally likely."""
        return super().draw(source) if self.step else {self.name: source.uniform(self.lowest, self.highest)}

    def to_list(self) -> list[Values]:
        """The values that ``step_size`` gives."""
        if not self.step:
            return super().to_list()
        count = math.floor((self.highest - self.lowest) / self.step + 1e-9) + 1
        found = [self.lowest + number * self.step for number in range(count)]
        return [{self.name: one} for one in found if self.closed or one < self.highest]


class UniformIntegerParameterRange(UniformParameterRange):
    """Whole numbers from ``min_value`` to ``max_value``, every ``step_size``."""

    def __init__(
        self, name: str, min_value: int, max_value: int, step_size: int = 1, include_max_value: bool = True
    ) -> None:
        super().__init__(name, min_value, max_value, step_size, include_max_value)


class LogUniformParameterRange(UniformParameterRange):
    """Powers of ``base``, whose exponents are from ``min_value`` to ``max_value``."""

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        base: float = 10,
        step_size: float | None = None,
        include_max_value: bool = True,
    ) -> None:
        super().__init__(name, min_value, max_value, step_size, include_max_value)
        self.base = base

    def draw(self, source: random.Random) -> Values:
        """One value, every exponent equally likely."""
        return {name: self.base**one for name, one in UniformParameterRange(
            self.name, self.lowest, self.highest, self.step, self.closed
        ).draw(source).items()}  # fmt: skip

    def to_list(self) -> list[Values]:
        """The values that ``step_size`` gives."""
        return [{self.name: self.base ** one[self.name]} for one in super().to_list()]


class DiscreteParameterRange(Parameter):
    """These values."""

    def __init__(self, name: str, values: Sequence[Any] = ()) -> None:
        super().__init__(name)
        self.values = list(values)

    def to_list(self) -> list[Values]:
        """All of them."""
        return [{self.name: one} for one in self.values]


class ParameterSet(Parameter):
    """These combinations of several parameters."""

    def __init__(self, parameter_combinations: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__("ParameterSet")
        self.combinations = [dict(one) for one in parameter_combinations]

    def to_list(self) -> list[Values]:
        """All of them."""
        return list(self.combinations)


class GridSearch(ClearMLName):
    """Every combination, once."""

    def __init__(self, space: Sequence[Parameter], limit: int | None, seed: int) -> None:
        self._lists, self._limit = [one.to_list() for one in space], limit

    def __iter__(self) -> Iterator[Values]:
        every = itertools.product(*self._lists)
        for parts in itertools.islice(every, self._limit):
            yield {name: value for part in parts for name, value in part.items()}


class RandomSearch(ClearMLName):
    """Combinations by chance, none twice."""

    def __init__(self, space: Sequence[Parameter], limit: int | None, seed: int) -> None:
        if limit is None:
            raise InputError("RandomSearch needs total_max_jobs=, the number of runs.")
        self._space, self._limit, self._random = space, limit, random.Random(seed)

    def __iter__(self) -> Iterator[Values]:
        seen: list[Values] = []
        for _ in range(100 * self._limit):  # a small space has fewer than are wanted
            if len(seen) == self._limit:
                return
            values = {name: one for part in self._space for name, one in part.draw(self._random).items()}
            if values not in seen:
                seen.append(values)
                yield values


class HyperParameterOptimizer(ClearMLName):
    """Runs clones of a run with other parameters, and ranks them by a metric.

    Args:
        base_task_id: the run.
        hyper_parameters: what to try.
        objective_metric_title, objective_metric_series: the metric.
        objective_metric_sign: ``min`` or ``max`` of its last value, ``min_global`` or ``max_global`` of all.
        optimizer_class: ``RandomSearch`` or ``GridSearch``.
        max_number_of_concurrent_tasks: how many run at a time.
        total_max_jobs: how many run at all.
        optimization_time_limit, time_limit_per_job: in minutes, for all and for each.
        seed: of what is chosen by chance.

    Raises:
        InputError: there is no such run, or something of it is not known here.
    """

    def __init__(
        self,
        base_task_id: str,
        hyper_parameters: Sequence[Parameter],
        objective_metric_title: str,
        objective_metric_series: str,
        objective_metric_sign: str = "min",
        optimizer_class: type[GridSearch] | type[RandomSearch] = RandomSearch,
        max_number_of_concurrent_tasks: int = 1,
        total_max_jobs: int | None = None,
        optimization_time_limit: float | None = None,
        time_limit_per_job: float | None = None,
        seed: int = 1337,
        **_: object,
    ) -> None:
        if not isinstance(objective_metric_title, str) or not isinstance(objective_metric_series, str):
            raise InputError("HyperParameterOptimizer takes one objective; name one title and one series.")
        if objective_metric_sign not in ("min", "max", "min_global", "max_global"):
            raise InputError("objective_metric_sign is `min`, `max`, `min_global` or `max_global`.")
        base = Task.get_task(base_task_id)
        assert base is not None
        self._base = base.id
        self._metric = (objective_metric_title, objective_metric_series)
        self._sign = objective_metric_sign
        self._combinations = optimizer_class(hyper_parameters, total_max_jobs, seed)
        self._parallel = max(1, max_number_of_concurrent_tasks)
        self._limit, self._limit_per_job = optimization_time_limit, time_limit_per_job
        self._done: list[tuple[float | None, TaskView, Values]] = []
        self._running: dict[str, Draft] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._began = 0.0

    def start(self, job_complete_callback: Finished | None = None) -> bool:
        """Begin, in the background.

        Args:
            job_complete_callback: is given each run's ID, its value, its last step, its parameters, and the
                ID of the best run so far.
        """
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._work, args=(job_complete_callback,), daemon=True)
        self._thread.start()
        return True

    def start_locally(self, job_complete_callback: Finished | None = None) -> bool:
        """See :meth:`start`."""
        return self.start(job_complete_callback)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all have ended.

        Args:
            timeout: in minutes.

        Returns:
            Whether they have.
        """
        if self._thread is not None:
            limits = [one for one in (timeout, self._minutes_left()) if one is not None]
            self._thread.join(min(limits) * 60 if limits else None)
        return not self.is_active()

    def stop(self, timeout: float | None = None, wait_for_reporter: bool = True) -> None:
        """Begin no further run, and end those that run."""
        self._stopped.set()
        with self._lock:
            for draft in self._running.values():
                draft.stop()
        if self._thread is not None:
            self._thread.join(timeout * 60 if timeout is not None else None)

    def is_active(self) -> bool:
        """Whether runs are left, or under way."""
        return self._thread is not None and self._thread.is_alive()

    def is_running(self) -> bool:
        """See :meth:`is_active`."""
        return self.is_active()

    def set_time_limit(self, in_minutes: float | None = None, specific_time: object = None) -> None:
        """End after so many minutes from the start."""
        self._limit = in_minutes

    def set_report_period(self, report_period_minutes: float) -> None:
        """Every run is reported when it ends."""

    def elapsed(self) -> float:
        """For how many minutes it has run."""
        return (time.monotonic() - self._began) / 60 if self._began else -1.0

    def get_top_experiments(self, top_k: int) -> list[TaskView]:
        """The best runs so far, the best first."""
        return [run for _, run, _ in self._ranked()[:top_k]]

    def get_top_experiments_details(self, top_k: int, **_: object) -> list[JsonObject]:
        """The best runs so far: ``task_id``, ``hyper_parameters`` and ``metrics``."""
        title, series = self._metric
        return [
            {"task_id": run.id, "hyper_parameters": values, "metrics": {f"{title}/{series}": value}}
            for value, run, values in self._ranked()[:top_k]
        ]

    def get_num_active_experiments(self) -> int:
        """How many run now."""
        return len(self._running)

    def _ranked(self) -> list[tuple[float, TaskView, Values]]:
        with self._lock:
            found = [(value, run, values) for value, run, values in self._done if value is not None]
        return sorted(found, key=lambda one: one[0], reverse=self._sign.startswith("max"))

    def _minutes_left(self) -> float | None:
        return None if self._limit is None else max(0.0, self._limit - self.elapsed())

    def _work(self, finished: Finished | None) -> None:
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="search") as pool:
            for number, values in enumerate(self._combinations, 1):
                pool.submit(self._try, number, values, finished)

    def _try(self, number: int, values: Values, finished: Finished | None) -> None:
        left = self._minutes_left()
        if self._stopped.is_set() or (left is not None and not left):
            return
        limits = [one for one in (left, self._limit_per_job) if one is not None]
        draft = Draft.of_run(self._base, None)
        draft.set_parameters(values)
        try:
            draft.start()
            with self._lock:
                self._running[draft.id] = draft
            if draft.wait(min(limits) * 60 if limits else None) not in ("completed", "failed", "stopped"):
                draft.stop()
                draft.wait()
        except RavenError as error:
            print(f"Warning: run {number} of the search did not start: {error}")
            return
        finally:
            with self._lock:
                self._running.pop(draft.id, None)
        value = self._objective(draft)
        with self._lock:
            self._done.append((value, TaskView(draft._folder), values))
        best = self.get_top_experiments(1)
        task = Task.current_task()
        if task is not None and value is not None and not task._ended:
            task.get_logger().report_scalar("objective", "/".join(self._metric), value, number)
        if finished is not None:
            finished(draft.id, value, draft.get_last_iteration(), values, best[0].id if best else None)

    def _objective(self, run: TaskView) -> float | None:
        """The metric's value; of TensorBoard's curves, the series stands behind the name of a folder."""
        title, series = self._metric
        metrics = run.get_last_scalar_metrics()
        found = metrics.get(title, {}).get(series) or next(
            (inner[series] for inner in metrics.values() if series in inner), None
        )
        if found is None:
            return None
        key = self._sign.removesuffix("_global") if self._sign.endswith("_global") else "last"
        return float(found[key])
