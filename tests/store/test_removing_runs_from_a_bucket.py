"""`raven runs rm --with-stored` and `prune` where the store is a bucket."""

from __future__ import annotations

import json
from pathlib import Path

from as_user import Raven
from buckets import OpenStore


def test_a_run_and_what_it_stored_in_a_bucket_go_together(
    cloud: Raven, learner: Path, project: Path, open_store: OpenStore
) -> None:
    for _ in range(2):
        cloud.ok("train", "--dataset", project, "learner", "train")
    first, second = cloud.runs()
    with (first / "events.jsonl").open("a") as events:
        for number in range(101, 104):
            (first / "checkpoints" / f"model_{number}.pth").write_bytes(b"weights")
            event = {"event_type": "EventType.CHECKPOINT", "step": number, "attempt": 1}
            events.write(
                json.dumps({**event, "files": [f"model_{number}.pth"], "best_now": number == 102}) + "\n"
            )
    cloud.ok("runs", "upload", "--upload-checkpoints", "all", first.name)
    store = open_store(prefix="m")
    before = [entry.key for entry in store.list() if first.name in entry.key]
    assert len(before) > 3
    pruned = cloud.ok("runs", "prune", "--keep", "best", "--yes", first.name)
    assert f"{first.name}: 3 files here and 2 in s3://" in pruned, "its state was not stored"
    kept = [entry.key.rpartition("/")[2] for entry in store.list() if ".pth" in entry.key]
    assert kept == ["model_102.pth"]
    cloud.ok("models", "pull", first.name, "--to", cloud.cwd / "pulled")
    cloud.ok("runs", "rm", "--with-stored", "--yes", first.name)
    assert not first.exists() and second.exists()
    assert not [entry.key for entry in store.list() if first.name in entry.key]
    assert [entry.key for entry in store.list() if second.name in entry.key]
