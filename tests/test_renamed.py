"""Modules that have moved are still found under their old names."""

from __future__ import annotations

import importlib
import sys

import pytest

from ravenml.renamed import RENAMED


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_gives_the_same_module_and_a_warning(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name in RENAMED]:
        monkeypatch.delitem(sys.modules, name)
    new = importlib.import_module(RENAMED[old])
    spec = new.__spec__
    with pytest.warns(DeprecationWarning, match=f"{old} is now {RENAMED[old]}; import that."):
        found = importlib.import_module(old)
    assert found is new and new.__spec__ is spec and new.__name__ == RENAMED[old]


def test_other_names_are_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"ravenml\.train\.nothing"):
        importlib.import_module("ravenml.train.nothing")
