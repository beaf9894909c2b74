"""The folders that ravenML uses on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ravenml.common.permissions import home

__all__ = ["cache_dir", "datasets_dir", "home", "runs_dir", "store_dir", "versions_dir"]


def runs_dir() -> Path:
    """Where every run has its folder: ``$RAVENML_RUNS_PATH`` (a worker's own), or ``runs/`` of the home."""
    configured = os.environ.get("RAVENML_RUNS_PATH")
    return Path(configured).absolute() if configured else home() / "runs"


def cache_dir() -> Path:
    """The folder of derived data; it may be deleted at any time."""
    return home() / "cache"


def datasets_dir() -> Path:
    """The datasets that ravenML fetched or made for the user, a folder each."""
    return home() / "datasets"


def store_dir() -> Path:
    """The root of the local store: finished models and what belongs to them."""
    return home() / "store"


def versions_dir() -> Path:
    """The versions of datasets that ``Dataset`` has made, with their files by content."""
    return home() / "versions"
