"""Which of this machine's files a server may touch: those below its roots."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ravenml.config.home import home
from ravenml.errors import InputError


class AllowedPaths:
    """The folders below which a server accepts paths (``--root``).

    Args:
        folders: by default the folder in which the server was started, and ravenML's home.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        given = list(folders) or [Path.cwd(), home()]
        self.folders = tuple(folder.expanduser().resolve() for folder in given)

    def resolve(self, path: str | Path) -> Path:
        """The path with all links resolved, if it lies below one of the roots.

        A relative path begins at the first root.  The file need not exist.  Whoever opens what is returned,
        and not what was given, opens what was checked.

        Raises:
            InputError: it leads outside, or is not a path; says the same whether anything is there or not.
        """
        refused = InputError(
            f"{str(path)[:300]} is not below the folders that this server may use; start it with "
            "--root FOLDER to allow another."
        )
        try:
            resolved = (self.folders[0] / Path(path).expanduser()).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, no such user, a null character
            raise refused from None
        if not any(resolved.is_relative_to(folder) for folder in self.folders):
            raise refused
        return resolved
