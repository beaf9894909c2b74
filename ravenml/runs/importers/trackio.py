"""trackio: a project's SQLite file, or the folder of all of them; read without trackio."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ravenml.common.formatting import parse_timestamp
from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.runs.importers.base import ImportedRun, Measured, flat_numbers, parse_object


def read_runs(path: Path) -> Iterator[ImportedRun]:
    """The runs of each project."""
    for file in sorted(path.glob("*.db")) if path.is_dir() else [path]:
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
                yield from _read(file, database)
        except sqlite3.Error as error:
            raise InputError(f"{file} is not a database of trackio: {error}.") from None


def _read(file: Path, database: sqlite3.Connection) -> Iterator[ImportedRun]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    configs: dict[str, JsonObject] = {}
    if "configs" in tables:
        configs = {
            name: parse_object(text)
            for name, text in database.execute("SELECT run_name, config FROM configs")
        }
    runs: dict[str, list[Measured]] = {}
    rows = database.execute("SELECT run_name, timestamp, step, metrics FROM metrics ORDER BY id")
    for name, timestamp, step, text in rows:
        seconds = _seconds(timestamp)
        for address, value in flat_numbers(parse_object(text)):
            runs.setdefault(name, []).append(Measured(address, value, int(step or 0), seconds))
    for name, measured in runs.items():
        times = [one.seconds for one in measured]
        config = configs.get(name, {})
        yield ImportedRun(
            key=f"{file.stem}/{name}",
            begun=min(times),
            finished=max(times),
            name=str(name),
            project=file.stem,
            parameters={key: value for key, value in config.items() if not key.startswith("_")},
            measured=measured,
        )


def _seconds(text: object) -> float:
    try:
        return parse_timestamp(text)
    except ValueError:
        return 0.0
