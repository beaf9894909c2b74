"""`raven models`: what is in the bucket and on this machine; fetching, storing, removing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from as_user import Raven, within
from buckets import OpenStore
from faults import FaultProxy
from packer import write_packer

from ravenml.common.io import write_json
from ravenml.store.local_store import FolderStore
from ravenml.store.model_state import pack_model
from ravenml.store.models import list_models


@pytest.fixture
def trained(cloud: Raven, site: Path, project: Path) -> str:
    """A trained model in the bucket; its ID."""
    write_packer(site)
    cloud.ok("train", "--dataset", project, "packer", "train")
    return cloud.runs()[0].name


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """A model that was made elsewhere."""
    (tmp_path / "w").write_bytes(b"weights")
    config = {"settings": {"plugin": "unet", "architecture": "UNet"}, "out_classes": [{"title": "a"}]}
    return pack_model(tmp_path / "made_elsewhere.tar", config, [tmp_path / "w"])


def test_a_model_is_listed_with_size_date_score_and_place(cloud: Raven, trained: str) -> None:
    header, line = (row.split("\t") for row in cloud.ok("models", "list").splitlines())
    found = dict(zip(header, line, strict=True))
    assert found["MODEL"] == trained and found["NETWORK"] == "Tiny" and found["WHERE"] == "remote"
    assert found["SIZE"].endswith("KiB") and found["SCORE"] == "val/miou 0.3000" and found["DATE"][:2] == "20"
    shown = cloud.ok("models", "show", trained[:17])
    assert f"models/Tiny_{trained}.tar" in shown and "val/miou" in shown and "project" in shown
    assert json.loads(cloud.ok("models", "show", trained, "--json"))["plugin_metadata"] == {"note": "packed"}


def test_filters_and_json_are_for_scripts(cloud: Raven, trained: str, tar: Path) -> None:
    cloud.ok("models", "push", tar, "--name", "mine")
    assert len(json.loads(cloud.ok("models", "list", "--json"))) == 2
    for more in (["--plugin", "packer"], ["--architecture", "tiny"], ["--dataset", "project"]):
        (one,) = json.loads(cloud.ok("models", "list", "--json", *more))
        assert one["id"] == trained and one["size"] > 300_000
    assert json.loads(cloud.ok("models", "list", "--json", "--since", "2999-01-01")) == []
    assert json.loads(cloud.ok("models", "list", "--json", "--local")) == []
    assert len(json.loads(cloud.ok("models", "list", "--json", "-n", "1"))) == 1


def test_a_pulled_model_is_whole_and_then_on_this_machine_too(
    cloud: Raven, trained: str, tmp_path: Path
) -> None:
    (run,) = cloud.runs()
    assert "Fetched" in cloud.ok("models", "pull", trained[:20])
    store = cloud.home / "store"
    assert (store / "models" / f"Tiny_{trained}.tar").read_bytes() == (run / "model-state.tar").read_bytes()
    assert (store / "extras" / trained / "previews" / "deep" / "07.png").exists()
    (one,) = json.loads(cloud.ok("models", "list", "--json"))
    assert one["where"] == "local, remote"
    (store / "extras" / trained / "previews" / "deep" / "07.png").unlink()
    assert ": 1 files, " in cloud.ok("models", "pull", trained)
    cloud.ok("models", "pull", trained, "--no-extras", "--to", tmp_path / "only")
    assert sorted(path.name for path in (tmp_path / "only").iterdir()) == ["models"]


def test_a_model_that_is_not_what_its_metadata_says_is_refused(
    cloud: Raven, trained: str, open_store: OpenStore, tar: Path
) -> None:
    open_store(prefix="m").put(f"models/Tiny_{trained}.tar", tar)  # somebody put another one there
    done = cloud("models", "pull", trained)
    assert done.returncode == 1 and "is not what its metadata describes" in done.stderr
    assert not (cloud.home / "store" / "models" / f"Tiny_{trained}.tar").exists()
    open_store(prefix="m").delete(f"models/Tiny_{trained}.tar")
    done = cloud("models", "pull", trained)
    assert done.returncode == 1 and "is incomplete" in done.stderr


def test_metadata_cannot_make_files_outside_of_the_folder(
    cloud: Raven, open_store: OpenStore, tmp_path: Path
) -> None:
    write_json(tmp_path / "evil", {"id": "evil", "models": {"": "../../escape.tar"}, "files": {}})
    open_store(prefix="m").put("models/metadata_evil.json", tmp_path / "evil")
    done = cloud("models", "pull", "evil")
    assert done.returncode == 1 and "leaves its folder" in done.stderr


def test_a_run_and_a_tar_can_be_pushed(cloud: Raven, site: Path, project: Path, tar: Path) -> None:
    write_packer(site)
    cloud.ok("train", "--dataset", project, "packer", "train", RAVENML_MODEL_BUCKET_NAME="")
    (run,) = cloud.runs()
    assert "m/models/metadata_" in cloud.ok("models", "push", run.name[:18])
    cloud.ok("models", "push", tar, "--name", "mine", "--plugin", "other")
    found = json.loads(cloud.ok("models", "list", "--json", "--remote"))
    assert {one["id"]: one["name"] for one in found}[run.name] is None
    (mine,) = (one for one in found if one["name"] == "mine")
    assert mine["plugin"] == "other" and mine["architecture"] == "UNet" and not mine["transfer_only"]


def test_a_tar_without_classes_is_for_transfer_only_and_without_a_plugin_for_nobody(
    cloud: Raven, tmp_path: Path
) -> None:
    bare = pack_model(tmp_path / "bare.tar", {"settings": {}}, [])
    done = cloud("models", "push", bare)
    assert done.returncode == 2 and "name it with --plugin" in done.stderr
    done = cloud("models", "push", bare, "--plugin", "unet")
    assert done.returncode == 2 and "--transfer-only" in done.stderr
    cloud.ok("models", "push", bare, "--plugin", "unet", "--transfer-only")
    (one,) = json.loads(cloud.ok("models", "list", "--json"))
    assert one["transfer_only"] and "transfer only" in cloud.ok("models", "list")


def test_a_removed_model_leaves_nothing(cloud: Raven, trained: str, open_store: OpenStore) -> None:
    refused = cloud("models", "rm", trained)
    assert refused.returncode == 2 and "--yes" in refused.stderr
    cloud.ok("models", "rm", trained, "-y")
    assert list(open_store(prefix="m").list()) == []
    assert cloud("models", "rm", trained, "--yes").returncode == 2
    assert cloud.runs()  # the run itself is the user's


def test_an_alias_means_a_model_everywhere_until_it_means_another(
    cloud: Raven, trained: str, tar: Path, open_store: OpenStore
) -> None:
    cloud.ok("models", "push", tar, "--name", "made elsewhere")
    other = next(
        one["id"] for one in json.loads(cloud.ok("models", "list", "--json")) if one["id"] != trained
    )
    assert cloud.ok("models", "alias", "production", trained[:17]).startswith(
        f"production is {trained} in s3:"
    )
    assert f"{trained} @production" in cloud.ok("models", "list")
    assert "Aliases:   production" in cloud.ok("models", "show", "production")
    cloud.ok("models", "pull", "production")
    assert (cloud.home / "store" / "models" / f"Tiny_{trained}.tar").exists()
    cloud.ok("models", "alias", "production", other)
    assert cloud.ok("models", "alias", "production") == f"{other}\n"
    cloud.ok("models", "rename", "production", "the good one")
    rows = {one["id"]: one for one in json.loads(cloud.ok("models", "list", "--json"))}
    assert rows[other]["name"] == "the good one" and rows[other]["aliases"] == ["production"]
    assert rows[trained]["aliases"] == []
    cloud.ok("models", "rm", "production", "-y")
    assert [one.key for one in open_store(prefix="m").list("aliases/")] == []
    gone = cloud("serve", "production")
    assert gone.returncode == 2 and "stored model is called 'production'" in gone.stderr
    for wrong in ("2nd", "a/b", "x" * 65):
        refused = cloud("models", "alias", wrong, trained)
        assert refused.returncode == 2 and "cannot be used" in refused.stderr
    assert cloud("models", "alias", "production", "--remove").returncode == 2


def test_an_alias_of_a_model_that_another_program_removed_says_so(
    cloud: Raven, trained: str, open_store: OpenStore
) -> None:
    cloud.ok("models", "alias", "production", trained)
    open_store(prefix="m").delete(f"models/metadata_{trained}.json")
    refused = cloud("models", "show", "production")
    assert refused.returncode == 2 and f"alias of {trained}, which is no longer in" in refused.stderr


def test_a_removal_that_was_interrupted_is_not_listed_and_can_be_finished(
    cloud: Raven, trained: str, open_store: OpenStore
) -> None:
    open_store(prefix="m").delete(f"models/metadata_{trained}.json")
    assert json.loads(cloud.ok("models", "list", "--json")) == []
    cloud.ok("models", "rm", trained, "--yes")
    assert list(open_store(prefix="m").list()) == []


def test_without_a_bucket_models_are_on_this_machine(
    raven: Raven, site: Path, project: Path, tar: Path
) -> None:
    write_packer(site)
    raven.ok("train", "--dataset", project, "packer", "train")
    raven.ok("models", "push", tar)
    assert len(json.loads(raven.ok("models", "list", "--json", "--local"))) == 2
    run = raven.runs()[0].name
    raven.ok("models", "rm", run, "--yes")
    assert not (raven.home / "store" / "extras" / run).exists()
    done = raven("models", "list", "--remote")
    assert done.returncode == 2 and "raven config update --model-bucket-name" in done.stderr
    assert "begins with 'zzz'" in raven("models", "show", "zzz").stderr


NOBODY_THERE = {
    "RAVENML_MODEL_BUCKET_NAME": "models",
    "RAVENML_DATASET_BUCKET_NAME": "datasets",
    "RAVENML_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
}


def test_with_a_bucket_that_cannot_be_reached_what_is_here_is_listed_with_a_note(
    raven: Raven, project: Path, tar: Path
) -> None:
    nothing = raven("models", "list", **NOBODY_THERE)
    assert nothing.returncode == 1 and nothing.stderr.startswith("Error: ")  # there is nothing else to show
    raven.ok("models", "push", tar, "--plugin", "unet")
    done = raven("models", "list", "--json", **NOBODY_THERE)
    assert done.returncode == 0 and [one["where"] for one in json.loads(done.stdout)] == ["local"]
    assert "Note: only what is on this machine is listed." in done.stderr and "127.0.0.1:9" in done.stderr
    alone = raven("models", "list", "--remote", **NOBODY_THERE)
    assert alone.returncode == 1 and alone.stderr.startswith("Error: http://127.0.0.1:9 cannot be reached")
    known = raven.home / "datasets" / "mine"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.symlink_to(project)
    done = raven("data", "list", "--json", **NOBODY_THERE)
    assert done.returncode == 0 and [one["name"] for one in json.loads(done.stdout)] == ["mine"]
    assert "Note: only what is on this machine is listed." in done.stderr


def test_metadata_is_asked_for_once_and_again_only_where_it_changed(
    open_store: OpenStore, proxy: FaultProxy, tmp_path: Path
) -> None:
    store = open_store(proxy)
    for index in range(5):
        write_json(
            tmp_path / "m", {"id": f"m{index}", "architecture": "A", "finished": f"2026-01-0{index + 1}"}
        )
        store.put(f"models/metadata_m{index}.json", tmp_path / "m")
    assert [one.id for one in list_models(store, "remote")] == ["m4", "m3", "m2", "m1", "m0"]
    before = len(proxy.seen)
    list_models(store, "remote")
    assert len(proxy.seen) - before == 2  # what is there, and the aliases
    write_json(tmp_path / "m", {"id": "m2", "architecture": "B"})
    store.put("models/metadata_m2.json", tmp_path / "m")
    before = len(proxy.seen)
    assert {one.id: one.architecture for one in list_models(store, "remote")}["m2"] == "B"
    assert len(proxy.seen) - before == 3


def test_what_other_programs_and_older_versions_wrote_is_listed_too(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    old = {"created_by": "anna", "date_started_at": "2019-05-01", "dataset_used": "roads", "comments": ""}
    write_json(tmp_path / "m", old)
    store.put("models/metadata_1556700000.json", tmp_path / "m")
    (tmp_path / "m").write_text("no json")
    store.put("models/metadata_broken.json", tmp_path / "m")
    found = {one.id: one for one in list_models(store, "remote")}
    assert found["1556700000"].dataset == "roads" and found["1556700000"].created_by == "anna"
    assert "is not valid JSON" in str(found["broken"].error)


def test_ten_thousand_models_are_listed_in_seconds(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "models"
    folder.mkdir(parents=True)
    for index in range(10_000):
        content = {
            "id": f"m{index:05d}",
            "architecture": "A",
            "finished": "2026-01-01",
            "metrics": {"val/miou": 0.5},
        }
        (folder / f"metadata_m{index:05d}.json").write_text(json.dumps(content))
    store = FolderStore(tmp_path / "store")
    assert len(list_models(store, "local")) == 10_000
    with within(5):
        assert len(list_models(store, "local")) == 10_000
