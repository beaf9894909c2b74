"""ravenML 1's local cache: a folder with a few methods, and since then a path as well."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path, PosixPath
from typing import Any

from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir, datasets_dir


class LocalCache(PosixPath):
    """A folder below ravenML's cache, which may be deleted at any time; ``datasets`` is that of the datasets.

    It is a ``Path`` too.

    Args:
        path: the folder, within the cache unless it is absolute.
    """

    def __new__(cls, path: str | os.PathLike[str] = ".", *more: str) -> LocalCache:
        return super().__new__(cls, _folder(path), *more)

    if sys.version_info >= (3, 12):

        def __init__(self, path: str | os.PathLike[str] = ".", *more: str) -> None:
            super().__init__(_folder(path), *more)

        def with_segments(self, *segments: str | os.PathLike[str]) -> Path:  # type: ignore[override]
            return Path(*segments)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(str(self))

    def ensure_exists(self) -> None:
        """Make the folder."""
        make_folder(self.path)

    def subpath_exists(self, subpath: str | os.PathLike[str]) -> bool:
        """Whether there is such a file or folder within it."""
        return (self.path / subpath).exists()

    def ensure_subpath_exists(self, subpath: str | os.PathLike[str]) -> None:
        """Make a folder within it."""
        make_folder(self.path / subpath)

    def ensure_clean_subpath(self, subpath: str | os.PathLike[str]) -> None:
        """Delete a folder within it."""
        if self.subpath_exists(subpath):
            shutil.rmtree(self.path / subpath)

    def clean(self) -> bool:
        """Delete the folder; False if there is none."""
        if not self.path.exists():
            return False
        shutil.rmtree(self.path)
        return True


RMLCache = LocalCache  # as it was called from May 2020


def _folder(path: str | os.PathLike[str]) -> Path:
    return datasets_dir() if os.fspath(path) == "datasets" else cache_dir() / path


def __getattr__(name: str) -> Any:
    """``global_cache``: the whole cache, wherever ravenML's home is by now."""
    if name == "global_cache":
        return LocalCache()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
