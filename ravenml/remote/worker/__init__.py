"""What runs on the cluster.

A job's entrypoint is :mod:`supervisor`, on the head; it has Ray run :func:`worker.train` on a worker.
"""

from __future__ import annotations

import os
import sys

PYTHON = "RAVENML_PYTHON"


def export_python() -> None:
    """Called by Ray when a worker's process starts: the job's entrypoint, a shell command, learns its Python.

    ``python`` on the path may be another one than Ray's.
    """
    os.environ[PYTHON] = sys.executable
