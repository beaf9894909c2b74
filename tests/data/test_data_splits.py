"""Test images, untagged images, and images that are there twice: where they go in splits and folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from projects import write_item, write_meta

from ravenml.data import duplicates
from ravenml.data.duplicates import find_duplicates
from ravenml.data.folds import make_folds
from ravenml.data.project import Item, Project
from ravenml.data.split import Split, Untagged, default_split, read_split, split_by_chance, write_split
from ravenml.errors import InputError

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a project from the content of each image (a number) and its tags, by its key."""

    def project(**images: tuple[int, str]) -> Project:
        write_meta(tmp_path / "p", {"box": "rectangle"}, tags=("train", "val", "test"))
        for key, (content, tags) in images.items():
            dataset, name = key.split("_")
            pixels = np.random.default_rng(content).integers(0, 255, (12, 16, 3)).astype(np.uint8)
            write_item(tmp_path / "p", dataset, f"{name}.png", pixels, tags=tags.split())
        return Project.open(tmp_path / "p")

    return project


def silent(message: str) -> None:
    pass


def names(items: list[Item]) -> str:
    return " ".join(item.key.removesuffix(".png") for item in items)


def numbered(count: int, tags: str = "", dataset: str = "a", start: int = 0) -> dict[str, tuple[int, str]]:
    return {f"{dataset}_{start + n:02d}": (start + n, tags) for n in range(count)}


# Test images


def test_images_tagged_test_neither_train_nor_validate(make: Make) -> None:
    said: list[str] = []
    images = {"a_1": (1, "train"), "a_2": (2, "val"), "a_3": (3, "test"), "a_4": (4, "test")}
    split = default_split(make(**images), notice=said.append)
    assert (names(split.train), names(split.val), names(split.test)) == ("a/1", "a/2", "a/3 a/4")
    assert said == ["2 images are tagged `test` and neither train nor validate."]


def test_where_only_test_is_tagged_chance_divides_the_rest(make: Make) -> None:
    project = make(**numbered(10), **numbered(3, "test", start=10))
    split = default_split(project, notice=silent)
    assert (len(split.train), len(split.val), len(split.test)) == (8, 2, 3)
    assert names(split.test) == "a/10 a/11 a/12"


@pytest.mark.parametrize("by", ["random", "dataset", r"^\d"])
def test_no_fold_has_an_image_tagged_test(make: Make, by: str) -> None:
    project = make(**numbered(4), **numbered(4, dataset="b", start=14), **numbered(3, "test", start=4))
    said: list[str] = []
    folds = make_folds(project, 2, by, notice=said.append)
    for fold in folds:
        assert names(fold.test) == "a/04 a/05 a/06" and not {*fold.test} & {*fold.train, *fold.val}
    assert sum(len(fold.val) for fold in folds) == 8
    assert "3 images are tagged `test` and neither train nor validate." in said


def test_folds_of_nothing_but_test_images_are_refused(make: Make) -> None:
    project = make(**numbered(4, "test"), **numbered(4, "train", start=4))
    with pytest.raises(InputError, match="every image is tagged `test`"):
        make_folds(project, 2, only_tag="test", notice=silent)


def test_an_image_tagged_train_and_test_is_refused(make: Make) -> None:
    project = make(a_1=(1, "train test"), a_2=(2, "val"), a_3=(3, "train"))
    with pytest.raises(InputError, match=r"a/1\.png is tagged both `train` and `test`"):
        default_split(project, notice=silent)


def test_whoever_names_the_tag_test_for_validation_gets_it(make: Make) -> None:
    project = make(a_1=(1, "train"), a_2=(2, "test"))
    split = default_split(project, notice=silent, tags=("train", "test"))
    assert (names(split.train), names(split.val), names(split.test)) == ("a/1", "a/2", "")


def test_a_run_s_folder_lists_its_test_images(make: Make, tmp_path: Path) -> None:
    write_split(default_split(make(**numbered(4), a_9=(9, "test")), notice=silent), tmp_path / "info")
    listed = json.loads((tmp_path / "info" / "test_set.json").read_text())
    assert listed == [{"dataset_name": "a", "item_name": "9.png"}]


def test_a_split_is_read_with_its_test_images_as_far_as_they_are_there(make: Make, tmp_path: Path) -> None:
    project = make(**numbered(4), a_98=(98, "test"), a_99=(99, "test"))
    split = default_split(project, notice=silent)
    write_split(split, tmp_path / "info")
    files = [tmp_path / "info" / f"{part}_set.json" for part in ("train", "val", "test")]
    assert read_split(project, *files) == split
    without = project.only([item for item in project.items if item.name != "99.png"])
    assert names(read_split(without, *files).test) == "a/98"


# Untagged images


@pytest.mark.parametrize(
    ("untagged", "train", "val", "said"),
    [
        (None, "a/1 a/3", "a/2", "joined train (--untagged val or --untagged ignore changes that)."),
        ("train", "a/1 a/3", "a/2", "joined train."),
        ("val", "a/1", "a/2 a/3", "joined val."),
        ("ignore", "a/1", "a/2", "left out."),
    ],
)
def test_untagged_images_go_where_they_are_told_to(
    make: Make, untagged: Untagged | None, train: str, val: str, said: str
) -> None:
    told: list[str] = []
    project = make(a_1=(1, "train"), a_2=(2, "val"), a_3=(3, ""))
    split = default_split(project, notice=told.append, untagged=untagged)
    assert (names(split.train), names(split.val)) == (train, val)
    assert told == [f"1 image is tagged neither `train` nor `val` and {said}"]


