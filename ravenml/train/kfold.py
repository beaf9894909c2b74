"""k-fold cross-validation: a process per fold, one score in which every image counts once."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ravenml.common.io import read_json, write_json
from ravenml.common.permissions import make_folder
from ravenml.config.machine import THREAD_VARIABLES, usable_cores
from ravenml.data.cache import default_cache
from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.errors import Interrupted, RavenError
from ravenml.infer.evaluation import pool_evaluations
from ravenml.remote.worker.folds import ClusterFold, cluster_folds, is_cluster_run
from ravenml.runs import layout
from ravenml.runs.launcher import FOLD, PARENT, Child, launch
from ravenml.runs.progress import RunProgress, Series
from ravenml.runs.record import read_record, status
from ravenml.runs.run import Run
from ravenml.train.finish import TrainResult
from ravenml.train.interfaces import TrainInput
from ravenml.train.record import keep_fold_choices
from ravenml.train.request import Request
from ravenml.train.session import Session
from ravenml.train.settings import TrainSettings
from ravenml.train.summary import failure_reason, summarise

GRACE = 60.0  # seconds that a fold has to stop gracefully
_LOOK = 0.1  # seconds between two looks at the folds: whoever trains on the same cores must not feel them


def run_folds(session: Session, call: Callable[[TrainInput], object]) -> None:
    """Train every fold that is not done yet, then score and store them as one run.

    Raises:
        RavenError: a fold failed; the others were trained, and the message says how to go on.
    """
    request = session.request
    with session:
        train = session.input
        plan = request.make_folds(train.dataset)
        run = train.run
        record_plan(run, plan)
        todo = [fold for fold in range(len(plan)) if not is_done(run.path, fold)]
        if request.in_process:
            _train_here(request, call, run, todo)
        else:
            if not is_cluster_run():
                warm_cache(train.dataset, plan, session)
            if session.display is not None:
                session.display.expect(Series("all folds", len(todo)))
            _train(request, run, session, todo)
        if run.stop.reason is not None:
            raise KeyboardInterrupt
        session.stop_display()
        summary = summarise(run.path, train.dataset, plan)
        write_json(run.path / layout.SUMMARY, summary.as_json())
        write_pooled_evaluation(run.path, len(plan))
        for line in summary.table(shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
            session.say(line)
        session.result = TrainResult(summary.headline(), summary.models(), summary.metadata())
        failed = summary.failed()
        if failed:
            raise RavenError(_failure(request, run, failed))
        session.complete()
    session.report()


def write_pooled_evaluation(folder: Path, folds: int) -> None:
    """Write the whole's ``evaluation.json`` where every fold has left one of the known form."""
    files = [folder / layout.FOLDS / str(fold) / layout.EVALUATION for fold in range(folds)]
    if all(file.exists() for file in files):
        whole = pool_evaluations([read_json(file) for file in files])
        if whole is not None:
            write_json(folder / layout.EVALUATION, whole)


def record_plan(run: Run, plan: Sequence[Split]) -> None:
    """Write which images each fold trains on and validates with; its folds read it."""
    test = [item.key for item in plan[0].test]
    write_json(
        run.path / layout.INFO / "folds.json",
        {
            "v": 1,
            "folds": [{"train": [i.key for i in one.train], "val": [i.key for i in one.val]} for one in plan],
            **({"test": test} if test else {}),
        },
    )
    known = run.record.get("kfold") or {}
    run.update(kfold={**known, "folds": len(plan), "images": sum(len(one.val) for one in plan)})


def is_done(folder: Path, fold: int) -> bool:
    """Whether the fold was trained to its end."""
    place = folder / layout.FOLDS / str(fold)
    return (place / layout.RUN_JSON).exists() and status(place, read_record(place)) == "completed"


def warm_cache(project: Project, plan: Sequence[Split], session: Session) -> None:
    """Decode every image once, before folds that run side by side would each do so."""
    items = {item.key: item for one in plan for item in (*one.train, *one.val)}
    default_cache().warm(project, list(items.values()), threads=usable_cores())


