"""The end of a training, in the order in which it happens.

A training that returns is kept (all that it made lies in the run's folder), described (``metadata.json``),
finished (``run.json``), stored, and reported.  One that raises is finished as failed or interrupted, and what
the user should read instead of the error is raised.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, to_jsonable, to_user_error, write_json
from ravenml.common.secrets import redact, redact_text
from ravenml.config.config import load_config
from ravenml.errors import InputError, Interrupted, RavenError
from ravenml.runs import layout
from ravenml.runs.run import Run
from ravenml.runs.stop import Terminated
from ravenml.runs.tables import score_table
from ravenml.runs.upload import store_run
from ravenml.store.model_state import read_config
from ravenml.train.interfaces import TrainInput, TrainOutput

if TYPE_CHECKING:
    from ravenml.train.request import Request

FULL = 64 * 2**20  # bytes; with less than this left, a failure is put down to the full disk


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

    metrics: JsonObject = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)
    stored: str | None = None
    remote: bool = False

    def as_result(self) -> JsonObject:
        """Plain values, with ``model`` for the common case of a single one."""
        plain_values = {**asdict(self), "model": self.models.get("")}
        del plain_values["remote"]
        return plain_values


def keep_output(run: Run, output: TrainOutput, about_itself: JsonObject) -> TrainResult:
    """Bring all that ``output`` names into the run's folder.

    Args:
        run: the run.
        output: what the plugin returned.
        about_itself: its ``plugin_metadata``; the output's own metadata is put above it.
    """
    model = output.model_path
    if model is None and (run.path / layout.MODEL_STATE).exists():
        model = run.path / layout.MODEL_STATE
    metrics: JsonObject = run.last_metrics()
    if output.scores is not None:
        output.scores.save(run.path / layout.SCORES)
        final = to_jsonable(output.scores.values(), "TrainOutput.scores")
        metrics |= {f"val/{name}": value for name, value in final.items()}
    for path in (*output.extra_files, *([output.artifact_path] if output.artifact_path else [])):
        _bring(path, run.path)
    models = {"": _bring(model, run.path)} if model is not None else {}
    metadata = to_jsonable(about_itself, "train.plugin_metadata")
    return TrainResult(metrics, models, metadata | to_jsonable(output.metadata, "TrainOutput.metadata"))


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
    description: JsonObject = {
        "v": 1,
        "id": run.id,
        "created": record["created"],
        "finished": utc_timestamp(),
        **{name: record.get(name) for name in ("plugin", "plugin_version", "dataset", "config")},
        "architecture": read_architecture(models, outcome.metadata),
        "metrics": outcome.metrics,
        "code": record.get("provenance", {}).get("code", {}),
        **({"name": record["name"]} if record.get("name") else {}),
        **{name: value for name, value in train.metadata.items() if value is not None},
        "plugin_metadata": outcome.metadata,
    }
    write_json(run.path / layout.METADATA, redact(description))


def read_architecture(models: dict[str, Path], about_itself: JsonObject) -> str:
    """The first part of a stored model's name: what its own config says, else its plugin, else ``model``.

    Args:
        models: the models' files.
        about_itself: what the plugin says of itself and its result.
    """
    named = None
    for path in models.values():
        if path.suffix == ".tar" and named is None:
            with suppress(RavenError):
                named = read_config(path).get("settings", {}).get("architecture")
    named = named or about_itself.get("architecture")
    return re.sub(r"[^\w.-]+", "_", str(named or "model")).strip(".")[:80] or "model"


def complete(request: Request, run: Run, result: TrainResult, train: TrainInput) -> None:
    """Describe the result, finish the run as completed, and store the result.

    Finished first, so that whatever ends the storing, even ``kill -9``, leaves a completed run that
    ``raven runs upload`` can store.

    Raises:
        RavenError: it cannot be stored; the run is completed all the same.
    """
    write_metadata(run, result, train)
    run.finish("completed", **result.as_result())
    run.stop.storing()
    if os.environ.get("RANK", "0") == "0":  # of several that train one model, the first one stores it
        store_result(request, run, result)


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


def report(request: Request, run: Run, result: TrainResult) -> None:
    """Print in a few lines where the result lies, and leave this machine where the configuration says so."""
    if not request.wants_folds:
        for line in score_table(result.metrics):
            print(line, flush=True)
    for name in result.models.values():
        print(f"Model:     {run.path / name}", flush=True)
    if any(run.path.glob(f"**/{layout.PREVIEWS}/*")):
        folds = f"{layout.FOLDS}/*/" if (run.path / layout.FOLDS).is_dir() else ""
        print(f"Previews:  {run.path}/{folds}{layout.PREVIEWS}", flush=True)
    print(f"Run:       {run.path}", flush=True)
    if result.stored:
        print(f"Stored:    {result.stored}", flush=True)
        _leave_instance(result.remote, request.config.ec2_policy)


def _leave_instance(safe: bool, chosen: str | None) -> None:
    """Follow ``ec2_policy``.

    Args:
        safe: whether the result lies elsewhere than on this machine.
        chosen: the training's own policy, if it has one.
    """
    config = load_config()
    policy = chosen or config.ec2_policy
    if policy == "keep":
        return
    if not safe:
        note = f"Note: `ec2_policy: {policy}` is not followed: the result lies here alone."
        print(note, file=sys.stderr, flush=True)
        return
    from ravenml.store.ec2 import act

    print(act(policy, config.profile), flush=True)


def end(request: Request, run: Run, result: TrainResult | None, error: BaseException | None) -> None:
    """Finish a run whatever ended its training; what the user should read instead of ``error`` is raised.

    Args:
        result: what the training made, if it came so far.
        error: what it raised; None where it ended well.
    """
    run.stop.finishing = True
    if run.finished:  # all was done but the storing
        if isinstance(error, KeyboardInterrupt):
            raise _storing_interrupted(run, isinstance(error, Terminated)) from None
        return
    asked_to_stop = error is None and run.stop.reason is not None and result is None
    result = result or TrainResult(run.last_metrics())
    if asked_to_stop or isinstance(error, KeyboardInterrupt | Interrupted):
        if isinstance(error, Terminated):
            run.stop.reason = "SIGTERM"
        raise _interrupted(request, run, result) from None
    if error is None:
        run.finish("completed", **result.as_result())
    elif isinstance(error, SystemExit):
        result = TrainResult(run.last_metrics())
        run.finish("failed" if error.code else "completed", **result.as_result())
    elif isinstance(error, RavenError):
        run.finish("failed", error=str(error), **result.as_result())
        fresh = run.attempt == 1 and not run.has_output and request.parent is None
        if isinstance(error, InputError) and fresh:
            shutil.rmtree(run.path)  # refused before it began: there is nothing to keep
    elif isinstance(error, OSError) and error.errno is not None:
        explained = to_user_error(error, Path(str(error.filename or run.path)))
        run.finish("failed", error=str(explained), **result.as_result())
        raise explained from error
    else:
        log = run.path / layout.CONSOLE
        explained = explain_plugin_error(request, run, error, f"The traceback is at the end of {log}.")
        run.finish("failed", error=str(explained).splitlines()[0], **result.as_result())
        with suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(redact_text("".join(traceback.format_exception(error))))
        raise explained from error


def explain_plugin_error(
    request: Request, run: Run | None, error: BaseException, where: str = "RAVENML_DEBUG=1 shows where."
) -> RavenError:
    """What the user reads of an error that is the plugin's own."""
    if run is not None and shutil.disk_usage(run.path).free < FULL:
        # Libraries word a full disk in many ways, few of which a person would recognise.
        return RavenError(
            f"The disk that holds {run.path} is full; free some space and resume with: "
            f"{request.command} --resume {run.id}"
        )
    return RavenError(
        f"The plugin {request.plugin_name!r} failed with {type(error).__name__}: {error}\n{where}"
    )


def _interrupted(request: Request, run: Run, result: TrainResult) -> Interrupted:
    reason = run.stop.reason or "Ctrl-C"
    run.finish("interrupted", reason=reason, **result.as_result())
    message = f"Interrupted by {reason}; the run is kept in {run.path}."
    if request.parent is None:
        found = (sorted(run.path.glob(f"{folds}{layout.CHECKPOINTS}/state_*")) for folds in ("", "folds/*/"))
        states = [state for several in found for state in several]
        message += f"\nThe last checkpoint: {states[-1].relative_to(run.path)}." if states else ""
        message += f"\nResume with: {request.command} --resume {run.id}"
    stopped = Interrupted(message)
    stopped.exit_code = 143 if reason == "SIGTERM" else 130
    return stopped


def _storing_interrupted(run: Run, terminated: bool) -> Interrupted:
    stopped = Interrupted(
        f"The training is done and kept in {run.path}; storing it was interrupted.\n"
        f"Resume with: raven runs upload {run.id}"
    )
    stopped.exit_code = 143 if terminated else 130
    return stopped
