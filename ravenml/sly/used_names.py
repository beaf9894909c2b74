"""Which names of ``supervisely_lib`` a plugin's sources use; they are read, and never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LIBRARY = "supervisely_lib"
_CHAIN = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_IMPORT = re.compile(r"^[ \t]*((?:from|import)[ \t]+supervisely_lib\b[^\n;(]*)", re.MULTILINE)


def find_used_names(folder: Path) -> dict[str, str]:
    """The names that a plugin's Python files use, below ``supervisely_lib``, and where each is used first.

    A name is as long as the source has it (``TaskPaths.DATA_DIR``, ``nn.config``).  A library that lies in
    the plugin itself is not read.

    Args:
        folder: the plugin.

    Returns:
        By name: ``src/train.py:12``.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder)
        if any(part.endswith(LIBRARY) or part == ".venv" for part in inner.parts):
            continue
        for name, line in find_names(path.read_text(encoding="utf-8", errors="replace")):
            found.setdefault(name, f"{inner}:{line}")
    return found


def find_names(source: str) -> Iterator[tuple[str, int]]:
    """The names below ``supervisely_lib`` that a source uses, and their lines."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # a template, or Python 2
        yield from _names_in_text(source)
        return
    local: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for own, full in _imported(node):
                local[own] = full if own != LIBRARY else LIBRARY
                yield from _below(full, node.lineno)
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):  # from outside in: the longest chain comes first
        if isinstance(node, ast.Attribute) and node not in inner:
            parts: list[str] = []
            base: ast.AST = node
            while isinstance(base, ast.Attribute):
                parts.append(base.attr)
                inner.add(base)
                base = base.value
            if isinstance(base, ast.Name) and base.id in local:
                yield from _below(".".join([local[base.id], *reversed(parts)]), node.lineno)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """The name that an import gives, and the full one."""
    module = "" if isinstance(node, ast.Import) else node.module or ""
    if isinstance(node, ast.ImportFrom) and node.level:
        return
    for one in node.names:
        full = f"{module}.{one.name}" if module else one.name
        if full.split(".")[0] == LIBRARY:
            full = full.removesuffix(".*")
            yield one.asname or (one.name if module else LIBRARY), full


def _names_in_text(source: str) -> Iterator[tuple[str, int]]:
    local: dict[str, str] = {}
    for match in _IMPORT.finditer(source):
        try:
            (node,) = ast.parse(match[1].strip()).body
        except (SyntaxError, ValueError):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            for own, full in _imported(node):
                local[own] = full if own != LIBRARY else LIBRARY
                yield from _below(full, source.count("\n", 0, match.start()) + 1)
    for match in _CHAIN.finditer(source):
        base, _, rest = match[0].partition(".")
        if base in local:
            yield from _below(f"{local[base]}.{rest}", source.count("\n", 0, match.start()) + 1)


def _below(full: str, line: int) -> Iterator[tuple[str, int]]:
    if full != LIBRARY:
        yield full.removeprefix(f"{LIBRARY}."), line
