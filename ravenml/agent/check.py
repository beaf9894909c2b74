"""``raven agent check``: what a contract plugin lacks to run here, found without running any of it."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from ravenml.agent.config_schema import check_config
from ravenml.agent.launch import find_python
from ravenml.agent.mounts import LIBRARY, find_library
from ravenml.agent.plugin_folder import INFO, KINDS, MODES, VERSION, PluginFolder
from ravenml.errors import InputError, RavenError
from ravenml.sly.module_alias import Support, find_support
from ravenml.sly.used_names import find_used_names

_IMAGE_FILES = (INFO, VERSION, "Dockerfile")
_FIND_MISSING = (
    "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n) is None])"
)


def check_plugin(folder: Path, python: Path | None = None) -> tuple[list[str], list[str]]:
    """Look at a plugin's files.

    Args:
        folder: the plugin's folder.
        python: the interpreter that will run it; by default as for a task.

    Returns:
        What keeps it from running, and what is only worth knowing; sentences.

    Raises:
        InputError: it is not a folder, or ``python`` is not a program.
    """
    if not folder.expanduser().is_dir():
        raise InputError(f"{folder} is not a folder; name the plugin's folder, which holds src/.")
    try:
        plugin = PluginFolder.open(folder)
    except InputError as error:
        return [str(error)], []
    interpreter = find_python(plugin.root, python)
    imports, faults = _read_programs(plugin)
    faults += [*_preset_faults(plugin), *_missing_packages(plugin, imports, interpreter)]
    notes = [
        f"{plugin.root / name} is missing; an image needs it."
        for name in _IMAGE_FILES
        if not (plugin.root / name).is_file()
    ]
    if _brings_library(plugin):
        notes.append(f"It brings its own {LIBRARY}, whose names are not checked.")
    else:
        for name, place in sorted(find_used_names(plugin.root).items()):
            said = f"{place}: {LIBRARY}.{name}"
            try:
                support = find_support(name)
            except ImportError as error:  # a part of the SDK that stands on a framework
                notes.append(f"{said} is not checked: {error}.")
                continue
            if support is Support.MISSING:
                faults.append(f"{said} is not in ravenML's SDK; --lib uses another one.")
            elif support is Support.REFUSED:
                notes.append(f"{said} is there, and says when it is used that it cannot work here.")
    return faults, notes


def _brings_library(plugin: PluginFolder) -> bool:
    own = any((folder / LIBRARY).is_dir() for folder in (plugin.root, plugin.root / "src"))
    return own or find_library(plugin.root, None) is not None


def _read_programs(plugin: PluginFolder) -> tuple[dict[str, Path], list[str]]:
    """What the programs of the modes, and modules of theirs, import where they begin: each package with the
    file that names it, and the files that this Python cannot read.
    """
    imports: dict[str, Path] = {}
    faults: list[str] = []
    waiting = [f"src/{mode}.py" for mode in plugin.modes]
    seen: set[str] = set()
    folders = plugin.import_folders()
    while waiting:
        name = waiting.pop()
        path = plugin.root / name
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        try:
            found = _imports(path)
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            version = ".".join(map(str, sys.version_info[:2]))
            faults.append(f"{path}{line}: Python {version} cannot read it: {error.args[0]}.")
            continue
        for module in found:
            imports.setdefault(module.partition(".")[0], path)
            inner = module.replace(".", "/")
            waiting += [str(Path(folder) / f"{inner}.py") for folder in folders]
    return imports, faults


def _imports(path: Path) -> list[str]:
    """The modules that a source file imports at its top level.

    Raises:
        SyntaxError, ValueError: Python cannot read it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(path.read_bytes(), str(path))
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    return found


def _preset_faults(plugin: PluginFolder) -> Iterator[str]:
    """What is wrong with the predefined configs: their types, and what the plugin's schemas say of them."""
    for entry in plugin.configs:
        title, kind = entry["title"], entry["type"]
        if kind not in (*MODES, *KINDS):
            yield f"The predefined config {title!r} has the type {kind!r}, which no mode has."
            continue
        mode = kind if kind in MODES else "main"
        if mode not in plugin.modes:
            yield f"The predefined config {title!r} is for src/{mode}.py, which is missing."
        try:
            check_config(plugin, mode, entry["config"], f"The predefined config {title!r}")
        except RavenError as error:
            yield str(error)


def _missing_packages(plugin: PluginFolder, users: dict[str, Path], python: Path) -> Iterator[str]:
    """The packages that its programs import, and that its Python does not have."""
    places = [folder for name in plugin.import_folders() if (folder := plugin.root / name).is_dir()]
    own = {path.stem for place in places for path in place.iterdir() if path.is_dir() or path.suffix == ".py"}
    asked = sorted(set(users) - own - {LIBRARY, "ravenml"})
    try:
        line = [str(python), "-I", "-c", _FIND_MISSING, *asked]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        missing = done.stdout.split() if done.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired):
        missing = []
    for name in missing:
        user = users[name].relative_to(plugin.root)
        yield f"{user} imports {name}, which {python} does not have; install it there."
