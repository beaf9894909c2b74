"""``--engine auto``: which engine is the fastest for a model on this machine, measured once."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ravenml.common.io import JsonObject
from ravenml.common.validation import validate
from ravenml.config.machine import recall, remember
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.cache import cached_export, export_folder
from ravenml.infer.engines.compare import ComparisonImages, compare
from ravenml.infer.engines.predictor import GraphPredictor, open_graph
from ravenml.infer.engines.runtime import installed_engines, thread_count
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.network import Ensemble
from ravenml.infer.predictor import Predictor

TORCH = "torch"
_KIND = "engines"  # of measurement
_FRAMEWORKS = ("torch", "tensorflow")  # what plugins compute with; a new version may be faster
_IMAGES, _ROUNDS = 3, 3
_PIXELS = 2**22  # of a batch; larger images are measured at a smaller size, which takes less memory
_WORTH = 0.95  # of the framework's time: what an engine may take at most to be chosen

Image = NDArray[np.uint8]


class EngineChoice(BaseModel):
    """The engine that was chosen.

    Attributes:
        engine: ``torch``, ``onnxruntime`` or ``openvino``.
        precision: as `ravenml.infer.engines.predictor.open_graph` takes it.
        seconds: for a batch, by engine and precision.
        reasons: why engines were passed over, by engine and precision.
        images: what was measured on, in words.
    """

    model_config = ConfigDict(extra="forbid")

    engine: Literal["torch", "onnxruntime", "openvino"]
    precision: Literal["auto", "32", "bf16"] = "auto"
    seconds: dict[str, float] = {}
    reasons: dict[str, str] = {}
    images: str = ""

    def __str__(self) -> str:
        if self.engine == TORCH:
            why = next(iter(self.reasons.values()), "").rstrip(".")
            more = f" ({why})" if why and not self.seconds else ""
            return f"Engine: the plugin's own framework; no engine is faster and predicts the same{more}."
        name = _name(self.engine, self.precision)
        times = self.seconds[TORCH] / self.seconds[name]
        return f"Engine: {name}, {times:.1f} times as fast as the plugin's framework on {self.images}."


def remembered_choice(source: ModelSource, precision: str, device: str) -> EngineChoice | None:
    """What was chosen for a model on this machine with these engines; None where nothing was yet."""
    known = recall(_KIND, _about(source, precision, device))
    try:
        return validate(EngineChoice, known, "The choice of an engine") if known is not None else None
    except InputError:
        return None  # of another ravenML's form: it is measured again


def choose_engine(
    source: ModelSource,
    model: Predictor | Ensemble,
    images: ComparisonImages,
    batch_size: int,
    precision: str = "auto",
    trust_code: bool = False,
    device: str = "auto",
) -> EngineChoice:
    """Measure the installed engines beside the model itself, and remember the fastest that predicts the same.

    Args:
        source: the model.
        model: the same, loaded by its plugin; on the processor.
        images: what both predict; the first three are timed.
        batch_size: how many of them go through the network together.
        precision: what engines compute in: ``auto``, ``32`` or ``bf16``.
        trust_code: whether the model may name code that is not part of a plugin.
        device: as the user named it.
    """
    most = _PIXELS // batch_size
    sample = [_limit(image, most) for image, _ in zip(images.read(), range(_IMAGES), strict=False)]
    if not sample:
        return EngineChoice(engine="torch", reasons={"images": "none of them can be read"})

    def measure() -> JsonObject:
        return _choose(source, model, sample, images.source, batch_size, precision, trust_code).model_dump()

    try:
        return EngineChoice.model_validate(remember(_KIND, _about(source, precision, device), measure))
    except RavenError as error:  # a full disk, say: nothing to remember
        return EngineChoice(engine="torch", reasons={"export": str(error)})


def _limit(image: Image, most: int) -> Image:
    """The image, smaller where it has more pixels than that."""
    height, width = image.shape[:2]
    scale = math.sqrt(most / (height * width))
    if scale >= 1:
        return image
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _choose(
    source: ModelSource,
    model: Predictor | Ensemble,
    sample: Sequence[Image],
    where: str,
    batch_size: int,
    precision: str,
    trust_code: bool,
) -> EngineChoice:
    choice = EngineChoice(engine="torch", images=where)
    found: dict[str, GraphPredictor] = {}
    ways: dict[str, tuple[str, str]] = {}
    path: Path | None
    try:
        path = cached_export(source, trust_code=trust_code)
    except RavenError as error:
        if isinstance(error.__cause__, OSError):
            raise
        path, choice.reasons["export"] = None, str(error)
    for engine, how in _candidates(precision) if path is not None else ():
        try:
            assert path is not None
            predictor = open_graph(path, engine, how)
            agreement = compare(model, predictor, sample)
        except RavenError as error:
            choice.reasons[_name(engine, how)] = str(error)
            continue
        if not agreement.is_close(predictor.precision):
            choice.reasons[_name(engine, how)] = str(agreement)
            continue
        found[_name(engine, how)], ways[_name(engine, how)] = predictor, (engine, how)
    if found:
        choice.seconds = _measure({TORCH: model, **found}, sample, batch_size)
        fastest = min(found, key=lambda name: choice.seconds[name])
        if choice.seconds[fastest] <= _WORTH * choice.seconds[TORCH]:
            engine, how = ways[fastest]
            choice = EngineChoice.model_validate({**choice.model_dump(), "engine": engine, "precision": how})
    return choice


def _candidates(precision: str) -> list[tuple[str, str]]:
    """Engines and their precisions that are tried."""
    ways = {"auto": ("auto", "32"), "32": ("32",), "bf16": ("bf16",)}[precision]
    known = {"openvino": ways, "onnxruntime": ("32",) if "32" in ways else ()}
    return [(engine, how) for engine in installed_engines() for how in known[engine]]


def _measure(
    sides: Mapping[str, Predictor | Ensemble], sample: Sequence[Image], batch_size: int
) -> dict[str, float]:
    """Seconds for a batch; the sides take turns, so that whatever else the machine does slows all of them."""
    batches = [np.stack([image] * batch_size) for image in sample]
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(_ROUNDS + 1):
        for name, predictor in sides.items():
            begin = time.perf_counter()
            for batch in batches:
                predictor.predict(batch)
            if number:  # the first round warms up
                taken[name].append((time.perf_counter() - begin) / len(batches))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _about(source: ModelSource, precision: str, device: str) -> JsonObject:
    """What the choice depends on, beside the machine."""
    versions: dict[str, str] = {}
    for name in (*_FRAMEWORKS, *installed_engines()):
        with suppress(PackageNotFoundError):  # one of its other distributions, such as onnxruntime-gpu
            versions[name] = version(name)
    return {
        "device": device,
        "model": export_folder(source).name,
        "precision": precision,
        "threads": thread_count(),
        **versions,
    }


def _name(engine: str, precision: str) -> str:
    return engine if engine == "onnxruntime" else f"{engine} ({precision})"