def test_untagged_images_may_be_the_whole_other_part(make: Make) -> None:
    project = make(a_1=(1, "train"), a_2=(2, ""), a_3=(3, ""), a_4=(4, "test"))
    split = default_split(project, notice=silent, untagged="val")
    assert (names(split.train), names(split.val)) == ("a/1", "a/2 a/3")
    with pytest.raises(InputError, match='no image is tagged "val"'):
        default_split(project, notice=silent, untagged="ignore")


def test_a_tag_that_decides_nothing_is_told(make: Make) -> None:
    said: list[str] = []
    split = default_split(make(**numbered(5, "train"), **numbered(5, start=5)), notice=said.append)
    assert len(split.val) == 2 and said == ["no image is tagged `val`, so chance divides them all."]


def test_where_chance_leaves_the_test_images_alone_it_does_not_say_all(make: Make) -> None:
    said: list[str] = []
    default_split(make(**numbered(5, "train"), a_9=(9, "test")), notice=said.append)
    assert "no image is tagged `val`, so chance divides all but those tagged `test`." in said


# The same image twice


def test_the_same_content_is_found_under_all_its_names(make: Make) -> None:
    project = make(a_1=(1, ""), a_2=(2, ""), b_1=(1, ""), b_3=(3, ""), c_7=(1, ""))
    assert find_duplicates(project) == dict.fromkeys(("a/1.png", "b/1.png", "c/7.png"), "a/1.png")


def test_files_that_differ_in_one_byte_are_not_the_same(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(a_1=(1, ""), a_2=(1, ""))
    monkeypatch.setattr(duplicates, "_PIECE", 8)
    content = bytearray(project.items[1].image_path.read_bytes())
    content[30] ^= 1  # neither in the middle nor at the end
    project.items[1].image_path.write_bytes(content)
    assert find_duplicates(project) == {}


def test_an_image_that_is_gone_is_like_no_other(make: Make) -> None:
    project = make(a_1=(1, ""), a_2=(1, ""))
    project.items[1].image_path.unlink()
    assert find_duplicates(project) == {}


def sides(split: Split) -> tuple[set[int], set[int]]:
    """The contents on either side, by their numbers, which are the names'."""
    train, val = ({int(item.name[:2]) for item in items} for items in (split.train, split.val))
    return train, val


def test_chance_never_puts_one_image_on_both_sides(make: Make) -> None:
    project = make(**numbered(8), **numbered(8, dataset="b"))
    for seed in range(10):
        train, val = sides(split_by_chance(project, seed, 0.25, notice=silent))
        assert not train & val and len(val) == 2
    said: list[str] = []
    split_by_chance(project, 0, 0.25, notice=said.append)
    assert said == ["16 images have the content of another one (a/00.png = b/00.png, …); they stay together."]


def test_one_image_under_two_names_cannot_be_split(make: Make) -> None:
    with pytest.raises(InputError, match="has 1 image under 2 names, which cannot be split"):
        split_by_chance(make(a_1=(1, ""), b_1=(1, "")), 0, 0.2, notice=silent)


@pytest.mark.parametrize("seed", range(5))
def test_many_copies_of_one_image_never_make_validation_larger_than_asked_for(make: Make, seed: int) -> None:
    copies = {f"b_{n:02d}": (99, "") for n in range(12)}
    split = split_by_chance(make(**numbered(8), **copies), seed, 0.2, notice=silent)
    assert len(split.val) == 4 and {item.dataset for item in split.val} == {"a"}


def test_where_every_image_has_many_copies_the_fewest_validate(make: Make) -> None:
    copies = {f"{dataset}_{n}": (count, "") for dataset, count in (("a", 5), ("b", 3)) for n in range(count)}
    assert len(split_by_chance(make(**copies), 0, 0.2, notice=silent).val) == 3


def test_the_same_image_is_in_one_random_fold(make: Make) -> None:
    twice = {"b_01": (1, ""), "b_05": (5, "")}
    project = make(**numbered(4), **twice, **numbered(3, dataset="c", start=6))
    for fold in make_folds(project, 2, notice=silent):
        train, val = sides(fold)
        assert not train & val


def test_an_image_that_all_groups_share_is_told_and_parts_no_folds(make: Make) -> None:
    said: list[str] = []
    blank = {f"{dataset}_00": (0, "") for dataset in "abc"}
    own = {f"{dataset}_01": (n, "") for n, dataset in enumerate("abc", start=1)}
    folds = make_folds(make(**blank, **own), 3, "dataset", notice=said.append)
    assert sorted({item.dataset for item in fold.val}.pop() for fold in folds) == ["a", "b", "c"]
    assert "have the same content, so scores come out too good" in said[-1]


def test_an_untagged_copy_of_a_test_image_is_never_trained_on(make: Make) -> None:
    said: list[str] = []
    project = make(**numbered(6), a_09=(9, "test"), b_09=(9, ""))
    assert names(default_split(project, notice=said.append).test) == "a/09 b/09"
    assert "1 image has the content of an image tagged `test` and stays out with it." in said
    assert all(names(fold.test) == "a/09 b/09" for fold in make_folds(project, 2, notice=silent))


def test_an_untagged_copy_goes_where_the_tagged_one_is(make: Make) -> None:
    project = make(a_1=(1, "train"), a_2=(2, "val"), a_3=(3, "test"), b_2=(2, ""), b_3=(3, ""))
    split = default_split(project, notice=silent)
    assert (names(split.train), names(split.val), names(split.test)) == ("a/1", "a/2 b/2", "a/3 b/3")


def test_tags_that_part_the_same_image_are_told(make: Make) -> None:
    said: list[str] = []
    default_split(make(a_1=(1, "train"), a_2=(2, "val"), b_1=(1, "val")), notice=said.append)
    assert said == [
        "a/1.png (train) and b/1.png (val) have the same content, so scores come out too good; "
        "keep an image in one part only."
    ]
