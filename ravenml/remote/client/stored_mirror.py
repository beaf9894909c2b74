"""What the store of a queue keeps of a run that was sent to it: finding it, and removing it."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.schema import read_object
from ravenml.remote.client.submit import REMOTE, REMOTE_FIELDS
from ravenml.remote.layout import RemoteRun, open_store


def find_mirror(folder: Path) -> RemoteRun | None:
    """The mirror of the run in ``folder``; None where the run was never sent to a queue, or nothing is left.

    Raises:
        RavenError: the store that it names cannot be opened with the configuration, or does not answer.
    """
    if not (folder / REMOTE).exists():
        return None
    sent = read_object(folder / REMOTE, REMOTE_FIELDS)
    run = RemoteRun(open_store(sent["store"]), sent["id"])
    return run if next(iter(run.store.list(run.key(""))), None) is not None else None


def remove_mirror(run: RemoteRun) -> int:
    """Remove a mirror; called again after a failure, it removes what was left.  Packed code stays, as other
    runs may share it.

    Returns:
        How many files there were.

    Raises:
        RavenError: the store does not answer, or may not be written.
    """
    job = run.key("job.json")
    keys = {entry.key for entry in run.store.list(run.key(""))}
    for key in sorted(keys, key=lambda key: key != job):  # without its job, nobody submits the run again
        run.store.delete(key)
    return len(keys)
