"""The public face: what docs/api.md lists is there, and has the signatures that it had."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path

import structure

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
SNAPSHOT = Path(__file__).with_name("api.txt")


def listed() -> list[tuple[str, str]]:
    """Every module and name that the page imports."""
    found = re.findall(r"^from (\S+) import (.+)$", PAGE.read_text(), re.MULTILINE)
    return [(module, name.strip()) for module, names in found for name in names.split(",")]


def face() -> str:
    """Each public name with its signature, and a class's public methods with theirs; a line each."""
    lines = []
    for module, name in [*listed(), *(("ravenml.sly", name) for name in sly_names())]:
        thing = getattr(importlib.import_module(module), name)
        lines.append(f"{module}.{name}{signature(thing)}")
        if inspect.isclass(thing):
            own = {key: value for key, value in vars(thing).items() if not key.startswith("_")}
            methods = {key: value for key, value in own.items() if callable(unwrapped(value))}
            lines += [
                f"{module}.{name}.{key}{signature(unwrapped(value))}"
                for key, value in sorted(methods.items())
            ]
    return "\n".join(lines) + "\n"


def sly_names() -> list[str]:
    names: list[str] = importlib.import_module("ravenml.sly").__all__
    return names


def unwrapped(value: object) -> object:
    """What a class or static method wraps."""
    return value.__func__ if isinstance(value, classmethod | staticmethod) else value


def signature(thing: object) -> str:
    """The parameters' names, and which have defaults; nothing for what cannot be called."""
    if isinstance(thing, type) and issubclass(thing, Enum):
        return ""  # Python's own, and different in each of its versions
    try:
        parameters = inspect.signature(thing).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    words = []
    for one in parameters:
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        has_default = one.default is not one.empty
        words.append(f"{stars}{one.name}{'=…' if has_default else ''}")
    return f"({', '.join(words)})"


def test_the_public_face_is_as_it_was() -> None:
    """`python tests/test_api.py` writes the snapshot anew, after a name was added or deprecated."""
    assert face() == SNAPSHOT.read_text()


def test_importing_ravenml_loads_nothing() -> None:
    code = "import sys, ravenml; print([m for m in sys.modules if m.startswith('ravenml.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_our_own_plugins_import_public_names_only() -> None:
    public = {f"{module}.{name}" for module, name in listed()}
    public |= {f"ravenml.sly.{name}" for name in sly_names()}
    private = {
        f"{path.name}: {name}"
        for path in sorted(PAGE.parents[1].glob("plugins/*/*/**/*.py"))
        for name in imported(ast.parse(path.read_text()))
        if path.parts[-2] != "tests" and name not in public
    }
    assert private == set()


def imported(tree: ast.Module) -> set[str]:
    """The names of the core that a file imports; of a module that it imports, the names that it uses."""
    names: set[str] = set()
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ravenml":
            for one in node.names:
                full = f"{node.module}.{one.name}"
                if full in structure.modules():
                    aliases[one.asname or one.name] = full
                else:
                    names.add(full)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            names.add(f"{aliases[node.value.id]}.{node.attr}")
    return names


if __name__ == "__main__":
    SNAPSHOT.write_text(face())
