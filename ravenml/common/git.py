"""Running git: without questions, within a time limit, and leaving the checkout's index as it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from ravenml.errors import RavenError

PATIENCE = 60.0  # seconds


class GitFailed(RavenError):
    """Git did not do it; the text is what git said last, or all that it said in ``output``."""

    def __init__(self, why: str, output: str = "") -> None:
        super().__init__(why)
        self.output = output or why


def run_git(
    place: Path | None, *arguments: str, fine: Collection[int] = (0,), patience: float | None = PATIENCE
) -> str:
    """What git prints.

    Args:
        place: the folder that it runs in; None for a command that needs none.
        fine: the exit codes that are no failure.
        patience: seconds; None to wait as long as it takes.

    Raises:
        GitFailed: it is not installed, fails, or takes too long.
    """
    inside = ["-C", str(place)] if place is not None else []
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *inside, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=patience,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git has not ended within {patience:g} s") from None
    except OSError as error:
        raise GitFailed(f"git: {error.strerror}") from None
    if done.returncode in fine:
        return os.fsdecode(done.stdout)
    said = done.stderr.decode(errors="replace")
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else f"git ended with {done.returncode}"
    raise GitFailed(last.removeprefix("fatal: ").rstrip("."), said)


def ask_git(place: Path, *arguments: str, patience: float = PATIENCE) -> str | None:
    """What git prints, or None where it fails: there is no checkout, no commit, or no git."""
    try:
        return run_git(place, *arguments, patience=patience)
    except GitFailed:
        return None
