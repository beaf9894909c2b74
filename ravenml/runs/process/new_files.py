"""Files that a program writes in its working folder, kept before a worker removes that folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ravenml.common.formatting import format_size
from ravenml.config.home import home
from ravenml.runs.process.outputs import keep_file, walk_files
from ravenml.runs.run import Run

FILES = "files"  # the folder's name among a run's artifacts
_NAMED = 20  # files that are named one by one if they are not kept
_NEVER = (".git", "__pycache__", "node_modules", ".ipynb_checkpoints", ".venv", "venv")


class NewFiles:
    """A working folder, compared with what was in it before.

    Args:
        folder: the working folder.
        without: folders below it whose files are kept otherwise.
        limit: bytes that are kept at most.
    """

    def __init__(self, folder: Path, without: Sequence[Path], limit: int) -> None:
        self._folder, self._limit = folder.resolve(), limit
        self._without = {str(one.resolve()) for one in (*without, home())}
        self._known = dict(walk_files(self._folder, self._skips))

    def keep(self, run: Run, known: Iterable[Path]) -> list[str]:
        """Keep what is new or has changed, the smallest files first, until the limit is reached.

        Args:
            run: the run that they become artifacts of.
            known: files that are kept already.

        Returns:
            What was not kept, a sentence each.

        Raises:
            RavenError: the disk is full, or a file cannot be read.
        """
        kept_already = {path.resolve() for path in known}
        found = [
            (state[0], path)
            for path, state in walk_files(self._folder, self._skips)
            if self._known.get(path) != state and path not in kept_already
        ]
        left = self._limit
        over: list[tuple[int, Path]] = []
        for size, path in sorted(found):
            if size > left:
                over.append((size, path))
                continue
            left -= size
            keep_file(run, path, f"{FILES}/{path.relative_to(self._folder).as_posix()}")
        return self._describe(over)

    def _describe(self, over: Sequence[tuple[int, Path]]) -> list[str]:
        largest = sorted(over, reverse=True)
        lines = [
            f"{path.relative_to(self._folder)} ({format_size(size)}) was not kept: with the other new files, "
            f"it exceeds the limit of {format_size(self._limit)}; name its folder with --output, or raise "
            "--keep-new."
            for size, path in largest[:_NAMED]
        ]
        if rest := largest[_NAMED:]:
            size = format_size(sum(size for size, _ in rest))
            lines.append(f"{len(rest)} smaller files ({size}) were not kept either, for the same reason.")
        return lines

    def _skips(self, folder: Path) -> bool:
        return folder.name in _NEVER or str(folder) in self._without
