"""How the core is put together: no new circle of imports, and Click where it belongs."""

from __future__ import annotations

import ast
import re

import structure

ROOT = structure.CORE.parent


def test_no_modules_import_each_other() -> None:
    assert structure.circles() == []


def test_click_is_imported_by_the_command_line_and_what_authors_decorate_with() -> None:
    allowed = ("ravenml.cli", "ravenml.train.options", "ravenml.utils.plugins")
    allowed += ("ravenml.plugin.", "ravenml.compat.prompts")
    # The two in ravenml.plugin are programs as text, which look at a plugin in a process of its own.
    others = [name for name in structure.click_importers() if not name.startswith(allowed)]
    assert others == []
    assert not [name for name, path in structure.modules().items() if path.stem == "commands"]


def test_every_file_that_the_architecture_page_and_the_packages_name_exists() -> None:
    missing = []
    page = ROOT / "docs" / "architecture.md"
    for path in (page, *structure.CORE.rglob("__init__.py")):
        text = page.read_text() if path == page else ast.get_docstring(ast.parse(path.read_text())) or ""
        folder = structure.CORE if path == page else path.parent
        named = re.findall(r"`([\w/*]+\.py)`", text)
        missing += [
            f"{path.parent.name}: {name}" for name in named if not any((*folder.glob(name), *ROOT.glob(name)))
        ]
    assert missing == []
