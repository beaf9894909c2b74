"""`raven runs rm --with-stored` and `prune` where the store is a bucket."""

from __future__ import annotations

from pathlib import Path

from as_user import Raven
from buckets import OpenStore


def test_a_run_and_what_it_stored_in_a_bucket_go_together(
    cloud: Raven, learner: Path, project: Path, open_store: OpenStore
) -> None:
    cloud.ok("train", "--dataset", project, "learner", "train", "--upload-checkpoints", "all")
    cloud.ok("train", "--dataset", project, "learner", "train")
    first, second = cloud.runs()
    store = open_store(prefix="m")
    before = [entry.key for entry in store.list() if first.name in entry.key]
    assert len(before) > 3
    pruned = cloud.ok("runs", "prune", "--keep", "best", "--yes", first.name)
    assert "s3://" in pruned or "nothing" in pruned
    cloud.ok("models", "pull", first.name, "--to", cloud.cwd / "pulled")
    cloud.ok("runs", "rm", "--with-stored", "--yes", first.name)
    assert not first.exists() and second.exists()
    assert not [entry.key for entry in store.list() if first.name in entry.key]
    assert [entry.key for entry in store.list() if second.name in entry.key]
