"""Classes in a model's order, and samples for any framework."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from projects import box_of, write_item, write_meta

from ravenml.data.cache import DecodedCache
from ravenml.data.classes import BACKGROUND, class_order, lookup_table
from ravenml.data.decoding import decode
from ravenml.data.project import ObjClass, Project
from ravenml.data.samples import Samples
from ravenml.errors import InputError


def titles(classes: list[ObjClass]) -> list[str]:
    return [known.title for known in classes]


def test_a_fresh_model_has_background_first_and_then_meta_json_s_order(small: Project) -> None:
    assert titles(class_order(small)) == [BACKGROUND, "blob", "ring", "box"]
    assert titles(class_order(small, ["box", "blob"])) == [BACKGROUND, "blob", "box"]


def test_an_unknown_class_is_refused_with_a_suggestion(small: Project) -> None:
    with pytest.raises(InputError, match=r'has no class "rnig"; did you mean "ring"\?'):
        class_order(small, ["rnig"])
    with pytest.raises(InputError, match='has no class "zzz"; there is blob, ring, box'):
        lookup_table(small, [BACKGROUND, "zzz"])


def test_the_lookup_table_gives_the_model_s_indices_and_background_for_the_rest(small: Project) -> None:
    table = lookup_table(small, ["box", "blob", BACKGROUND])
    assert table.dtype == np.uint8 and table.shape == (256,)
    assert table[:4].tolist() == [2, 1, 2, 0]


def test_odd_orders_are_refused(small: Project) -> None:
    with pytest.raises(InputError, match="named twice"):
        lookup_table(small, [BACKGROUND, "box", "box"])
    with pytest.raises(InputError, match=f"have no {BACKGROUND}"):
        lookup_table(small, ["box"])


def test_a_class_of_the_project_that_is_called_background_is_background(tmp_path: Path) -> None:
    write_meta(tmp_path, {"road": "any", BACKGROUND: "any", "car": "any"})
    image = np.zeros((8, 8, 3), np.uint8)
    things = [box_of("road", 0, 0, 7, 7), box_of(BACKGROUND, 0, 0, 3, 7), box_of("car", 0, 0, 1, 1)]
    write_item(tmp_path, "a", "1.png", image, things)
    project = Project.open(tmp_path)
    order = titles(class_order(project))
    assert order == [BACKGROUND, "road", "car"]
    _, labels = Samples(project, project.items, order, cache=None)[0]
    assert labels[0].tolist() == [2, 2, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("cached", [True, False])
def test_samples_are_images_and_labels_in_the_model_s_order(
    small: Project, tmp_path: Path, cached: bool
) -> None:
    cache = DecodedCache(tmp_path / "cache", 10**9) if cached else None
    samples = Samples(small, small.items[2:4], ["ring", BACKGROUND], cache)
    assert len(samples) == 2 and samples.items == small.items[2:4]
    for _ in range(2):
        image, labels = samples[1]
        expected, mask = decode(small, small.items[3])
        assert image.dtype == np.uint8 and (image == expected).all()
        assert labels.dtype == np.uint8 and (labels == np.where(mask == 2, 0, 1)).all()
    assert len(list(samples)) == 2


def test_samples_use_the_user_s_cache_by_default_and_may_be_pickled(small: Project, home: Path) -> None:
    samples = Samples(small, small.items, [BACKGROUND, "blob"])
    expected = samples[0]
    assert list((home / "cache" / "decoded").glob("??/*.raw"))
    again = pickle.loads(pickle.dumps(samples))[0]  # noqa: S301 - its own
    assert (again[0] == expected[0]).all() and (again[1] == expected[1]).all()


def test_300_classes_work(tmp_path: Path) -> None:
    write_meta(tmp_path, {f"c{number}": "any" for number in range(300)})
    write_item(tmp_path, "a", "1.png", np.zeros((4, 4, 3), np.uint8), [box_of("c299", 0, 0, 1, 1)])
    project = Project.open(tmp_path)
    labels = Samples(project, project.items, titles(class_order(project)), cache=None)[0][1]
    assert labels.dtype == np.uint16 and labels[0].tolist() == [300, 300, 0, 0]
    few = Samples(project, project.items, [BACKGROUND, "c299"], cache=None)[0][1]
    assert few[0].tolist() == [1, 1, 0, 0]
