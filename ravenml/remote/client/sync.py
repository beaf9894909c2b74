"""Remote runs as they are seen from here: their mirrors brought into this home, lost ones sent again.

`raven runs …` and `raven remote watch` fetch what is new.  Nothing runs in between: a run needs
this machine only where its cluster has gone.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from ravenml.common.io import JsonObject, write_json
from ravenml.common.locks import LockHeld, open_locked
from ravenml.common.schema import Each, Fields, read_object
from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.remote.client.queues import queue_named
from ravenml.remote.client.ray_api import RayJob
from ravenml.remote.client.start_notifying import start_notifying
from ravenml.remote.client.submit import REMOTE, REMOTE_FIELDS, following, resubmit
from ravenml.remote.job import Job, submission_id
from ravenml.remote.layout import HEARTBEAT, WAITING, RemoteRun, attempt_name, open_store
from ravenml.remote.mirror import PERIOD
from ravenml.remote.restore import fetch, is_light, is_not_state
from ravenml.remote.sealing import is_sealed, seal_mirror
from ravenml.runs import layout
from ravenml.runs.record import STALE, heartbeat

_CURSOR = "readers/mirror.json"
_QUIET = 15.0  # seconds without a heartbeat after which the cluster is asked whether it still has the run
_SENT: JsonObject = {"state": "waiting", "waits_for": "its queue to start it", "begun": False}

Queues = dict[str | None, list[Path]]  # by name: the folders of the runs that wait in it
Say = Callable[[str], None]  # is given a sentence: what was done about a lost run, or what went wrong


def _ignore(line: str) -> None:
    pass


def unfinished() -> list[Path]:
    """The folders of remote runs that are not known to have ended."""
    try:
        names = sorted(os.listdir(following()))
    except FileNotFoundError:
        return []
    found = [runs_dir() / name for name in names]
    for folder in found:
        if not (folder / REMOTE).exists():  # it was removed here
            (following() / folder.name).unlink(missing_ok=True)
    return [folder for folder in found if (folder / REMOTE).exists()]


def refresh(folder: Path, say: Say = _ignore, queues: Queues | None = None) -> bool:
    """Bring what is new of a run; send it again if it is lost.  Whether it has ended.

    Args:
        folder: the run's folder here.
        say: is given a sentence on what was done about a lost run.
        queues: what :func:`_waiting` found, where it was asked already.

    Raises:
        RavenError: the store does not answer.
    """
    with _exclusively(folder) as alone:
        if not alone:
            return False
        run = _remote_run(folder)
        try:
            _forward_request(folder, run)
            if _fetch(run, folder):
                return True
            beat = check_run(run, say)
            if beat["state"] == "unreachable":
                beat = _unreachable(folder, beat["why"])
            elif beat["state"] == "waiting":
                beat = {**beat, "waits_for": f"{beat.get('waits_for') or 'its turn'}{_place(folder, queues)}"}
            write_json(folder / layout.HEARTBEAT, beat)
            return beat["state"] == "sealed" and _fetch(run, folder)
        except RavenError as error:
            write_json(folder / layout.HEARTBEAT, _unreachable(folder, str(error)))
            raise


def _place(folder: Path, queues: Queues | None) -> str:
    """Where a run stands among those that wait in its queue; Ray starts them in about this order."""
    queue = read_object(folder / REMOTE, REMOTE_FIELDS).get("queue")
    found = (_waiting(unfinished()) if queues is None else queues).get(queue, [])
    waiting = sorted({*found, folder})
    return (
        f" (number {waiting.index(folder) + 1} of {len(waiting)} in this queue)" if len(waiting) > 1 else ""
    )


def _waiting(folders: Sequence[Path]) -> Queues:
    """The runs that wait in each queue, as far as they are known here."""
    found: Queues = {}
    for folder in folders:
        with suppress(RavenError, OSError):
            if heartbeat(folder)["state"] == "waiting":
                queue = read_object(folder / REMOTE, REMOTE_FIELDS).get("queue")
                found.setdefault(queue, []).append(folder)
    return found


def _unreachable(folder: Path, why: str) -> JsonObject:
    """How a run stands that nobody here can ask about: as it did when it was last heard of."""
    known = heartbeat(folder) if (folder / layout.HEARTBEAT).exists() else {"state": "waiting"}
    last = known.get("last") or known["state"]
    return {"state": "unreachable", "at": known.get("at") or 0.0, "last": last, "why": why}


def _remote_run(folder: Path) -> RemoteRun:
    sent = read_object(folder / REMOTE, REMOTE_FIELDS)
    return RemoteRun(open_store(sent["store"]), sent["id"])


def _fetch(run: RemoteRun, folder: Path) -> bool:
    """Bring what is new; whether the run has ended, so that all of it is here."""
    cursor = folder / _CURSOR
    seen = read_object(cursor, Each(str)) if cursor.exists() else {}
    if fetch(run, folder, seen, keep=is_light):
        write_json(cursor, seen)
    if not is_sealed(folder):
        return False
    fetch(run, folder, seen, keep=is_not_state)
    write_json(cursor, seen)
    (folder / layout.HEARTBEAT).unlink(missing_ok=True)
    (following() / folder.name).unlink(missing_ok=True)
    return True


def check_run(run: RemoteRun, say: Say = _ignore) -> JsonObject:
    """What is known of a run that has not ended; one that is lost is sent again.  ``unreachable``, with the
    reason, where neither its store nor its cluster knows anything of it.
    """
    beat = latest_heartbeat(run)
    if time.time() - beat["at"] > _QUIET or not beat.get("begun", True) or beat["state"] == "ended":
        beat = _check(run, beat, say)
    return beat


def latest_heartbeat(run: RemoteRun) -> JsonObject:
    """What was last heard of a run, as ``heartbeat.json`` of its folder says it."""
    worker, supervisor = run.read_heartbeat(HEARTBEAT) or {}, run.read_heartbeat(WAITING) or {}
    attempt = run.attempts()
    claim = run.read_heartbeat(attempt_name(attempt)) or {}
    now = time.time()
    if worker.get("state") == "running" and now - worker["at"] < STALE:
        return {"state": "running", "at": worker["at"], "host": worker.get("host")}
    if supervisor.get("attempt") == attempt:
        return {name: supervisor.get(name) for name in ("state", "at", "waits_for")}
    return {**_SENT, "at": float(claim.get("at") or 0)}


def _check(run: RemoteRun, beat: JsonObject, say: Say) -> JsonObject:
    """A run of which nothing is heard: find out why, and send it again if its cluster has lost it.

    Returns:
        What is known of it now.
    """
    content = run.read("job.json")
    if content is None:
        why = f"{run.store.name} holds nothing of it; is it the same store, or a folder that is not mounted?"
        return {**beat, "state": "unreachable", "why": why}
    job = Job.from_json(content, run.key("job.json"))
    attempt = run.attempts()
    answers, found = _on_the_cluster(job, attempt)
    state = (found or {}).get("status")
    if state == "FAILED":
        return _end_run(run, job, "failed", _failure_reason(job, attempt, found or {}), say)
    if state == "STOPPED":
        return _end_run(run, job, "interrupted", "its job was stopped on the cluster", say)
    if time.time() - beat["at"] <= STALE:
        if answers or not beat.get("begun", True):
            return beat
        quiet = f"nothing was heard of it for {time.time() - beat['at']:.0f} s"
        return {
            **beat,
            "state": "unreachable",
            "why": f"{quiet}, and its queue {job.queue!r} does not answer",
        }
    if state == "PENDING":
        return {"state": "waiting", "at": time.time(), "waits_for": "the cluster to create its environment"}
    if state == "RUNNING":  # it cannot reach the store at this moment, say; a second one would not be better
        return {"state": "running", "at": time.time()}
    if not answers:
        say(
            f"{job.id} was lost, and the queue {job.queue!r} does not answer; it is submitted "
            "again when it does."
        )
        return beat
    retry = retries_before(run, attempt) + 1
    if retry > job.retries:
        why = f"its cluster was lost {retry} times, and {job.retries} retries are over"
        return _end_run(run, job, "failed", why, say)
    claim = {"by": socket.gethostname(), "at": time.time(), "retry": retry}
    if not run.claim(attempt + 1, claim):
        return beat  # somebody else is doing it
    say(f"{job.id} was lost with its cluster; it is submitted again (retry {retry} of {job.retries}).")
    try:
        resubmit(job, attempt + 1)
    except RavenError as error:
        run.write(attempt_name(attempt + 1), {**claim, "retry": retry - 1, "failed": str(error)})
        say(f"{job.id} cannot be submitted again yet: {error}")
    return {**_SENT, "at": time.time()}


def retries_before(run: RemoteRun, attempt: int) -> int:
    """How often the run was sent again since a person sent it; what reached no cluster does not count."""
    claim = run.read(attempt_name(attempt)) or {}
    return int(claim.get("retry", attempt - 1))


def _end_run(run: RemoteRun, job: Job, status: str, why: str, say: Say) -> JsonObject:
    seal_mirror(run, job, status, why)
    say(f"{job.id} is {status}: {why}")
    return {"state": "sealed", "at": time.time()}


def _on_the_cluster(job: Job, attempt: int) -> tuple[bool, RayJob | None]:
    """Whether the queue answers (one that is started on demand need not), and its job of this attempt."""
    try:
        jobs = queue_named(job.queue).cluster_if_up()
        if jobs is None:
            return True, None
        found = jobs.job(submission_id(job.id, attempt), patience=5)
        if found is None:
            jobs.version(patience=5)
        return True, found
    except RavenError:
        return False, None


def _failure_reason(job: Job, attempt: int, found: RayJob) -> str:
    """Why the cluster says that this attempt failed before it could say so itself."""
    log = ""
    with suppress(RavenError):
        jobs = queue_named(job.queue).cluster_if_up()
        log = jobs.logs(submission_id(job.id, attempt)) if jobs is not None else ""
    return summarise(str(found.get("message") or ""), log)


def summarise(message: str, log: str) -> str:
    """What a person can use of what Ray says."""
    lines = [line.strip() for line in f"{message}\n{log}".splitlines() if line.strip()]
    for line in lines:
        if line.startswith("ERROR:"):  # pip's own words
            return f"Its requirements cannot be installed: {line.removeprefix('ERROR:').strip()}"
    errors = [line for line in lines if "Error" in line and not line.startswith("Running entrypoint")]
    if errors:
        return f"The cluster could not start it: {errors[-1][:500]}"
    said = message.partition(", last available logs")[0].strip().rstrip(".")  # those hold no error
    return f"Its job ended on the cluster, and nothing says why: {said or 'no reason given'}."


def _forward_request(folder: Path, run: RemoteRun) -> None:
    """Hand on what is asked of the run here (`raven runs stop`)."""
    control = folder / layout.CONTROL
    if control.exists():
        request = read_object(control, Fields({"request": str}))
        if run.read(layout.CONTROL) != request:
            run.write(layout.CONTROL, request)


@contextmanager
def _exclusively(folder: Path) -> Iterator[bool]:
    """Whether nobody else of this machine brings this run at this moment."""
    try:
        file = open_locked(folder / ".mirror.lock", patience=0)
    except LockHeld:
        yield False
        return
    try:
        yield True
    finally:
        os.close(file)


def refresh_all(say: Say = _ignore) -> int:
    """Bring what is new of every unfinished run; how many there are still."""

    def one(folder: Path) -> bool:
        try:
            return refresh(folder, say, queues)
        except (RavenError, OSError, ValueError) as error:
            say(f"{folder.name}: {error}")
            return False

    folders = unfinished()
    if not folders:
        return 0
    queues = _waiting(folders)
    with ThreadPoolExecutor(min(8, len(folders))) as pool:
        return sum(not ended for ended in pool.map(one, folders))


def sync_in_background(patience: float = 10.0) -> None:
    """Fetch what is new, now and in the background until this process ends.

    Args:
        patience: how long the first look may take, in seconds, before what is known here has to do.
    """
    start_notifying()  # where its process was killed
    if not unfinished():
        return

    def say(line: str) -> None:
        print(f"Note: {line}", file=sys.stderr)

    first = threading.Event()

    def work() -> None:
        while True:
            refresh_all(say if not first.is_set() else _ignore)
            first.set()
            time.sleep(PERIOD)

    threading.Thread(target=work, name="remote runs", daemon=True).start()
    if not first.wait(patience):
        say("the stores of remote runs are slow to answer, so this list may be out of date.")
    atexit.register(_forward_all)


def _forward_all() -> None:
    """What was asked for while looking must not stay here."""
    for folder in unfinished():
        if (folder / layout.CONTROL).exists():
            with suppress(RavenError, OSError, ValueError):
                _forward_request(folder, _remote_run(folder))
