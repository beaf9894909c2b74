"""``raven plugin new``: a complete plugin, written from the templates in ``ravenml/plugin/templates``."""

from __future__ import annotations

import keyword
import re
import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from ravenml.common.io import to_user_error, write_bytes
from ravenml.errors import InputError
from ravenml.plugin.requirements import read_requirements, update_compiled

TEMPLATES = ("minimal", "segmentation")
# `raven train` has commands of its own, and a plugin must not shadow a module that it will import
TAKEN = {"list", "train", "test", "plugin", "core", "settings", "click", "numpy", "torch"}


def write_plugin(name: str, template: str = "minimal", into: Path = Path()) -> Path:
    """Write the plugin ``ravenml_<name>`` into a folder; the plugin's folder comes back.

    Args:
        name: such as ``my_net``, ``my-net`` or ``ravenml_my_net``.
        template: ``minimal`` or ``segmentation``.
        into: where the plugin's folder is made.

    Raises:
        InputError: the name cannot name a plugin, there is no such template, or the folder exists.
    """
    short = module_name(name)
    package = f"ravenml_{short}"
    folder = into.expanduser().absolute() / package
    if template not in TEMPLATES:
        raise InputError(f"There is no template {template!r}; there are {', '.join(TEMPLATES)}.")
    if folder.exists():
        raise InputError(f"{folder} exists already; remove it, or choose another name or --into.")
    words = {
        "@package@": package,
        "@name@": short,
        "@command@": short.replace("_", "-"),
        "@distribution@": package.replace("_", "-"),
    }
    beside = folder.with_name(f".{package}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with as_file(files("ravenml.plugin") / "templates") as templates:
            for part in ("common", template):
                for source in _files(templates / part):
                    target = _filled(source.relative_to(templates / part).as_posix(), words)
                    target = target.removesuffix(".tmpl").replace("dot.", ".")
                    write_bytes(beside / target, _filled(source.read_text("utf-8"), words).encode())
        (beside / "install.sh").chmod(0o755)
        for mode in ("requirements", "requirements-gpu"):
            wanted = read_requirements(beside / f"{mode}.in")
            if not wanted:  # nothing to compile: say so; all else install.sh compiles at its first run
                update_compiled(beside / f"{mode}.txt", wanted, None, f"{mode}.in", by="raven plugin compile")
        beside.rename(folder)
    except OSError as error:
        raise to_user_error(error, folder) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def module_name(name: str) -> str:
    """A plugin's name as Python spells it: ``My-Net`` is ``my_net``.

    Raises:
        InputError: it cannot be made a module's name, or is taken.
    """
    short = re.sub(r"[-. ]+", "_", name.strip()).lower().removeprefix("ravenml_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", short) or keyword.iskeyword(short):
        raise InputError(f"{name!r} cannot name a plugin; use letters, digits and dashes, such as my-net.")
    if short in TAKEN:
        raise InputError(f"{name!r} is taken; choose another name, such as my-{short.replace('_', '-')}.")
    return short


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.tmpl")) if path.is_file())


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
