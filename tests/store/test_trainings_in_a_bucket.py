"""A training's result in a bucket: its keys, its order, and what happens when storing fails."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven
from buckets import OpenStore
from faults import FaultProxy
from packer import write_packer
from throwaway import GROUP, write_plugin

from ravenml.runs.record import read_record, status
from ravenml.store.checksums import compute_crc, format_crc


@pytest.fixture
def packer(site: Path) -> Path:
    write_packer(site)
    return site


def through(raven: Raven, proxy: FaultProxy, server: str) -> None:
    """Let the processes talk to the bucket through the proxy."""
    name = raven.environment["RAVENML_MODEL_BUCKET_NAME"]
    raven.environment["RAVENML_MODEL_BUCKET_NAME"] = name.replace(server, proxy.address)


def test_the_keys_are_those_that_users_know_and_metadata_names_every_file_with_its_checksum(
    cloud: Raven, packer: Path, project: Path, open_store: OpenStore
) -> None:
    cloud.ok("train", "--dataset", project, "packer", "train")
    (run,) = cloud.runs()
    store = open_store(prefix="m")
    keys = [entry.key for entry in store.list()]
    assert f"models/Tiny_{run.name}.tar" in keys and f"models/metadata_{run.name}.json" in keys
    assert f"extras/{run.name}/previews/deep/03.png" in keys and f"extras/{run.name}/events.jsonl" in keys
    metadata = json.loads(store.read(f"models/metadata_{run.name}.json"))
    assert set(metadata["files"]) == set(keys) - {f"models/metadata_{run.name}.json"}
    model = run / "model-state.tar"
    assert metadata["files"][f"models/Tiny_{run.name}.tar"] == {
        "size": model.stat().st_size,
        "crc32": format_crc(compute_crc(model)),
    }
    assert read_record(run)["result"]["stored"] == f"{store.name}/models/metadata_{run.name}.json"
    assert f" {store.name}/models/metadata_{run.name}.json" in cloud.ok("runs", "show")
    assert not (cloud.home / "store").exists()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("all", {"model_001.pth", "model_002_best.pth", "model_003.pth"}),
        ("best", {"model_002_best.pth"}),
        ("none", set()),
    ],
)
def test_the_chosen_checkpoints_are_stored(
    cloud: Raven, packer: Path, project: Path, open_store: OpenStore, choice: str, expected: set[str]
) -> None:
    cloud.ok("train", "--dataset", project, "packer", "train", "--upload-checkpoints", choice)
    found = {
        Path(entry.key).name
        for entry in open_store(prefix="m").list("extras/")
        if "/checkpoints/" in entry.key
    }
    assert found == expected | {"train_args.json"}


def test_a_k_fold_run_has_a_tar_per_fold_and_one_metadata_file(
    cloud: Raven, packer: Path, project: Path, open_store: OpenStore
) -> None:
    cloud.ok("train", "--dataset", project, "packer", "train", "--folds", "2")
    (run,) = cloud.runs()
    store = open_store(prefix="m")
    assert [entry.key for entry in store.list("models/")] == [
        f"models/Tiny_{run.name}-f0.tar",
        f"models/Tiny_{run.name}-f1.tar",
        f"models/metadata_{run.name}.json",
    ]
    metadata = json.loads(store.read(f"models/metadata_{run.name}.json"))
    assert metadata["models"] == {f"-f{fold}": f"models/Tiny_{run.name}-f{fold}.tar" for fold in (0, 1)}


def test_metadata_goes_up_last(
    cloud: Raven, packer: Path, project: Path, proxy: FaultProxy, server: str
) -> None:
    through(cloud, proxy, server)
    cloud.ok("train", "--dataset", project, "packer", "train")
    puts = [one for one in proxy.seen if one.startswith("PUT")]
    assert "models/metadata_" in puts[-1] and sum("models/metadata_" in one for one in puts) == 1
    assert not [one for one in proxy.seen if one.startswith("HEAD")]


def test_local_sends_nothing_to_the_bucket(
    cloud: Raven, packer: Path, project: Path, open_store: OpenStore
) -> None:
    cloud.ok("train", "--dataset", project, "packer", "train", "--local", "out")
    assert (cloud.cwd / "out" / "model-state.tar").exists() and not list(open_store().list())


def test_a_failed_upload_loses_nothing_and_goes_on_where_it_stopped(
    cloud: Raven, packer: Path, project: Path, proxy: FaultProxy, server: str, open_store: OpenStore
) -> None:
    through(cloud, proxy, server)
    proxy.fault = lambda method, path, number: (
        "AccessDenied 403" if method == "PUT" and "previews/deep/11" in path else None
    )
    done = cloud("train", "--dataset", project, "packer", "train")
    (run,) = cloud.runs()
    assert done.returncode == 1 and "could not be stored" in done.stderr and "no permission" in done.stderr
    assert f"raven runs upload {run.name}" in done.stderr and "Traceback" not in done.stderr
    assert status(run, read_record(run)) == "completed" and read_record(run)["result"]["stored"] is None
    assert re.search(r"Stored: +no\n", cloud.ok("runs", "show"))
    assert list(open_store(prefix="m").list("models/metadata_")) == []
    proxy.fault = lambda *_: None
    before = len(proxy.seen)
    assert f"{run.name}.json" in cloud.ok("runs", "upload", run.name[:18])
    sent = {one.partition("?")[0] for one in proxy.seen[before:] if one.startswith("PUT")}
    assert not any("model_002_best" in one or f"Tiny_{run.name}" in one for one in sent)
    assert any("previews/deep/11" in one for one in sent)
    assert is_whole(run, open_store)


def test_killed_at_random_moments_of_an_upload_and_gone_on_with_the_result_is_whole(
    cloud: Raven, packer: Path, project: Path, proxy: FaultProxy, server: str, open_store: OpenStore
) -> None:
    through(cloud, proxy, server)
    proxy.fault = lambda *_: "AccessDenied 403"
    assert cloud("train", "--dataset", project, "packer", "train").returncode == 1
    (run,) = cloud.runs()

    def slowly(method: str, path: str, number: int) -> None:
        time.sleep(0.15)

    proxy.fault = slowly
    chance, killed = random.Random(5), 0
    for _ in range(4):
        before = len(proxy.seen)
        process = cloud.start("runs", "upload", run.name)
        wanted = before + chance.randint(2, 16)
        while len(proxy.seen) < wanted and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        assert status(run, read_record(run)) == "completed"
        listed = list(open_store(prefix="m").list("models/metadata_"))
        assert not listed or is_whole(run, open_store)
    assert killed >= 2
    cloud.ok("runs", "upload", run.name)
    assert is_whole(run, open_store)


def test_a_training_that_is_killed_while_it_is_stored_is_completed(
    cloud: Raven, packer: Path, project: Path, proxy: FaultProxy, server: str, open_store: OpenStore
) -> None:
    through(cloud, proxy, server)
    proxy.hold.clear()
    process = cloud.start("train", "--dataset", project, "packer", "train")
    while not proxy.seen and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    proxy.hold.set()
    (run,) = cloud.runs()
    assert status(run, read_record(run)) == "completed"
    cloud.ok("runs", "upload")
    assert is_whole(run, open_store)


def test_ctrl_c_while_storing_says_how_to_go_on(
    cloud: Raven, packer: Path, project: Path, proxy: FaultProxy, server: str
) -> None:
    through(cloud, proxy, server)
    proxy.fault = lambda *_: "slow down"
    process = cloud.start("train", "--dataset", project, "packer", "train")
    while not proxy.seen and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    (run,) = cloud.runs()
    assert process.returncode == 130 and f"Resume with: raven runs upload {run.name}" in err
    assert read_record(run)["result"]["status"] == "completed"


def test_what_is_not_completed_has_nothing_to_store(cloud: Raven, site: Path, project: Path) -> None:
    source = GROUP + "\n@my_plugin.command()\n@pass_train\ndef train(train):\n    train.run\n    1 / 0\n"
    write_plugin(site, "breaks", source)
    assert cloud("train", "--dataset", project, "breaks", "train").returncode == 1
    done = cloud("runs", "upload")
    assert done.returncode == 2 and "has no result to store: it is failed" in done.stderr


def is_whole(run: Path, open_store: OpenStore) -> bool:
    """Whether all that the metadata names is there, and is what lies in the run's folder."""
    store = open_store(prefix="m")
    metadata = json.loads(store.read(f"models/metadata_{run.name}.json"))
    sizes = {entry.key: entry.size for entry in store.list()}
    for key, said in metadata["files"].items():
        assert sizes[key] == said["size"], key
        name = key.removeprefix(f"extras/{run.name}/")
        mine = run / ("model-state.tar" if key.startswith("models/") else name)
        if mine.name != "console.log":  # which goes on
            assert store.read(key) == mine.read_bytes(), key
    return len(metadata["files"]) > 15
