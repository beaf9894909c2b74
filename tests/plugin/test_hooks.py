"""The table of what plugins may offer: in the guide as in the code, and complete.

``python tests/plugin/test_hooks.py`` writes it into the guide.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import ravenml
from ravenml.common.hooks import DATA, HOOKS, PREDICT, SETTINGS, TRACK, hooks_table
from ravenml.data.formats.base import Format
from ravenml.infer.predictor import Predictor
from ravenml.runs.exporters.base import Exporter
from ravenml.train.settings import TrainSettings

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
TABLE = re.compile(r"(?<=<!-- hooks -->\n).*?(?=<!-- end of hooks -->)", re.DOTALL)


def names_of(group: str) -> set[str]:
    """The names in the table for what has this group, without arguments."""
    names = {hook.name.partition("(")[0] for hook in HOOKS if hook.group == group and hook.name}
    return {name for name in names if "." not in name}  # files


def public(kind: type) -> set[str]:
    """What a class declares for its subclasses."""
    declared = {*vars(kind), *inspect.get_annotations(kind)}
    return {name for name in declared if not name.startswith("_") and name != "model_config"}


def test_the_guide_shows_the_table() -> None:
    assert TABLE.search(GUIDE.read_text(encoding="utf-8"))[0] == hooks_table(), (
        "python tests/plugin/test_hooks.py"
    )


@pytest.mark.parametrize(("group", "kind"), [(SETTINGS, TrainSettings), (DATA, Format), (TRACK, Exporter)])
def test_the_table_names_all_that_a_subclass_may_have(group: str, kind: type) -> None:
    assert names_of(group) == {name for name in public(kind) if not name.startswith("model_")}


def test_the_table_names_all_that_is_asked_of_a_predictor() -> None:
    asked = {"accepts", "export"} | {name for name in public(Predictor)}
    for path in Path(ravenml.__file__).parent.rglob("*.py"):
        asked |= set(re.findall(r'getattr\([\w.]*predictor, "(\w+)"', path.read_text(encoding="utf-8")))
    assert names_of(PREDICT) == asked


if __name__ == "__main__":
    text = GUIDE.read_text(encoding="utf-8")
    GUIDE.write_text(TABLE.sub(lambda found: hooks_table(), text), encoding="utf-8")
