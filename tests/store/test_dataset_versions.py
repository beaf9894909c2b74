"""``ravenml.task.Dataset``: versions of folders, each file kept once, at home and in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest
from as_user import Raven

from ravenml.config.home import versions_dir
from ravenml.errors import InputError, RavenError
from ravenml.task import Dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files, two of which have the same content."""
    place = tmp_path / "source"
    for name, text in {"a.csv": "a", "train/b.jpg": "b", "train/c.jpg": "b"}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def objects() -> int:
    return len(list((versions_dir() / "objects").rglob("?" * 64)))


def made(folder: Path, name: str = "roads", **more: object) -> Dataset:
    dataset = Dataset.create(dataset_name=name, dataset_project="p", **more)  # type: ignore[arg-type]
    dataset.add_files(folder)
    dataset.finalize(auto_upload=True)
    return dataset


def texts(folder: str | Path) -> dict[str, str]:
    below = Path(folder)
    return {p.relative_to(below).as_posix(): p.read_text() for p in sorted(below.rglob("*")) if p.is_file()}


def test_a_folder_comes_back_and_equal_files_are_kept_once(home: Path, folder: Path, tmp_path: Path) -> None:
    dataset = Dataset.create("roads", "p", dataset_tags=["raw"], description="all roads")
    assert dataset.add_files(folder) == 3
    assert dataset.is_dirty() and not dataset.is_final()
    dataset.upload()
    assert dataset.finalize() and dataset.is_final() and not dataset.is_dirty()
    assert objects() == 2
    found = Dataset.get(dataset_name="roads", dataset_project="p", dataset_tags=["raw"])
    assert (found.id, found.version, found.list_files()) == (
        dataset.id,
        "1.0.0",
        ["a.csv", "train/b.jpg", "train/c.jpg"],
    )
    assert texts(found.get_local_copy()) == texts(folder)
    assert Path(found.get_local_copy()).is_relative_to(home / "cache")
    own = found.get_mutable_local_copy(tmp_path / "own")
    (tmp_path / "own" / "a.csv").write_text("mine")
    assert texts(own) != texts(folder) and texts(found.get_local_copy()) == texts(folder)
    assert found.verify_dataset_hash(own) == ["a.csv"]
    with pytest.raises(InputError, match="is not empty; give overwrite=True"):
        found.get_mutable_local_copy(own)
    assert texts(found.get_mutable_local_copy(own, overwrite=True)) == texts(folder)


def test_a_child_has_its_parents_files_and_says_what_is_different(home: Path, folder: Path) -> None:
    first = made(folder)
    second = Dataset.create(parent_datasets=[first.id])
    assert (second.name, second.project, second.version) == ("roads", "p", "1.0.1")
    assert second.remove_files("train/b.jpg") == 1
    (folder / "a.csv").write_text("new")
    (folder / "d.csv").write_text("d")
    assert second.add_files(folder, wildcard="*.csv", dataset_path="tables") == 2
    assert second.add_files(folder / "a.csv") == 1
    second.finalize(auto_upload=True)
    assert second.list_added_files() == ["tables/a.csv", "tables/d.csv"]
    assert (second.list_removed_files(), second.list_modified_files()) == (["train/b.jpg"], ["a.csv"])
    assert second.list_files("tables") == ["tables/a.csv", "tables/d.csv"]
    assert second.list_files(dataset_id=first.id) == ["train/c.jpg"]
    assert second.get_dependency_graph() == {second.id: [first.id], first.id: []}
    assert texts(Dataset.get(first.id).get_local_copy())["a.csv"] == "a"
    assert Dataset.get(dataset_name="roads").id == second.id
    assert Dataset.get(dataset_name="roads", dataset_version="1.0.0").id == first.id


def test_a_version_follows_a_folder(home: Path, folder: Path) -> None:
    dataset = Dataset.create("roads", "p")
    assert dataset.sync_folder(folder) == (0, 3)
    dataset.upload()
    (folder / "a.csv").unlink()
    (folder / "train" / "b.jpg").write_text("other")
    assert dataset.sync_folder(folder) == (1, 1)
    dataset.finalize(auto_upload=True)
    assert texts(dataset.get_local_copy()) == texts(folder)


def test_what_is_finalized_does_not_change(home: Path, folder: Path) -> None:
    dataset = Dataset.create("roads")
    dataset.add_files(folder)
    with pytest.raises(InputError, match=r"has files that are not uploaded; call upload\(\) first"):
        dataset.finalize()
    with pytest.raises(InputError, match=r"the parent .* is not finalized"):
        Dataset.create("child", parent_datasets=[dataset])
    dataset.finalize(auto_upload=True)
    with pytest.raises(InputError, match=r"is finalized; Dataset.create\(parent_datasets="):
        dataset.add_files(folder)
    with pytest.raises(InputError, match=r"There is no dataset 'rails' in .*; there are: roads"):
        Dataset.get(dataset_name="rails")


