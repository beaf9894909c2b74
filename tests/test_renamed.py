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


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("data.problems", "Fault", "DataProblem"),
        ("infer.evaluation", "section", "make_section"),
        ("infer.model_resolver", "one_model", "find_one_model"),
        ("toolkit.async_writer", "Background", "AsyncWriter"),
        ("toolkit.checkpoints", "Keeper", "CheckpointWriter"),
        ("toolkit.prefetch", "Kept", "MemoryCache"),
        ("toolkit.pretrained", "Start", "PretrainedWeights"),
        ("toolkit.pretrained", "read_start", "inspect_weights"),
        ("toolkit.previews", "beside_each_other", "stack_panels"),
        ("toolkit.resume_guard", "identity_of", "training_identity"),
    ],
)
def test_an_old_name_within_a_module_gives_the_same_object_and_a_warning(
    module: str, old: str, new: str
) -> None:
    found = importlib.import_module(f"ravenml.{module}")
    with pytest.warns(DeprecationWarning, match=f"{module}.{old} is now {new}; use that."):
        assert getattr(found, old) is getattr(found, new)


@pytest.mark.parametrize("place", [0, 100])
def test_a_finder_that_asks_all_others_finds_the_former_package(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asking:
        """As tools that measure coverage or draw imports have one."""

        asks = False

        def find_spec(self, name: str, path: object = None, target: object = None) -> object:
            if self.asks:  # there may be another of its kind
                return None
            self.asks = True
            try:
                found = (one.find_spec(name, path, target) for one in sys.meta_path if one is not self)
                return next((spec for spec in found if spec is not None), None)
            finally:
                self.asks = False

    for name in [name for name in sys.modules if name.partition(".")[0] == "raven"]:
        monkeypatch.delitem(sys.modules, name)
    finders = list(sys.meta_path)
    finders.insert(place, Asking())
    monkeypatch.setattr(sys, "meta_path", finders)
    with pytest.warns(DeprecationWarning, match="raven is now ravenml"):
        assert importlib.import_module("raven") is sys.modules["ravenml"]
    monkeypatch.delitem(sys.modules, "raven", raising=False)
