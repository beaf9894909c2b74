"""Running a graph with ONNX Runtime or OpenVINO, in one or several threads."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ravenml.common.extras import install_command
from ravenml.config.machine import usable_cores
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.description import ONNX, GraphDescription, graph_format

ENGINES = ("openvino", "onnxruntime")
PRECISIONS = ("auto", "32", "bf16")
Precision = Literal["auto", "32", "bf16"]
_HINTS = {"32": "f32", "bf16": "bf16"}
Run = Callable[[NDArray[Any]], NDArray[np.float32]]  # one batch in, its output out


def installed_engines() -> list[str]:
    """The engines that are installed."""
    return [name for name in ENGINES if importlib.util.find_spec(name) is not None]


def check_engine(name: str) -> None:
    """Check that an engine is installed.

    Raises:
        RavenError: it is not; the sentence names the command that installs it.
    """
    if name not in installed_engines():
        raise RavenError(f"{name} is not installed; install it with: {install_command('engines')}")


def check_precision(precision: str) -> None:
    """Check that a precision is one that a plugin's own framework computes in.

    Raises:
        InputError: it is not: frameworks compute in float32.
    """
    if precision not in ("auto", "32"):
        raise InputError(
            f"--engine-precision {precision}: without an engine, networks compute in float32; "
            "use --engine openvino."
        )


def check_int8(engine: str) -> None:
    """Check that an engine can be asked to compute in 8-bit integers.

    Raises:
        InputError: it cannot.
    """
    if engine not in ("auto", "openvino"):
        raise InputError(f"--engine-precision int8: {engine} does not compute in it; use --engine openvino.")


def engine_for(path: Path, engine: str = "auto", precision: str = "auto") -> str:
    """The engine that opens a file with a graph.

    Args:
        path: an ``.onnx`` or ``.xml``.
        engine: the one that was asked for; ``auto`` is OpenVINO where it is installed, else ONNX Runtime.
        precision: what it shall compute in.

    Raises:
        InputError: the engine cannot open such files, or cannot compute like that.
        RavenError: it is not installed.
    """
    if precision == "int8":
        raise InputError(f"--engine-precision int8: {path} has no images to be calibrated on; name a run.")
    able = list(ENGINES) if graph_format(path) == ONNX else ["openvino"]
    if engine == "auto":
        usable = ["openvino"] if precision == "bf16" else able
        engine = next((name for name in installed_engines() if name in usable), usable[0])
    if engine not in able:
        raise InputError(f"{path} is opened by {' or '.join(able)}, not by {engine}; name another --engine.")
    if engine == "onnxruntime" and precision == "bf16":
        raise InputError("--engine-precision bf16: onnxruntime computes in float32; use --engine openvino.")
    check_engine(engine)
    return engine


def thread_count() -> int:
    """How many threads an engine uses: as ``OMP_NUM_THREADS`` says, like frameworks, else one per core."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else usable_cores()


class Runtime:
    """A graph that was opened with an engine.

    Args:
        path: an ``.onnx`` or ``.xml`` file.
        about: what it says of itself.
        engine: ``onnxruntime`` or ``openvino``.
        precision: what OpenVINO computes in; ``auto`` is bfloat16 where the processor has units for it.

    Raises:
        RavenError: the file is broken, or has more than one input or output.

    Attributes:
        engine: its name.
        precision: what it computes in: ``32``, ``bf16`` or ``16``.
    """

    def __init__(self, path: Path, about: GraphDescription, engine: str, precision: str = "auto") -> None:
        self.path, self.about, self.engine = path, about, engine
        self.precision = "32"
        self._asked = precision
        width, height = about.size
        self._shape = [1, height, width, 3] if about.input.layout == "nhwc" else [1, 3, height, width]

    def compile(self, side_by_side: int) -> list[Run]:
        """Prepare the graph for as many images at a time; each of the functions is for one thread.

        Args:
            side_by_side: how many; they share the threads.

        Raises:
            RavenError: the engine cannot use the graph.
        """
        threads = max(thread_count() // side_by_side, 1)
        try:
            if self.engine == "openvino":
                return self._openvino(side_by_side, threads)
            return self._onnxruntime(side_by_side, threads)
        except RavenError:
            raise
        except Exception as error:  # of each engine's own kinds
            raise RavenError(f"{self.path}: {self.engine} cannot use it: {short_reason(error)}.") from None

    def _onnxruntime(self, side_by_side: int, threads: int) -> list[Run]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        for name, size in zip(self._free_dimensions(), self._shape, strict=False):
            if name:
                options.add_free_dimension_override_by_name(name, size)
        session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self._check_ends([one.name for one in inputs], [one.name for one in outputs])
        self._check_input(list(inputs[0].shape), inputs[0].type.removeprefix("tensor(").rstrip(")"))
        name = inputs[0].name

        def run(images: NDArray[Any]) -> NDArray[np.float32]:
            result: NDArray[np.float32] = session.run(None, {name: images})[0]
            return result

        return [run] * side_by_side  # a session may be used by several threads at once

    def _free_dimensions(self) -> Sequence[str | None]:
        """The names of the input's dimensions in an exported dynamic graph."""
        return ("batch", "height", "width") if self.about.dynamic else ()

    def _openvino(self, side_by_side: int, threads: int) -> list[Run]:
        import openvino

        core = openvino.Core()
        model = core.read_model(self.path)
        self._check_ends([str(one) for one in model.inputs], [str(one) for one in model.outputs])
        shape = [one.get_length() if one.is_static else str(one) for one in model.input().partial_shape]
        kind = {"u8": "uint8", "f32": "float"}.get(
            model.input().element_type.to_string(), model.input().element_type.to_string()
        )
        self._check_input(shape, kind)
        if model.is_dynamic():
            model.reshape(self._shape)
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT" if side_by_side > 1 else "LATENCY",
            "NUM_STREAMS": str(side_by_side),
            "INFERENCE_NUM_THREADS": threads * side_by_side,
        }
        if self._asked in _HINTS:
            config["INFERENCE_PRECISION_HINT"] = _HINTS[self._asked]
        compiled = core.compile_model(model, "CPU", config)
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.precision = {"f32": "32", "bf16": "bf16", "f16": "16"}.get(hint, hint)

        def make() -> Run:
            request = compiled.create_infer_request()

            def run(images: NDArray[Any]) -> NDArray[np.float32]:
                result: NDArray[np.float32] = request.infer(
                    {0: images}, share_inputs=True, share_outputs=True
                )[0]  # a view, which the next call overwrites
                return result

            return run

        return [make() for _ in range(side_by_side)]

    def _check_ends(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        if len(inputs) != 1 or len(outputs) != 1:
            raise RavenError(
                f"{self.path} has {len(inputs)} inputs and {len(outputs)} outputs; only graphs from one "
                "tensor of images to one of scores can be used."
            )

    def _check_input(self, shape: Sequence[object], kind: str) -> None:
        wanted = {"uint8": "uint8", "float32": "float"}[self.about.input.dtype]
        fits = len(shape) == 4 and all(
            has == size or not isinstance(has, int) for has, size in zip(shape, self._shape, strict=True)
        )
        if not fits or kind != wanted:
            raise RavenError(
                f"{self.path} takes {kind} {list(shape)}, but its description says {self.about.input.dtype} "
                f"{self._shape}; correct `input`."
            )


def short_reason(error: Exception) -> str:
    """The last line of what an engine or exporter said, which is the one that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].rstrip(".")
