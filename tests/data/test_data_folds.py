"""Folds and splits: every image scored once, groups never parted, the same on every machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import real_data, write_project

from ravenml.data.annotation import Head
from ravenml.data.folds import looks_like_sequences, make_folds
from ravenml.data.layout import Item
from ravenml.data.project import Project
from ravenml.data.split import Split, default_split, read_split, write_split
from ravenml.errors import InputError, RavenError


def silent(message: str) -> None:
    pass


def project_of(keys: Iterable[str]) -> Project:
    """A project of images that need not exist: folds look at names alone."""
    parts = [key.rsplit("/", 1) for key in sorted(keys)]
    items = [Item(dataset, name, Path(name), Path(name)) for dataset, name in parts]
    return Project(Path("made up"), [], [], sorted({item.dataset for item in items}), items)


def keys(items: Sequence[Item]) -> set[str]:
    return {item.key for item in items}


names = st.from_regex(r"[a-e]/[a-h]{1,2}_[0-9]{1,3}\.png", fullmatch=True)
key_sets = st.sets(names, min_size=2, max_size=60)
how = st.sampled_from(["random", "dataset", r"^[^_]+", r"_\d"])


@given(key_sets, st.integers(2, 6), how, st.integers(0, 9))
def test_folds_are_a_partition_and_groups_never_part(found: set[str], n: int, by: str, seed: int) -> None:
    import re

    def group(item: Item) -> str:
        if by == "random":
            return item.key
        match = re.search(by, item.name)
        return item.dataset if by == "dataset" else match[0] if match else ""

    project = project_of(found)
    groups = {item.key: group(item) for item in project.items}
    if len(set(groups.values())) < n:
        with pytest.raises(InputError, match="fewer than"):
            make_folds(project, n, by, seed, notice=silent)
        return
    folds = make_folds(project, n, by, seed, notice=silent)
    assert len(folds) == n
    assert sorted(item.key for fold in folds for item in fold.val) == sorted(found)
    for fold in folds:
        assert fold.train and fold.val
        assert keys(fold.train) | keys(fold.val) == found and not keys(fold.train) & keys(fold.val)
        assert not {groups[k] for k in keys(fold.train)} & {groups[k] for k in keys(fold.val)}
        assert fold.val == sorted(fold.val, key=lambda item: (item.dataset, item.name))


@given(key_sets, st.integers(2, 5), st.integers(0, 9))
def test_random_folds_differ_in_size_by_one_at_most(found: set[str], n: int, seed: int) -> None:
    if len(found) >= n:
        sizes = [len(fold.val) for fold in make_folds(project_of(found), n, "random", seed, notice=silent)]
        assert max(sizes) - min(sizes) <= 1


@given(key_sets, how, st.integers(0, 9), st.randoms())
def test_folds_depend_on_the_seed_and_the_names_alone(
    found: set[str], by: str, seed: int, random: object
) -> None:
    project, shuffled = project_of(found), project_of(found)
    random.shuffle(shuffled.items)  # type: ignore[attr-defined]
    try:
        first = make_folds(project, 2, by, seed, notice=silent)
    except InputError:
        return
    second = make_folds(shuffled, 2, by, seed, notice=silent)
    assert [keys(fold.val) for fold in first] == [keys(fold.val) for fold in second]


def test_another_seed_gives_other_folds() -> None:
    project = project_of([f"a/x_{number}.png" for number in range(40)])
    first, second = (make_folds(project, 4, seed=seed, notice=silent)[0] for seed in (0, 1))
    assert keys(first.val) != keys(second.val)


def test_folds_are_pinned_so_that_no_version_changes_them_by_accident() -> None:
    project = project_of([f"a/{letter}.png" for letter in "abcdefgh"])
    folds = make_folds(project, 3, seed=7, notice=silent)
    assert ["".join(item.name[0] for item in fold.val) for fold in folds] == PINNED


PINNED = ["deh", "bcf", "ag"]


def test_groups_of_uneven_size_are_balanced() -> None:
    found = [
        f"a/g{group}_{number}.png" for group, size in enumerate((9, 5, 4, 3, 3)) for number in range(size)
    ]
    sizes = [len(fold.val) for fold in make_folds(project_of(found), 3, r"^g\d", notice=silent)]
    assert sorted(sizes) == [7, 8, 9]


def test_a_group_may_span_datasets() -> None:
    found = [
        f"{part}/drive{drive}_{n}.png" for drive in range(5) for part in ("seq", "seq_val") for n in range(4)
    ]
    folds = make_folds(project_of(found), 3, r"^[^_]+", notice=silent)
    drives = [{item.name.split("_")[0] for item in fold.val} for fold in folds]
    assert sum(map(len, drives)) == len(set().union(*drives)) == 5
    assert sum(len(fold.val) for fold in folds) == 40


def test_too_few_images_or_groups_or_folds_are_refused(small: Project) -> None:
    with pytest.raises(InputError, match="has 6 images, fewer than 7 folds; ask for fewer"):
        make_folds(small, 7, notice=silent)
    with pytest.raises(InputError, match="has 1 datasets, fewer than 2 folds"):
        make_folds(small, 2, "dataset", notice=silent)
    with pytest.raises(InputError, match="has 1 groups by --fold-by"):
        make_folds(small, 2, "scene", notice=silent)
    with pytest.raises(InputError, match="at least 2"):
        make_folds(small, 1, notice=silent)


@pytest.mark.parametrize("by", ["[", "(?P<", "*"])
def test_a_regex_that_does_not_compile_is_refused(small: Project, by: str) -> None:
    with pytest.raises(InputError, match="is not a regular expression"):
        make_folds(small, 2, by, notice=silent)


@pytest.mark.parametrize("by", ["001", "x*", "^$"])
def test_a_regex_that_matches_nothing_in_an_item_names_the_item(small: Project, by: str) -> None:
    with pytest.raises(InputError, match=r"matches nothing in scenes/scene_000\.png"):
        make_folds(small, 2, by, notice=silent)


def test_a_tag_restricts_the_images(tmp_path: Path) -> None:
    project = Project.open(write_project(tmp_path, images=9, val=3))
    folds = make_folds(project, 2, only_tag="train", notice=silent)
    assert all("train" in project.tags_of(item) for fold in folds for item in fold.train + fold.val)
    assert sum(len(fold.val) for fold in folds) == 6
    with pytest.raises(InputError, match="no image is tagged `trian`; images have train, val"):
        make_folds(project, 2, only_tag="trian")
    with pytest.raises(InputError, match="has 3 images tagged `val`, fewer than 4"):
        make_folds(project, 4, only_tag="val")


def test_random_folds_of_sequences_warn_and_others_do_not() -> None:
    frames = project_of([f"a/drive{d}_{30 * f:05d}.png" for d in range(3) for f in range(5)])
    said: list[str] = []
    make_folds(frames, 2, notice=said.append)
    assert len(said) == 1 and "--fold-by" in said[0]
    make_folds(frames, 2, r"^drive\d", notice=said.append)
    assert len(said) == 2 and said[1].startswith("3 groups by") and "10, 5 images" in said[1]


@pytest.mark.parametrize(
    ("found", "sequences"),
    [
        ([f"a/frame{number:04d}.jpg" for number in range(9)], True),
        ([f"a/{d}_f{number:05d}.png" for d in ("0006R0", "0016E5") for number in range(9)], True),
        ([f"a/IMG_{number:04d}.jpg" for number in range(9)], False),
        ([f"{s}/garden_{number:03d}.png" for s in ("autumn", "spring") for number in range(15)], False),
        ([f"a/{number:05d}.png" for number in range(9)], False),
        (["a/cat.png", "a/dog.png", "a/house.png", "a/tree.png"], False),
    ],
)
def test_what_looks_like_sequences(found: list[str], sequences: bool) -> None:
    assert looks_like_sequences(project_of(found).items) is sequences


def test_the_real_project_looks_like_sequences() -> None:
    assert looks_like_sequences(Project.open(real_data("camvid_small")).items)


def test_the_tags_train_and_val_make_the_split(tmp_path: Path) -> None:
    project = Project.open(write_project(tmp_path, images=5, val=2))
    said: list[str] = []
    split = default_split(project, notice=said.append)
    assert [item.name for item in split.val] == ["scene_003.png", "scene_004.png"] and len(split.train) == 3
    assert not said


def test_untagged_images_join_train_with_a_notice(tmp_path: Path) -> None:
    write_project(tmp_path, images=5, val=2)
    path = tmp_path / "scenes/ann/scene_000.png.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tags": []}))
    said: list[str] = []
    split = default_split(Project.open(tmp_path), notice=said.append)
    assert len(split.train) == 3 and len(said) == 1
    assert said[0].startswith("1 image is tagged neither `train` nor `val` and joined train (--untagged val")


def test_objects_that_cannot_become_masks_are_told_with_splits_and_folds(tmp_path: Path) -> None:
    write_project(tmp_path, images=5, val=2)
    path = tmp_path / "scenes/ann/scene_000.png.json"
    annotation = json.loads(path.read_text())
    point = {"classTitle": "box", "geometryType": "point", "points": {"exterior": [[1, 1]], "interior": []}}
    annotation["objects"] += [point, point, point | {"geometryType": "line"}]
    path.write_text(json.dumps(annotation))
    said: list[str] = []
    default_split(Project.open(tmp_path), notice=said.append)
    make_folds(Project.open(tmp_path), 2, notice=said.append)
    assert said == ["of the annotated objects 2 point, 1 line cannot become masks and are left out."] * 2


def test_other_tags_divide_where_they_are_named(tmp_path: Path) -> None:
    write_project(tmp_path, images=4, val=1)
    for number, tag in enumerate(["learn", "learn", "learn", "check"]):
        path = tmp_path / f"scenes/ann/scene_{number:03d}.png.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tags": [tag]}))
    split = default_split(Project.open(tmp_path), notice=silent, tags=("learn", "check"))
    assert [item.name for item in split.val] == ["scene_003.png"]
    with pytest.raises(InputError, match='no image is tagged "test", so the images cannot be split'):
        default_split(Project.open(tmp_path), notice=silent, tags=("learn", "test"))


def test_an_image_tagged_both_is_refused(tmp_path: Path) -> None:
    write_project(tmp_path, images=5, val=2)
    path = tmp_path / "scenes/ann/scene_004.png.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tags": ["train", "val"]}))
    with pytest.raises(InputError, match=r"scenes/scene_004.png is tagged both `train` and `val`"):
        default_split(Project.open(tmp_path), notice=silent)


@given(st.sets(names, min_size=2, max_size=50), st.integers(0, 5), st.floats(0.01, 0.99))
def test_without_tags_a_share_is_held_out_by_seed(found: set[str], seed: int, share: float) -> None:
    project = project_of(found)
    project._heads = dict.fromkeys(found, Head(frozenset(), Counter(), Counter()))
    split = default_split(project, seed, share, notice=silent)
    assert keys(split.train) | keys(split.val) == found and not keys(split.train) & keys(split.val)
    assert len(split.val) == min(max(round(len(found) * share), 1), len(found) - 1)
    assert default_split(project, seed, share, notice=silent) == split


def test_a_single_image_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 1 image, which cannot be split"):
        default_split(Project.open(write_project(tmp_path, images=1)))


def test_a_split_survives_being_written_and_read(small: Project, tmp_path: Path) -> None:
    split = default_split(small)
    write_split(split, tmp_path / "info")
    train, val = tmp_path / "info/train_set.json", tmp_path / "info/val_set.json"
    assert read_split(small, train, val) == split
    assert json.loads(val.read_text())[0] == {"dataset_name": "scenes", "item_name": split.val[0].name}


def write_set(path: Path, *names: str) -> Path:
    path.write_text(json.dumps([{"dataset_name": "scenes", "item_name": name} for name in names]))
    return path


def test_bad_split_files_are_refused(small: Project, tmp_path: Path) -> None:
    good = write_set(tmp_path / "good.json", "scene_000.png", "scene_001.png")
    other = write_set(tmp_path / "other.json", "scene_001.png", "scene_002.png")
    with pytest.raises(InputError, match=r"other.json: scenes/scene_001.png is in both"):
        read_split(small, good, other)
    unknown = write_set(tmp_path / "unknown.json", *[f"x{number}.png" for number in range(5)])
    with pytest.raises(InputError, match=r"unknown.json: scenes/x0.png, .* and 2 more are not in"):
        read_split(small, good, unknown)
    with pytest.raises(InputError, match=r"empty\.json is empty"):
        read_split(small, good, write_set(tmp_path / "empty.json"))
    (tmp_path / "odd.json").write_text('[{"name": "x"}]')
    with pytest.raises(InputError, match=r"odd.json, \[0\]: must be"):
        read_split(small, good, tmp_path / "odd.json")
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(InputError, match=r"odd.json must be a list"):
        read_split(small, good, tmp_path / "odd.json")
    with pytest.raises(RavenError, match="does not exist"):
        read_split(small, good, tmp_path / "nowhere.json")


def test_the_sets_of_a_split_keep_the_project_s_order(small: Project, tmp_path: Path) -> None:
    train = write_set(tmp_path / "t.json", "scene_004.png", "scene_000.png")
    val = write_set(tmp_path / "v.json", "scene_003.png")
    split = read_split(small, train, val)
    assert split == Split([small.items[0], small.items[4]], [small.items[3]])
