"""A predictor whose network is run by an inference engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.description import GraphDescription, read_description
from ravenml.infer.engines.runtime import Run, Runtime, engine_for, short_reason, thread_count

MOST_WORKERS = 4
_OFTEN = 3  # images that come alone before the graph is prepared for that; what waits for it takes memory
Compile = Callable[[int], list[Run]]


class GraphPredictor:
    """A network from a file, behind the interface of `ravenml.infer.predictor.Predictor`.

    Args:
        about: what the graph takes and gives.
        compile: prepares the graph for as many images at a time as it is told.
        engine: what computes it, in words.

    Attributes:
        about: the same.
        engine: the same.
        precision: what it computes in: ``32``, ``bf16``, ``16`` or ``int8``.
        task: ``segmentation``.
        classes: the classes' titles in index order.
        obj_classes: the same with shape and colour.
        input_size: width and height of the network's input in pixels.
        architecture: the network's name, or nothing.
        device: ``cpu``.
        batch_size: how many images at once are fastest.
    """

    device = "cpu"

    def __init__(self, about: GraphDescription, compile: Compile, engine: str) -> None:
        self.about, self.engine = about, engine
        self.precision: str = about.precision
        self.task: str = about.task
        self.obj_classes = about.obj_classes
        self.classes = [one.title for one in self.obj_classes]
        self.input_size, self.architecture = about.size, about.architecture
        self.batch_size = min(thread_count(), MOST_WORKERS)
        self._compile = compile
        self._lock = threading.Lock()
        self._compiled: dict[int, list[Run]] = {}
        self._alone = 0  # images that came alone, one after another
        self._pool = ThreadPoolExecutor(self.batch_size, "predict")

    def predict(
        self, images: NDArray[np.uint8], want: Literal["labels", "probabilities"] = "labels"
    ) -> NDArray[Any]:
        """Predict a batch of images; see `ravenml.infer.predictor.Predictor.predict`.

        Several images go through the network side by side, each with its share of the threads.

        Raises:
            InputError: the images have another shape or type, or something else is wanted.
            RavenError: the engine fails, or the graph gives something else than its description says.
        """
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise InputError(
                f"Images must be uint8 of shape (N, H, W, 3), not {images.dtype}, {images.shape}."
            )
        if want not in ("labels", "probabilities"):
            raise InputError(f"want: {want!r} is not known; choose labels or probabilities.")
        count, size = len(images), images.shape[1:3]
        kind: type[np.generic] = np.uint8 if len(self.classes) <= 256 else np.uint16
        result: NDArray[Any] = (
            np.empty((count, *size), kind)
            if want == "labels"
            else np.empty((count, len(self.classes), *size), np.float32)
        )

        def work(run: Run, numbers: range) -> None:
            for number in numbers:
                scores = self._scores(run, images[number])
                (_write_labels if want == "labels" else _write_probabilities)(scores, result[number])

        with self._lock:  # the functions that run the graph are each for one thread
            runs = self._runs(count)[:count]
            if len(runs) < 2:
                for run in runs:
                    work(run, range(count))
            else:
                parts = [range(first, count, len(runs)) for first in range(len(runs))]
                for done in [
                    self._pool.submit(work, run, part) for run, part in zip(runs, parts, strict=True)
                ]:
                    done.result()
        return result

    def _runs(self, count: int) -> list[Run]:
        """The graph for several images side by side, or where they keep coming alone, for one at a time."""
        self._alone = self._alone + 1 if count == 1 else 0
        side_by_side = 1 if self._alone > _OFTEN else self.batch_size
        if side_by_side not in self._compiled:
            self._compiled[side_by_side] = self._compile(side_by_side)
        return self._compiled[side_by_side]

    def _scores(self, run: Run, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities ``(C, h, w)`` of an image, at the network's size."""
        width, height = self.input_size
        inputs = fit_image(image, self.about)
        try:
            scores = run(inputs)
        except Exception as error:  # of each engine's own kinds
            raise RavenError(f"{self.engine} cannot run the network: {short_reason(error)}.") from error
        wanted = (1, len(self.classes), height, width)
        if scores.shape != wanted:
            raise RavenError(
                f"The graph gives the shape {scores.shape} for one image, but by its description it should "
                f"be {wanted}: images, classes, height, width."
            )
        return _activated(np.asarray(scores[0], np.float32), self.about.activation)


