"""The example of the documentation: a format that another package brings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from importlib_metadata import EntryPoint
from other_formats import left_out, picture, run

from ravenml.data.editable_annotation import read_editable
from ravenml.data.formats import registry
from ravenml.data.geometry import Rectangle
from ravenml.data.project import Project
from ravenml.plugin.discovery import Plugin

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes modules known as formats, as if a package had brought them."""
    before = registry._entries()

    def install(**modules: ModuleType | str) -> None:
        entries = dict(before)
        for name, module in modules.items():
            value = module
            if isinstance(module, ModuleType):
                monkeypatch.setitem(sys.modules, module.__name__, module)
                value = f"{module.__name__}:{name.title()}"
            entries[name] = Plugin(EntryPoint(name=name, value=value, group="ravenml.plugins.data"), [])
        registry.format_names.cache_clear()
        monkeypatch.setattr(registry, "_entries", lambda: entries)

    yield install
    registry.format_names.cache_clear()


def the_example() -> ModuleType:
    (code,) = re.findall(r"```python\n(import csv.*?)```", GUIDE.read_text(), re.S)
    module = ModuleType("csv_boxes")
    exec(compile(code, str(GUIDE), "exec"), module.__dict__)  # noqa: S102 - the guide's code
    return module


def test_the_example_of_the_documentation_imports(tmp_path: Path, installed: Any) -> None:
    installed(csv=the_example())
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / "src" / name)
    lines = ["a.png,car,1,2,11,12", "b.png,bus,5,5,5,9", "c.png,bus,x,5,5,9", "gone.png,bus,1,1,2,2"]
    (tmp_path / "src" / "boxes.csv").write_text("\n".join(lines))
    done = run("import", "csv", tmp_path / "src" / "boxes.csv", tmp_path / "d")
    assert done.exit_code == 1 and "3 of 4 objects were left out" in done.stderr, done.output
    project = Project.open(tmp_path / "d")
    (label,) = read_editable(project.items[0].annotation_path).labels
    assert label.title == "car" and label.geometry == Rectangle(1, 2, 10, 11)
    said = left_out(done)
    assert len(said) == 3 and "line 2: the box has no area" in said[0]
    assert "line 3: is not a shape" in said[1] and "gone.png" in said[2]
    done = run("export", "csv", tmp_path / "d", tmp_path / "e")
    assert done.exit_code == 2 and "can be imported, but not exported" in done.stderr
    assert "csv        CSV: image, class" in run("formats").stdout


def test_a_broken_format_is_told_and_hinders_no_other(tmp_path: Path, installed: Any) -> None:
    installed(broken="no_such_module:Format", strange="json:JSONDecoder")
    said = run("formats").stdout
    assert "cannot be loaded: ModuleNotFoundError" in said and "is not a class derived from" in said
    assert "via        VGG Image Annotator" in said
    done = run("import", "broken", tmp_path, tmp_path / "d")
    assert done.exit_code == 1 and "no_such_module" in done.stderr


def test_every_format_that_is_known_has_a_chapter_and_a_column() -> None:
    guide = GUIDE.read_text()
    (head,) = re.findall(r"^\| \| (via .*) \|$", guide, re.M)
    assert sorted(head.split(" | ")) == registry.format_names()
    assert all(f"\n## {name}\n" in guide for name in registry.format_names())


def test_former_names_still_load_and_warn() -> None:
    from ravenml.data import problems
    from ravenml.data.formats import base

    for module, old, new in (
        (problems, "Fault", "DataProblem"),
        (base, "Source", "ImportSource"),
        (base, "Options", "ImportOptions"),
    ):
        with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
            assert getattr(module, old) is getattr(module, new)
