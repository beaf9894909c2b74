"""TensorFlow as this plugin uses it: imported late, quiet, and giving the same bits again."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ravenml.errors import InputError, RavenError

THREADS = "OMP_NUM_THREADS"


def tensorflow(device: str = "auto") -> Any:
    """TensorFlow, with Keras on it; the first call takes seconds and sets it up for the whole process.

    Operations are deterministic, and as many threads compute as ``OMP_NUM_THREADS`` says (by default one per
    core), which is how k-fold with ``--jobs`` divides the machine.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: a GPU was asked for, and there is none.
        RavenError: this process uses Keras with another framework already.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    first = "tensorflow" not in sys.modules
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet() if first else nullcontext():
        import keras
        import keras_hub  # noqa: F401
        import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise RavenError("Keras computes with another framework in this process; start a new one.")
    if first:
        tf.config.experimental.enable_op_determinism()
        threads = os.environ.get(THREADS, "")
        if threads.isdigit() and int(threads):
            tf.config.threading.set_intra_op_parallelism_threads(int(threads))
            tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    if device.startswith("cuda") and not tf.config.list_physical_devices("GPU"):
        raise InputError(f"device: {device} was asked for, but TensorFlow finds no GPU; use --device auto.")
    return tf


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what C code writes to stderr, while a framework is imported say; if that fails, it is shown.

    TensorFlow tells of unused hardware before it reads TF_CPP_MIN_LOG_LEVEL.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as saved:
        os.dup2(saved.fileno(), 2)
        try:
            yield
        except BaseException:
            saved.seek(0)
            os.write(stderr, saved.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def device_name(device: str) -> str:
    """TensorFlow's name for a device: ``auto`` is the first GPU where there is one."""
    tf = tensorflow(device)
    if device == "cpu" or not tf.config.list_physical_devices("GPU"):
        return "/CPU:0"
    return f"/GPU:{device.partition(':')[2] or 0}"


def machine(device: str) -> dict[str, Any]:
    """What decides, beside the settings, whether a computation gives the same bits again."""
    import keras
    import numpy as np

    tf = tensorflow(device)
    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    where = "cuda" if "GPU" in device_name(device) else "cpu"
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "threads": threads,
        "device": where,
    }
