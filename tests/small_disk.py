"""A disk that is small enough to be filled: a tmpfs, which only root may mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class NotAllowed(Exception):
    """This user may not mount a file system."""


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """A disk of ``size`` bytes in ``folder``, as long as the block lasts.

    Raises:
        NotAllowed: this user may not mount one.
    """
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        raise NotAllowed
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    try:
        with mounted(tmp_path / "disk", 1 << 20) as disk:
            yield disk
    except NotAllowed:
        pytest.skip("this user may not mount a small disk to fill")