def test_a_file_that_changed_before_it_was_kept_is_named(home: Path, folder: Path) -> None:
    dataset = Dataset.create("roads")
    dataset.add_files(folder)
    (folder / "a.csv").write_text("later")
    with pytest.raises(InputError, match=r"a.csv has changed since it was added; add it again"):
        dataset.upload()


def test_they_are_listed_squashed_and_removed_with_what_no_other_has(home: Path, folder: Path) -> None:
    first = made(folder)
    (folder / "more.txt").write_text("more")
    second = made(folder, parent_datasets=[first])
    both = Dataset.squash("all", [first, second])
    assert (both.list_files(), both.get_dependency_graph()) == (second.list_files(), {both.id: []})
    listed = Dataset.list_datasets(dataset_project="p")
    assert [(one["name"], one["version"]) for one in listed] == [
        ("all", "1.0.0"),
        ("roads", "1.0.1"),
        ("roads", "1.0.0"),
    ]
    assert Dataset.list_datasets(partial_name="oad", ids=[first.id])[0]["id"] == first.id
    with pytest.raises(InputError, match=f"{second.id} was made from it; give force=True"):
        Dataset.delete(first.id)
    Dataset.delete(both.id)
    Dataset.delete(second.id)
    assert objects() == 2 and texts(first.get_local_copy())
    Dataset.delete(dataset_project="p", dataset_name="roads", entire_dataset=True)
    assert objects() == 0 and Dataset.list_datasets() == []


def test_a_broken_file_or_list_is_noticed(home: Path, folder: Path) -> None:
    dataset = made(folder)
    kept = next((versions_dir() / "objects").rglob("?" * 64))
    kept.write_text("broken")
    with pytest.raises(RavenError, match="is not what was kept"):
        dataset.get_local_copy()
    assert not list((home / "cache" / "versions").glob("*"))
    (versions_dir() / "versions" / f"{dataset.id}.files.json").write_text(
        '{"../../out": {"size": 1, "sha256": "' + kept.name + '"}}'
    )
    with pytest.raises(RavenError, match="has a key that leaves its folder"):
        Dataset.get(dataset.id).get_local_copy()
    with pytest.raises(InputError, match=r"There is no version '\.\./x'"):
        Dataset.get("../x")


def test_facts_tags_and_files_elsewhere_are_recorded(home: Path, folder: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "big.bin").write_text("12345")
    dataset = made(folder)
    dataset.add_tags("checked")
    dataset.set_metadata({"unit": "m"})
    again = Dataset.get(dataset_tags=["checked"])
    assert again.get_metadata() == {"unit": "m"} and again.tags == ["checked"]
    linked = Dataset.create("linked")
    assert linked.add_external_files(str(far), dataset_path="far") == 1
    linked.finalize()
    assert linked.link_entries_dict["far/big.bin"].size == 5 and not linked.file_entries_dict
    assert texts(Dataset.get(linked.id).get_local_copy()) == {"far/big.bin": "12345"}


def test_parts_of_it_are_all_of_it(home: Path, folder: Path) -> None:
    dataset = made(folder)
    parts = [texts(dataset.get_local_copy(part=part, num_parts=2)) for part in (0, 1)]
    assert parts[0] | parts[1] == texts(folder) and not parts[0].keys() & parts[1].keys()


def test_with_a_bucket_configured_they_are_there_for_every_machine(
    cloud: Raven, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    dataset = made(folder)
    assert not versions_dir().exists() and "s3://" in dataset.get_default_storage()
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "other"))
    assert texts(Dataset.get(dataset_name="roads").get_local_copy()) == texts(folder)
    assert Dataset.list_datasets()[0]["id"] == dataset.id
    assert cloud.ok("data", "list", "--remote") == ""  # they are no project of images
    Dataset.delete(dataset.id)
    assert Dataset.list_datasets() == []


def test_files_may_be_kept_elsewhere(home: Path, folder: Path, tmp_path: Path) -> None:
    dataset = made(folder, output_uri=str(tmp_path / "shared"))
    assert objects() == 0 and (tmp_path / "shared" / ".ravenml-versions" / "objects").is_dir()
    assert texts(Dataset.get(dataset.id).get_local_copy()) == texts(folder)
    with pytest.raises(InputError, match="the parents' files are in"):
        Dataset.create("child", parent_datasets=[dataset], output_uri=str(tmp_path / "other"))
