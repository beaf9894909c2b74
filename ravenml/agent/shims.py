"""What the agent puts on a plugin's path: ravenML, and a ``supervisely_lib``."""

from __future__ import annotations

from pathlib import Path

import ravenml

ALIAS = "supervisely_lib"


def make_shims(folder: Path) -> Path:
    """Make ``folder``, which is added to Python's path: a link per package, so that no more comes along."""
    folder.mkdir(parents=True, exist_ok=True)
    package = Path(ravenml.__file__).resolve().parent
    (folder / "ravenml").symlink_to(package, target_is_directory=True)
    (folder / ALIAS).symlink_to(package / "sly" / "alias" / ALIAS, target_is_directory=True)
    return folder