def fit_image(image: NDArray[np.uint8], about: GraphDescription) -> NDArray[Any]:
    """Make of an image, uint8 RGB of any size, a batch of one as a graph takes it."""
    taken, (width, height) = about.input, about.size
    resized: NDArray[Any] = image
    if image.shape[:2] != (height, width):
        resized = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))
    if taken.colors == "bgr":
        resized = resized[..., ::-1]
    if taken.dtype == "float32":
        mean, std = (np.array(values, np.float32) for values in (taken.mean, taken.std))
        resized = (resized * np.float32(taken.scale) - mean) / std
    if taken.layout == "nchw":
        resized = resized.transpose(2, 0, 1)
    return np.ascontiguousarray(resized[None])


def open_graph(path: Path, engine: str = "auto", precision: str = "auto") -> GraphPredictor:
    """Open a file with a graph.

    Args:
        path: an ``.onnx`` or ``.xml`` that ravenML exported, or an ``.onnx`` with a YAML file beside it.
        engine: ``auto``, ``onnxruntime`` or ``openvino``.
        precision: what OpenVINO computes in: ``auto``, ``32`` or ``bf16``.

    Raises:
        InputError: it does not say what is needed, or the engine or precision does not fit it.
        RavenError: the engine is not installed, or cannot open it.
    """
    about = read_description(path)
    chosen = engine_for(path, engine, precision)
    runtime = Runtime(path, about, chosen, precision)
    predictor = GraphPredictor(about, runtime.compile, chosen)
    width, height = about.size
    predictor.predict(np.zeros((1, height, width, 3), np.uint8))  # what is wrong is told at once
    if about.precision == "8":
        predictor.precision, predictor.engine = "int8", f"{chosen} (int8)"
    elif runtime.precision != "32":
        predictor.precision, predictor.engine = runtime.precision, f"{chosen} ({runtime.precision})"
    return predictor


def _activated(scores: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-scores)), np.float32)
    if activation == "softmax":
        scores = np.exp(scores - scores.max(axis=0))
        scores /= scores.sum(axis=0)
    return scores


def _write_probabilities(scores: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Resize ``(C, h, w)`` bilinearly to the size of ``out``, and write it there."""
    if scores.shape == out.shape:
        out[:] = scores
        return
    for plane, target in zip(scores, out, strict=True):
        cv2.resize(plane, target.shape[::-1], dst=target, interpolation=cv2.INTER_LINEAR)


def _write_labels(scores: NDArray[np.float32], out: NDArray[np.generic]) -> None:
    """Write the likeliest class of every pixel, the first of equals; a single class where it is above 0.5."""
    height, width = out.shape

    def plane(number: int) -> NDArray[np.float32]:
        one: NDArray[np.float32] = scores[number]
        if one.shape == out.shape:
            return one
        return np.asarray(cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    best = plane(0)
    if len(scores) == 1:
        np.greater(best, 0.5, out=out, casting="unsafe")
        return
    best, out[:] = best.copy(), 0
    for number in range(1, len(scores)):
        one = plane(number)
        higher: NDArray[Any] = cv2.compare(
            one, best, cv2.CMP_GT
        )  # 255 where it is; NumPy's comparison takes longer
        if out.dtype == np.uint8:
            np.maximum(out, higher & np.uint8(number), out=out)  # faster than a mask
        else:
            np.copyto(out, number, where=higher != 0)
        cv2.max(one, best, dst=best)
