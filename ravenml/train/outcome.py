"""Keeping what a training returned: in the run's folder first, then in the store."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import to_jsonable, write_json
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.run import Run
from ravenml.runs.secrets import redact
from ravenml.runs.upload import store_run
from ravenml.store.model_state import read_config
from ravenml.train.interfaces import TrainInput, TrainOutput

if TYPE_CHECKING:
    from ravenml.train.request import Request


@dataclass
class TrainResult:
    """What ``run.json`` keeps of a training's result.

    Attributes:
        metrics: the final scores, by address.
        models: the models' files within the run's folder, by suffix to the run's id.
        metadata: what the plugin says about them.
        stored: where the result was stored; None as long as it was not.
        remote: whether that is a bucket.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    stored: str | None = None
    remote: bool = False

    def as_result(self) -> dict[str, Any]:
        """Plain values, with ``model`` for the common case of a single one."""
        plain_values = {**asdict(self), "model": self.models.get("")}
        del plain_values["remote"]
        return plain_values


def collect_output(run: Run, output: TrainOutput) -> TrainResult:
    """Bring all that ``output`` names into the run's folder."""
    model = output.model_path
    if model is None and (run.path / layout.MODEL_STATE).exists():
        model = run.path / layout.MODEL_STATE
    metrics: dict[str, Any] = run.last_metrics()
    if output.scores is not None:
        output.scores.save(run.path / layout.SCORES)
        final = to_jsonable(output.scores.values(), "TrainOutput.scores")
        metrics |= {f"val/{name}": value for name, value in final.items()}
    for path in (*output.extra_files, *([output.artifact_path] if output.artifact_path else [])):
        _bring(path, run.path)
    models = {"": _bring(model, run.path)} if model is not None else {}
    return TrainResult(metrics, models, to_jsonable(output.metadata, "TrainOutput.metadata"))


def _bring(path: Path, folder: Path) -> str:
    """The name of ``path`` within the run's folder; copied to ``artifacts/`` if it lies elsewhere."""
    if path.resolve().is_relative_to(folder.resolve()):
        return path.resolve().relative_to(folder.resolve()).as_posix()
    target = folder / layout.ARTIFACTS / path.name
    target.parent.mkdir(exist_ok=True)
    number = 1
    while target.exists():  # another file of the same name was returned too
        number += 1
        target = target.with_name(f"{path.stem}_{number}{path.suffix}")
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
    return target.relative_to(folder).as_posix()


def write_metadata(run: Run, outcome: TrainResult, train: TrainInput) -> None:
    """Write ``metadata.json``: all that is stored about the result, whenever it is."""
    models = {suffix: run.path / name for suffix, name in outcome.models.items()}
    record = run.record
    description: dict[str, Any] = {
        "v": 1,
        "id": run.id,
        "created": record["created"],
        "finished": utc_timestamp(),
        **{name: record.get(name) for name in ("plugin", "plugin_version", "dataset", "config")},
        "architecture": architecture(models),
        "metrics": outcome.metrics,
        "code": record.get("provenance", {}).get("code", {}),
        **{name: value for name, value in train.metadata.items() if value is not None},
        "plugin_metadata": {**train.plugin_metadata, **outcome.metadata},
    }
    write_json(run.path / layout.METADATA, redact(description))


def store_result(request: Request, run: Run, outcome: TrainResult) -> None:
    """Put the result of a sealed run into the user's folder or the store, and note where.

    Raises:
        RavenError: it cannot be stored; nothing is lost, the result stays in the run's folder.
    """
    local = Path(request.config.artifact_path) if request.config.artifact_path else None
    try:
        stored = store_run(run.path, local, request.config.upload_checkpoints)
    except (RavenError, OSError) as error:
        again = "" if local is not None else f"\nStore it later with: raven runs upload {run.id}"
        raise RavenError(
            f"The training is done and kept in {run.path}, but could not be stored: {error}{again}"
        ) from error
    outcome.stored, outcome.remote = stored.where, stored.remote


def architecture(models: dict[str, Path]) -> str:
    """The first part of a stored model's name: what its own config says, else ``model``."""
    for path in models.values():
        if path.suffix == ".tar":
            try:
                named = str(read_config(path).get("settings", {}).get("architecture") or "model")
                return re.sub(r"[^\w.-]+", "_", named)
            except RavenError:
                return "model"
    return "model"
