"""A run as another script reads it: what ``Task.get_task`` returns, under ClearML's names."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ravenml.common.io import JsonObject, resolve_inside
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.runs.curves import curves
from ravenml.runs.events import effective_metrics, newest_metrics, read_events
from ravenml.runs.notes import archive_run, change_tags, read_notes
from ravenml.runs.record import read_record, status
from ravenml.task.artifacts import Artifact
from ravenml.task.models import Model, read_models
from ravenml.task.names import ClearMLName
from ravenml.task.recorded import (
    MODEL_KINDS,
    STATUSES,
    is_model,
    list_parameters,
    read_artifacts,
    sections_of,
)

ENDED = ("completed", "failed", "stopped")
SINGLE = "summary"  # the type of metrics that have no curve


class TaskView(ClearMLName):
    """A run of this home; every question reads its files again.

    Args:
        folder: the run's.
    """

    _current: ClassVar[Any] = None  # the task of this process

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, name={self.name!r}, project={self.project!r})"

    @property
    def id(self) -> str:
        """The run's ID."""
        return self._folder.name

    @property
    def task_id(self) -> str:
        """The run's ID."""
        return self.id

    @property
    def name(self) -> str | None:
        """What people call it."""
        return self._record().get("name")

    @property
    def project(self) -> str | None:
        """What it belongs to."""
        return self._record().get("project")

    @property
    def task_type(self) -> str:
        """A word for what it is for."""
        return self._record().get("task_type") or "training"

    @property
    def parent(self) -> str | None:
        """The ID of the run that it repeats."""
        return (self._record().get("origin") or {}).get("clone_of")

    @property
    def status(self) -> str:
        """``in_progress``, ``queued``, ``completed``, ``failed``, ``stopped`` or ``unknown``."""
        found = status(self._folder, self._record())
        return STATUSES.get(found, found)

    def get_status(self) -> str:
        """See :attr:`status`."""
        return self.status

    def get_project_name(self) -> str | None:
        """What it belongs to."""
        return self.project

    def reload(self) -> None:
        """Everything is read anew anyway."""

    def wait_for_status(
        self,
        status: Collection[str] = ("completed",),
        raise_on_status: Collection[str] | None = ("failed",),
        check_interval_sec: float = 1.0,
        **_: object,
    ) -> None:
        """Wait until the run has one of these statuses, or has ended otherwise.

        Raises:
            InputError: it has a status of ``raise_on_status``, or has ended with another than ``status``.
        """
        while (now := self.status) not in status:
            if now in (raise_on_status or ()) or now in ENDED:
                raise InputError(f"The run {self.id} is {now}; `raven runs logs {self.id}` shows why.")
            time.sleep(check_interval_sec)

    # What it was told.

    def get_parameters(self, backwards_compatibility: bool = True, cast: bool = False) -> JsonObject:
        """All parameters by section and name (``Args/lr``, ``General/epochs``), as texts unless ``cast``."""
        record = self._record()
        return list_parameters(record.get("parameters") or {}, sections_of(record), cast)

    def get_parameters_as_dict(self, cast: bool = False) -> JsonObject:
        """All parameters by section, and within it by name."""
        nested: JsonObject = {}
        for path, value in self.get_parameters(cast=cast).items():
            section, _, name = path.partition("/")
            nested.setdefault(section, {})[name] = value
        return nested

    def get_parameter(self, name: str, default: Any = None, cast: bool = False) -> Any:
        """One parameter: ``General/lr``, or ``lr`` alone where only one section has it."""
        known = self.get_parameters(cast=cast)
        if name in known:
            return known[name]
        found = [path for path in known if path.endswith(f"/{name}")]
        return known[found[0]] if len(found) == 1 else default

    def get_configuration_object(self, name: str) -> str | None:
        """The text of a configuration that ``connect_configuration`` kept; None where there is none."""
        found = self.artifacts.get(name)
        return None if found is None or found.path is None else found.path.read_text()

    def get_user_properties(self, value_only: bool = False) -> JsonObject:
        """What ``set_user_properties`` recorded."""
        found: JsonObject = (self._record().get("parameters") or {}).get("properties") or {}
        return found if value_only else {name: {"name": name, "value": one} for name, one in found.items()}

    # What it has left.

    @property
    def artifacts(self) -> Mapping[str, Artifact]:
        """Its artifacts by name, without models."""
        found = read_artifacts(self._folder)
        return {
            one.name: one for one in found if one.kind not in MODEL_KINDS and not is_model(one, self._folder)
        }

    @property
    def models(self) -> Mapping[str, Sequence[Model]]:
        """``output``: the models that it saved, oldest first; ``input``: those that it connected."""
        return read_models(self._folder)

    def get_models(self) -> Mapping[str, Sequence[Model]]:
        """See :attr:`models`."""
        return self.models

    def get_last_iteration(self) -> int:
        """The newest step of a number or picture; 0 before the first."""
        steps = (event.step for event in read_events(self._folder / layout.EVENTS))
        return max((step for step in steps if step is not None), default=0)

    def get_last_scalar_metrics(self) -> JsonObject:
        """By title and series the ``last``, ``min`` and ``max`` of each curve."""
        found: JsonObject = {}
        for title, series, values in self._curves():
            finite = [one for one in values["y"] if math.isfinite(one)] or values["y"]
            found.setdefault(title, {})[series] = {
                **{"last": values["y"][-1], "min": min(finite), "max": max(finite)},
            }
        return found

    def get_reported_scalars(self, max_samples: int = 0, x_axis: str = "iter") -> JsonObject:
        """By title and series the curves: ``{"name": …, "x": [steps], "y": [numbers]}``.

        Args:
            max_samples: at most so many points of each, evenly chosen; 0 for all.
        """
        found: JsonObject = {}
        for title, series, values in self._curves():
            stride = math.ceil(len(values["x"]) / max_samples) if max_samples else 1
            thinned = {axis: points[:: max(1, stride)] for axis, points in values.items()}
            found.setdefault(title, {})[series] = {"name": series, **thinned}
        return found

    def get_reported_single_values(self) -> JsonObject:
        """The numbers that have no curve, by name."""
        newest = newest_metrics(effective_metrics(self._folder / layout.EVENTS))
        return {
            name.removeprefix(f"{SINGLE}/"): one
            for name, one in newest.items()
            if name.startswith(f"{SINGLE}/")
        }

    def get_reported_single_value(self, name: str) -> float | None:
        """A number that has no curve."""
        return self.get_reported_single_values().get(name)

    def get_reported_console_output(self, number_of_reports: int = 1) -> list[str]:
        """The last lines of its console."""
        try:
            lines = (self._folder / layout.CONSOLE).read_text(errors="replace").splitlines()
        except OSError:
            return []
        return lines[-max(1, number_of_reports) :]

    def get_output_log_web_page(self) -> str:
        """Where to look: the run's folder."""
        return str(self._folder)

    # What people say of it.

    def get_tags(self) -> list[str]:
        """The words by which people find it."""
        own = self._record().get("tags") or ()
        return list(dict.fromkeys([*own, *(read_notes(self._folder).get("tags") or ())]))

    def add_tags(self, tags: Sequence[str] | str) -> None:
        """Add words by which people find it; what a tag cannot hold becomes ``_``."""
        words = [tags] if isinstance(tags, str) else list(tags)
        change_tags(self._folder, [re.sub(r"[^\w.:/+-]", "_", word)[:64] for word in words])

    def set_archived(self, archive: bool = True) -> None:
        """Leave it out of lists, or restore it there."""
        archive_run(self._folder, archive)

    def mark_stopped(self, *_: object, status_reason: str | None = None, **__: object) -> None:
        """Ask a run that is under way to stop; it ends as ``interrupted``."""
        from ravenml.runs.stop import stop_run

        stop_run(self._folder, say=lambda text: None)

    def __getitem__(self, field: str) -> Any:
        """What ``Task.query_tasks`` can be asked for: ``task["id"]``, ``task["script.diff"]``."""
        code = ((self._record().get("provenance") or {}).get("code") or {}).get("script") or {}
        match field:
            case "id" | "name" | "project" | "status" | "parent":
                return getattr(self, field)
            case "script.diff":
                return self._diff(code)
            case "script.version_num" | "script.branch" | "script.repository":
                return code.get({"version_num": "commit", "repository": "remote"}.get(field[7:], field[7:]))
        raise KeyError(f"{field}: ravenML knows id, name, project, status, parent, and script's fields")

    def _diff(self, code: JsonObject) -> str:
        path = resolve_inside(self._folder, code.get("diff") or "")
        return "" if path is None else path.read_text(errors="replace")

    def _record(self) -> JsonObject:
        return read_record(self._folder)

    def _curves(self) -> Iterator[tuple[str, str, dict[str, list[float]]]]:
        for address, curve in curves(self._folder).items():
            title, _, series = address.rpartition("/")
            yield title or series, series, {"x": list(curve.x), "y": list(curve.y)}

    def _fits(self, conditions: Mapping[str, Any]) -> bool:
        """Whether it meets ClearML's ``_all_`` and ``_any_``: a pattern that fields have to match."""
        for name, every in (("_all_", all), ("_any_", any)):
            if condition := conditions.get(name):
                pattern = re.compile(str(condition["pattern"]))
                if not every(pattern.search(str(self[field] or "")) for field in condition["fields"]):
                    return False
        return True
