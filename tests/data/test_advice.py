"""What is suggested for a new dataset: a plugin that is installed and fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravenml.cli.data_formats import training_command
from ravenml.plugin import discovery
from ravenml.plugin.distributions import Declared

PLUGINS = {"seg": "segmentation", "box": "detection", "odd": "", "mute": None}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the plugins that are found; the test takes away what it does not want."""
    from importlib_metadata import EntryPoint

    names = {*PLUGINS, "broken"}
    lines = "".join(f"class {name}:\n    learns = {task!r}\n" for name, task in PLUGINS.items())
    (tmp_path / "some_plugins.py").write_text(lines)
    monkeypatch.syspath_prepend(str(tmp_path))

    def find(group: str) -> list[Declared]:
        points = [EntryPoint(name, f"some_plugins:{name}", group) for name in sorted(names)]
        return [Declared(point, "some-plugins", "1.0", None) for point in points]

    monkeypatch.setattr(discovery, "find_entry_points", find)
    return names


@pytest.mark.parametrize(
    ("kinds", "without", "plugin"),
    [
        ({"rectangle"}, "", "box"),
        ({"rectangle", "line"}, "", "box"),
        ({"rectangle"}, "box", "seg"),
        ({"bitmap"}, "", "seg"),
        ({"polygon", "rectangle"}, "", "seg"),
        ({"polygon"}, "seg", "box"),
        ({"line", "point"}, "", "PLUGIN"),
        (set(), "", "PLUGIN"),
    ],
)
def test_boxes_are_detected_and_areas_segmented(
    installed: set[str], kinds: set[str], without: str, plugin: str
) -> None:
    installed.discard(without)
    assert training_command("data", kinds) == f"raven train --dataset data {plugin} train"


def test_where_nothing_fits_it_is_left_open(installed: set[str]) -> None:
    installed -= {"box", "seg"}
    assert training_command("'my data'", {"rectangle"}) == "raven train --dataset 'my data' PLUGIN train"
