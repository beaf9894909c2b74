"""Measures the core: ``python tests/structure.py`` prints files, lines, circles and importers of Click."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

CORE = Path(__file__).resolve().parent.parent / "ravenml"
SHORT = 60  # lines; a file below that with one importer belongs into it


@cache
def modules() -> dict[str, Path]:
    """Every module of the core by its dotted name; templates of plugins are none."""
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        parts = path.relative_to(CORE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """The modules of the core that each one imports, within functions and under TYPE_CHECKING too."""
    known = modules()
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                graph[name].update(one.name for one in node.names if one.name in known)
            elif isinstance(node, ast.ImportFrom) and node.module in known:
                assert node.module is not None
                for one in node.names:
                    below = f"{node.module}.{one.name}"
                    graph[name].add(below if below in known else node.module)
        graph[name].discard(name)
    return graph


def circles() -> list[list[str]]:
    """Groups of modules that import each other: Tarjan's strongly connected components."""
    graph = imports()
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return sorted(found)


def click_importers() -> list[str]:
    """The modules that import Click."""
    pattern = re.compile(r"^\s*(import click|from click)\b", re.MULTILINE)
    return [name for name, path in modules().items() if pattern.search(path.read_text(encoding="utf-8"))]


def short_files() -> list[str]:
    """Files of fewer than SHORT lines that one module alone imports; package files are none."""
    importers = Counter(other for others in imports().values() for other in others)
    return [
        name
        for name, path in modules().items()
        if path.name != "__init__.py" and importers[name] == 1 and len(path.read_text().splitlines()) < SHORT
    ]


def uses_of_any() -> int:
    """Count the uses of ``Any`` in annotations."""
    count = 0
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
            for annotation in filter(None, annotations):
                names = (one.id for one in ast.walk(annotation) if isinstance(one, ast.Name))
                count += sum(name == "Any" for name in names)
    return count


def main() -> None:
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values())
    print(f"files                       {len(modules()):>7,}")
    print(f"lines                       {lines:>7,}")
    print(f"Any in annotations          {uses_of_any():>7,}")
    print(f"short files, one importer   {len(short_files()):>7,}")
    print(f"modules that import Click   {len(click_importers()):>7,}")
    print(f"circles of imports          {len(circles()):>7,}")
    for group in circles():
        print("   ", ", ".join(group))


if __name__ == "__main__":
    main()