def choose_jobs(session: Session) -> int:
    """How many folds are trained at once: as asked for, as the run began, or what is fastest here."""
    run, config = session.input.run, session.request.config
    if config.jobs is not None:
        return config.jobs
    begun_with = run.record["kfold"].get("jobs")
    if isinstance(begun_with, int) and 1 <= begun_with <= usable_cores():
        return begun_with
    settings = session.request.settings
    jobs = 1
    # Who says how many threads there are has decided already.
    if isinstance(settings, TrainSettings) and not any(os.environ.get(name) for name in THREAD_VARIABLES):
        jobs = max(1, settings.parallel_folds(session.input.dataset, run.record["kfold"]["folds"]))
    run.update(kfold={**run.record["kfold"], "jobs": jobs})
    if jobs > 1:
        cores = usable_cores() // jobs
        session.say(
            f"Training {jobs} folds at a time, each on {cores} core{'s' * (cores != 1)}, which is faster "
            "here (--jobs 1: one after another)."
        )
    return jobs


def _train(request: Request, run: Run, session: Session, todo: Sequence[int]) -> None:
    """Keep as many folds running as are to run at once until all are done or the user asks to stop."""
    cluster = cluster_folds(run.path)
    keep_fold_choices(run)
    if cluster is not None:
        cluster.share_plan()
    todo = [fold for fold in todo if not is_done(run.path, fold)]  # the cluster may know of more
    at_once = len(todo)
    if cluster is None and todo:
        at_once = min(choose_jobs(session), run.record["kfold"]["folds"])
    jobs = min(at_once, len(todo))
    waiting, running = deque(todo), dict[int, Child | ClusterFold]()
    threads = str(max(1, usable_cores() // max(1, at_once)))
    shared = {name: threads for name in THREAD_VARIABLES} if at_once > 1 else {}
    asked_at: float | None = None
    try:
        while waiting or running:
            while waiting and len(running) < jobs and not run.should_stop():
                fold = waiting.popleft()
                keep_fold_choices(run)
                place = run.path / layout.FOLDS / str(fold)
                make_folder(place)
                session.watch(RunProgress(f"fold {fold}", place))
                environment = {PARENT: str(run.path), FOLD: str(fold), **shared}
                running[fold] = (
                    cluster.launch(fold, place)
                    if cluster is not None
                    else launch(request.arguments, place, environment)
                )
            if run.should_stop():
                waiting.clear()
                if asked_at is None:
                    asked_at = time.monotonic()
                    for child in running.values():
                        child.ask_to_stop()
                elif time.monotonic() - asked_at > GRACE:
                    for child in running.values():
                        child.kill()
            ended = {fold: code for fold, child in running.items() if (code := child.poll()) is not None}
            for fold, code in ended.items():
                _note_end(run, fold, running.pop(fold), code, session)
            time.sleep(_LOOK)
    finally:
        for child in running.values():  # only where something unforeseen ended the loop
            child.kill()


def _note_end(run: Run, fold: int, child: Child | ClusterFold, code: int, session: Session) -> None:
    """Say so at once when a fold has failed; the others go on."""
    if code == 0 or run.stop.reason is not None:
        return
    session.say(f"fold {fold} failed: {failure_reason(child.folder, code)}")
    run.text(f"fold {fold} failed", level="error")


def _train_here(
    request: Request, call: Callable[[TrainInput], object], run: Run, todo: Sequence[int]
) -> None:
    """Train the folds one after another in this process, so that a debugger sees them."""
    for fold in todo:
        keep_fold_choices(run)
        try:
            Session(replace(request, fold=fold, parent=run.path, resumed=None)).run_whole(call)
        except Interrupted:
            raise
        except (RavenError, SystemExit) as error:
            run.text(f"fold {fold} failed: {error}", level="error")


def _failure(request: Request, run: Run, failed: dict[int, str]) -> str:
    lines = [f"{len(failed)} of {run.record['kfold']['folds']} folds failed."]
    lines += [f"  fold {fold}: {reason}" for fold, reason in failed.items()]
    lines.append(f"Train only those again with: {request.command} --resume {run.id}")
    return "\n".join(lines)
