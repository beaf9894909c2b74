"""How the core is put together: no new circle of imports, and Click where it belongs."""

from __future__ import annotations

import structure


def test_no_modules_import_each_other() -> None:
    assert structure.circles() == []


def test_click_is_imported_by_the_command_line_and_what_authors_decorate_with() -> None:
    allowed = ("ravenml.cli", "ravenml.train.options", "ravenml.utils.plugins", "ravenml.plugin.")
    # The two in ravenml.plugin are programs as text, which look at a plugin in a process of its own.
    others = [name for name in structure.click_importers() if not name.startswith(allowed)]
    assert others == []
    assert not [name for name, path in structure.modules().items() if path.stem == "commands"]
