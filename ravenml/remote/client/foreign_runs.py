"""Runs that other machines have sent: looked after, and brought here by name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ravenml.config.home import runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.remote.client.queues import queues
from ravenml.remote.client.submit import REMOTE, follow_run
from ravenml.remote.client.sync import Say, check_run
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun, known_runs, open_store
from ravenml.runs import layout
from ravenml.store.base import Store


class ForeignRuns:
    """The runs of all queues' stores that this machine has not sent itself.

    What has ended is remembered, so that it is asked for once.
    """

    def __init__(self) -> None:
        self._ended: set[tuple[str, str]] = set()

    def check_all(self, say: Say) -> int:
        """Look at each that has not ended, and send it again if it is lost; how many there are."""
        waiting = []
        for address, store in _stores(say):
            try:
                names = known_runs(store)
            except RavenError as error:
                say(str(error))
                continue
            waiting += [
                (address, RemoteRun(store, name))
                for name in names
                if (address, name) not in self._ended and not (runs_dir() / name / REMOTE).exists()
            ]
        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(lambda one: self._check(one[0], one[1], say), waiting))

    def _check(self, address: str, run: RemoteRun, say: Say) -> bool:
        try:
            record = run.read(f"files/{layout.RUN_JSON}")
            ended = bool(record and record.get("result")) or run.read("job.json") is None
            if ended or check_run(run, say)["state"] == "sealed":
                self._ended.add((address, run.run_id))
                return False
        except RavenError as error:
            say(f"{run.run_id}: {error}")
        return True


def fetch_run(prefix: str) -> str:
    """Make a run that another machine has sent known here; its id.

    From then on `raven runs` brings what is new of it, as it does of those that were sent from here.

    Raises:
        InputError: in no queue's store there is a run whose id begins like that, or there are several.
        RavenError: a store does not answer.
    """
    found: dict[str, tuple[str, Store]] = {}
    problems: list[str] = []
    for address, store in _stores(problems.append):
        for name in known_runs(store):
            if name.startswith(prefix):
                found.setdefault(name, (address, store))
    if prefix in found:
        found = {prefix: found[prefix]}
    if len(found) != 1:
        what = f"{len(found)} runs begin" if found else "No run begins"
        mend = f": {', '.join(found)}; give more letters." if found else "; `raven remote queues` lists them."
        raise InputError(
            f"{what} with {prefix!r} in the stores of the queues{mend} {' '.join(problems)}".rstrip()
        )
    ((name, (address, store)),) = found.items()
    run = RemoteRun(store, name)
    follow_run(Job.from_json(run.read("job.json"), run.key("job.json")), address)
    return name


def _stores(say: Say) -> Iterator[tuple[str, Store]]:
    """The stores of the queues, each once; that of `local` has only what was sent from here."""
    seen = set()
    for name, queue in queues().items():
        if queue.is_local:
            continue
        try:
            address = queue.store_address()
            if address not in seen:
                seen.add(address)
                yield address, open_store(address)
        except RavenError as error:
            say(f"{name}: {error}")
