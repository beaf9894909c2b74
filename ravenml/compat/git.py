"""Commit and changes of a checkout, which `setup.py` of some plugins of ravenML 1 writes into the package.

A run records both by itself (``provenance`` in `run.json`).
"""

from __future__ import annotations

from pathlib import Path

from ravenml.common.git import GitFailed, run_git
from ravenml.common.io import JsonObject
from ravenml.common.parsing import read_json

GIT_INFO = "git_info.json"  # what those `setup.py` write


def is_repo(path: Path) -> Path | None:
    """The checkout that a path lies in, or None."""
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def git_sha(path: Path) -> str:
    """The commit of a checkout; if git fails, what it says."""
    return _git(path, "rev-parse", "HEAD").strip()


def git_patch_tracked(path: Path) -> str:
    """What has changed in a checkout's files since its commit, as a patch; if git fails, what it says."""
    return _git(path, "--no-pager", "diff", "-u", "HEAD", "--", ".")


def git_patch_untracked(path: Path) -> str:
    """The files that git does not know, as a patch; if git fails, what it says."""
    names = _git(path, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    # `diff --no-index` ends with 1 where there is a difference, which is always here
    return "".join(
        _git(path, "--no-pager", "diff", "--no-index", "--", "/dev/null", name, fine=(0, 1))
        for name in names
        if name
    )


def retrieve_from_pkg(path: Path) -> JsonObject:
    """What a plugin's `setup.py` noted of its checkout, in a file at or above ``path``; or nothing."""
    for folder in (path, *path.parents):
        if folder.name == "site-packages":
            break
        if (folder / GIT_INFO).is_file():
            return dict(read_json(folder / GIT_INFO))
    return {}


def _git(place: Path, *arguments: str, fine: tuple[int, ...] = (0,)) -> str:
    try:
        return run_git(place, *arguments, fine=fine)
    except GitFailed as error:
        return error.output
