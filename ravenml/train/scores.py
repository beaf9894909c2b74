"""Scores over any number of images together: what makes an out-of-fold score exact."""

from __future__ import annotations

import importlib
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject, atomic_open
from ravenml.common.parsing import parse_json
from ravenml.common.reading import open_file
from ravenml.errors import RavenError
from ravenml.infer.metrics import SegmentationScores
from ravenml.plugin.discovery import plugins
from ravenml.plugin.user_code import REFERENCE, check_trusted, remember_code

Reduce = Callable[[dict[str, Any]], dict[str, float]]
# What NumPy and zipfile raise for a file that is cut off or something else.
_UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, ArithmeticError, MemoryError,
    BadZipFile, zlib.error, struct.error,
)  # fmt: skip
_COUNTS, _ROWS = "counts: ", "rows: "  # before a record's name in the file


@dataclass
class Scores:
    """What is known of each image, and how all images together become scores.

    Attributes:
        items: the images' keys, ``<dataset>/<name>``; ``N`` of them.
        statistics: by name, an array of shape ``(N, …)`` whose rows may be summed, as confusion matrices may.
        reduce: from the summed statistics, and the records as they are, to scores by name.  A module-level
            function, or an instance of a module-level dataclass: it must be found again in another process.
        records: by name, for what cannot be summed, such as boxes: an array of shape ``(K, …)`` per image,
            where ``K`` is any number.
    """

    items: Sequence[str]
    statistics: Mapping[str, NDArray[np.generic]]
    reduce: Reduce
    records: Mapping[str, Sequence[NDArray[np.generic]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in {**self.statistics, **self.records}.items():
            if len(array) != len(self.items):
                raise RavenError(
                    f"Scores: {name!r} has {len(array)} rows for {len(self.items)} images; one each is due."
                )

    @classmethod
    def segmentation(
        cls, items: Sequence[str], confusion: NDArray[np.integer], titles: Sequence[str]
    ) -> Scores:
        """Scores of a segmentation from a confusion matrix per image.

        Args:
            items: the images' keys, ``N`` of them.
            confusion: shape ``(N, C, C)``; pixels, truth in rows and prediction in columns.
            titles: the ``C`` classes' names.
        """
        return cls(
            items, {"confusion": np.asarray(confusion, dtype=np.int64)}, SegmentationScores(tuple(titles))
        )

    def values(self) -> dict[str, float]:
        """The scores over all images together.

        Raises:
            RavenError: the reduction does not fit the arrays, as in a file that somebody changed.
        """
        sums = {name: array.sum(axis=0) for name, array in self.statistics.items()}
        try:
            return self.reduce({**sums, **self.records})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            named = _reference(self.reduce)["callable"]
            raise RavenError(f"Scores: {named} cannot reduce {sorted(sums)}: {error!r}.") from error

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file that :meth:`load` reads."""
        reduction = _reference(self.reduce)
        if not _is_plugins_own(reduction["callable"]):
            remember_code(reduction["callable"])
        header = json.dumps({"items": list(self.items), "reduce": reduction})
        arrays = {"header": np.frombuffer(header.encode(), dtype=np.uint8), **self.statistics}
        for name, rows in self.records.items():
            arrays[_COUNTS + name] = np.array([len(its) for its in rows], np.int64)
            arrays[_ROWS + name] = np.concatenate(rows)
        with atomic_open(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: its reduction is code that is not part of a plugin, and was not used here before.
            RavenError: the file is broken, or its reduction is not installed here.
        """
        try:
            with open_file(path) as content, np.load(content, allow_pickle=False) as file:
                header = parse_json(file["header"].tobytes(), "header")
                arrays = {name: file[name] for name in file.files if name != "header"}
            items, reduction = list(map(str, header["items"])), dict(header["reduce"])
            records = {}
            for name in [name for name in arrays if name.startswith(_COUNTS)]:
                ends = np.cumsum(arrays.pop(name))[:-1]
                own = name.removeprefix(_COUNTS)
                records[own] = np.split(arrays.pop(_ROWS + own), ends)
        except _UNREADABLE as error:
            raise RavenError(f"{path} holds no scores: {error}.") from None
        return cls(items, arrays, _resolve(reduction, path), records)

    @classmethod
    def together(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of all parts' images as one, in which each image may stand once.

        Raises:
            RavenError: an image stands in two parts, so that it would be counted twice.
        """
        items = [item for part in parts for item in part.items]
        if len(set(items)) != len(items):
            twice = sorted({item for item in items if items.count(item) > 1})
            raise RavenError(f"Scores: {twice[0]!r} was scored by more than one fold.")
        first = parts[0]
        sums = {n: np.concatenate([part.statistics[n] for part in parts]) for n in first.statistics}
        records = {n: [one for part in parts for one in part.records[n]] for n in first.records}
        return cls(items, sums, first.reduce, records)


def _reference(reduce: Reduce) -> JsonObject:
    target = type(reduce) if is_dataclass(reduce) else reduce
    arguments: JsonObject = {}
    if is_dataclass(reduce) and not isinstance(reduce, type):
        arguments = asdict(reduce)
    name = getattr(target, "__qualname__", "")
    if not name or "<" in name:
        raise RavenError("Scores: `reduce` must be a function or a dataclass at the top level of a module.")
    return {"callable": f"{target.__module__}:{name}", "arguments": arguments}


def _is_plugins_own(reference: str) -> bool:
    """Whether a reduction is part of ravenML or of an installed plugin's package."""
    module = reference.partition(":")[0]
    packages = {plugin.entry_point.module.partition(".")[0] for plugin in plugins().values()}
    return module == SegmentationScores.__module__ or module.partition(".")[0] in packages


def _resolve(reference: JsonObject, path: Path) -> Reduce:
    """The reduction that a file names; see :mod:`ravenml.plugin.user_code` for which are imported."""
    named = reference.get("callable")
    if not isinstance(named, str) or not REFERENCE.fullmatch(named):
        raise RavenError(f"{path} holds no scores: `reduce` names no function.")
    if not _is_plugins_own(named):
        check_trusted(named, f"{path}: `reduce`")
    module, _, name = named.partition(":")
    try:
        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise RavenError(f"{path}: the scores need {named}, which is not installed: {error}.") from None
    own = getattr(target, "__module__", None) == module and getattr(target, "__qualname__", None) == name
    if not own or not (isinstance(target, FunctionType) or is_dataclass(target)):
        raise RavenError(f"{path}: {named} is not a function or a dataclass of its module.")
    try:
        arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in reference["arguments"].items()}
        reduce: Any = target(**arguments) if isinstance(target, type) else target
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RavenError(f"{path} holds no scores: `reduce` does not fit {named}: {error}.") from None
    return cast(Reduce, reduce)
