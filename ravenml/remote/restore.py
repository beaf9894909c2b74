"""A mirror brought to a folder: on another worker to go on there, and on the user's machine to be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from ravenml.common.permissions import make_folder, open_file
from ravenml.errors import RavenError
from ravenml.remote.layout import RemoteRun
from ravenml.runs import layout
from ravenml.store.base import Entry
from ravenml.store.transfer import path_below

Etags = dict[str, str]  # keys in the store, and the ETag that each had when it was fetched
_HEAVY = (f"/{layout.CHECKPOINTS}/", f"/{layout.ARTIFACTS}/")


def is_light(name: str) -> bool:
    """Whether a file is worth fetching while its run goes on; checkpoints are, once it has ended."""
    return name.endswith(".json") or not any(heavy in f"/{name}" for heavy in _HEAVY)


def is_not_state(name: str) -> bool:
    """Whether a file is of use elsewhere than where its training is resumed; of a script's own, all are."""
    path = Path(name)
    return not (path.name.startswith("state_") and path.parent.name == layout.CHECKPOINTS)


def fetch(
    run: RemoteRun,
    folder: Path,
    seen: Etags,
    inside: str = "",
    without: Collection[str] = (),
    keep: Callable[[str], bool] = lambda name: True,
) -> bool:
    """Fetch what has changed in the mirror since ``seen``, which is brought up to date.

    ``run.json`` comes last, so that a run that says it is completed is whole.

    Args:
        run: the run's part of the store.
        folder: where to.
        seen: what an earlier call has fetched.
        inside: only this part of the run (``folds/0/``), which becomes the folder itself.
        without: parts that are left out, as they begin.
        keep: says of a name whether it is wanted.

    Returns:
        Whether anything was new.
    """
    files = {n: e for n, e in _list_files(run, "files/", inside, without).items() if keep(n)}
    pieces = _list_files(run, "grow/", inside, without)
    new = False
    for name, entry in sorted(pieces.items()):
        if seen.get(entry.key) != entry.etag:
            _write_piece(run, folder, name, entry)
            seen[entry.key] = entry.etag
            new = True
    for name, entry in sorted(files.items(), key=lambda one: (Path(one[0]).name == layout.RUN_JSON, one[0])):
        if seen.get(entry.key) == entry.etag and (folder / name).exists():
            continue
        try:
            run.store.get(entry.key, folder / name, entry)
        except RavenError:
            if run.store.head(entry.key) is not None:
                raise
            continue  # it was removed meanwhile
        seen[entry.key] = entry.etag
        new = True
    present = {entry.key for entry in files.values()}
    prefix = run.key(f"files/{inside}")
    for key in [key for key in seen if key.startswith(prefix) and key not in present]:
        name = key.removeprefix(prefix)
        if not name.startswith(tuple(without)) and keep(name):  # the mirror has it no longer
            (folder / name).unlink(missing_ok=True)
            del seen[key]
    return new


def _list_files(run: RemoteRun, kind: str, inside: str, without: Collection[str]) -> dict[str, Entry]:
    prefix = run.key(f"{kind}{inside}")
    found = {entry.key.removeprefix(prefix): entry for entry in run.store.list(prefix)}
    for name in found:
        path_below(Path(), name, "The mirror")
    return {name: entry for name, entry in found.items() if not name.startswith(tuple(without))}


def _write_piece(run: RemoteRun, folder: Path, name: str, entry: Entry) -> None:
    """Put a piece of a growing file where it belongs."""
    file, _, offset = name.rpartition("@")
    target = folder / file
    make_folder(target.parent)
    content = run.store.read(entry.key)
    descriptor = open_file(target, os.O_CREAT | os.O_WRONLY)
    try:
        os.pwrite(descriptor, content, int(offset))
    finally:
        os.close(descriptor)
