"""Scores that can be added up over images: what makes an out-of-fold score exact."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.errors import RavenError
from ravenml.files import write_beside
from ravenml.infer.metrics import SegmentationScores

Reduce = Callable[[dict[str, NDArray[Any]]], dict[str, float]]


@dataclass
class Scores:
    """Additive statistics per image, and how their sum becomes scores.

    Attributes:
        items: the images' keys, ``<dataset>/<name>``; ``N`` of them.
        statistics: by name, an array of shape ``(N, …)`` whose rows may be summed.
        reduce: from the summed statistics to scores by name.  A module-level function, or an instance
            of a module-level dataclass: it must be found again in another process.
    """

    items: Sequence[str]
    statistics: Mapping[str, NDArray[Any]]
    reduce: Reduce

    def __post_init__(self) -> None:
        for name, array in self.statistics.items():
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
        """The scores over all images together."""
        return self.reduce({name: array.sum(axis=0) for name, array in self.statistics.items()})

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file that :meth:`load` reads."""
        header = json.dumps({"items": list(self.items), "reduce": _reference(self.reduce)})
        with write_beside(path) as file:
            np.savez(file, header=np.frombuffer(header.encode(), dtype=np.uint8), **{**self.statistics})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what :meth:`save` wrote.

        Raises:
            RavenError: the file is broken, or its reduction is not installed here.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(file["header"].tobytes())
                statistics = {name: file[name] for name in file.files if name != "header"}
        except (OSError, ValueError, KeyError) as error:
            raise RavenError(f"{path} holds no scores: {error}.") from None
        return cls(header["items"], statistics, _resolve(header["reduce"], path))

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
        names = parts[0].statistics
        return cls(
            items, {n: np.concatenate([part.statistics[n] for part in parts]) for n in names}, parts[0].reduce
        )


def _reference(reduce: Reduce) -> dict[str, Any]:
    target = type(reduce) if is_dataclass(reduce) else reduce
    arguments: dict[str, Any] = {}
    if is_dataclass(reduce) and not isinstance(reduce, type):
        arguments = asdict(reduce)
    name = getattr(target, "__qualname__", "")
    if not name or "<" in name:
        raise RavenError("Scores: `reduce` must be a function or a dataclass at the top level of a module.")
    return {"callable": f"{target.__module__}:{name}", "arguments": arguments}


def _resolve(reference: dict[str, Any], path: Path) -> Reduce:
    module, _, name = reference["callable"].partition(":")
    try:
        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise RavenError(
            f"{path}: the scores need {reference['callable']}, which is not installed: {error}."
        ) from None
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in reference["arguments"].items()}
    return target(**arguments) if isinstance(target, type) else target
