"""What the agent puts on a plugin's path: ravenML, and ``supervisely_lib`` where it has none."""

from __future__ import annotations

from pathlib import Path

import ravenml

ALIAS = "supervisely_lib"


def make_shims(folder: Path, plugin: Path) -> Path:
    """Make the folder that is added to Python's path.

    Args:
        folder: is made; it gets one link per package, so that nothing else of ours comes with them.
        plugin: the plugin's folder; a ``supervisely_lib`` of its own, beside its sources or installed in its
            ``.venv``, is left to it.

    Returns:
        ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = Path(ravenml.__file__).resolve().parent
    (folder / "ravenml").symlink_to(package, target_is_directory=True)
    if not brings_own(plugin):
        (folder / ALIAS).symlink_to(package / "sly" / "alias" / ALIAS, target_is_directory=True)
    return folder


def brings_own(plugin: Path) -> bool:
    """Whether a plugin has a ``supervisely_lib`` of its own."""
    places = [plugin, plugin / "src", *(plugin / ".venv").glob("lib/python*/site-packages")]
    return any((place / ALIAS).is_dir() or (place / f"{ALIAS}.py").is_file() for place in places)
