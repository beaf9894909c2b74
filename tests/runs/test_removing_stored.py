"""What lies in the store goes with its run, whole, and not while another run began with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from as_user import Raven
from many_runs import write_new, write_run

from ravenml.errors import InputError
from ravenml.remote.layout import RemoteRun
from ravenml.remote.mirror import Mirror
from ravenml.runs.pruning import find_prunable, parse_keep, prune
from ravenml.runs.record import read_record
from ravenml.runs.stored import find_stored, used_by
from ravenml.runs.upload import store_run
from ravenml.store.local_store import FolderStore
from ravenml.store.models import list_models, pull_model, read_metadata

A, B = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"


def trained(home: Path, name: str, *, status: str = "completed", weights: str | None = None) -> Path:
    """A run with a model and five checkpoints, the second of which is the best."""
    result = {"status": status, "metrics": {}, "models": {"": "model-state.tar"}}
    run = write_run(home, name, settings={"weights": weights}, more={"result": result})
    (run / "model-state.tar").write_bytes(b"model")
    (run / "metadata.json").write_text(json.dumps({"v": 1, "id": name, "architecture": "net"}))
    (run / "checkpoints").mkdir()
    lines = []
    for number in range(1, 6):
        files = [f"model_{number:03d}.pth", *([f"state_{number:03d}.pt"] if number == 5 else [])]
        for file in files:
            (run / "checkpoints" / file).write_bytes(b"weights" * number)
        event = {"event_type": "EventType.CHECKPOINT", "step": number, "attempt": 1, "files": files}
        lines.append(json.dumps({**event, "best_now": number == 2}))
    (run / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (run / "checkpoints" / "mine.txt").write_text("no event names it")
    return run


def stored(run: Path, store: FolderStore) -> Path:
    store_run(run, checkpoints="all", store=store)
    return run


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir() if path.suffix in (".pth", ".pt"))


def test_the_model_and_all_beside_it_go_with_the_run_and_others_stay(home: Path, raven: Raven) -> None:
    store = FolderStore(home / "store")
    stored(trained(home, A), store)
    stored(trained(home, B), store)
    assert raven("runs", "rm", A).returncode == 2  # nobody can be asked
    done = raven.ok("runs", "rm", "--with-stored", "--yes", A)
    assert "files in the store" in done and not (home / "runs" / A).exists()
    assert not any(A in entry.key for entry in store.list())
    assert [model.id for model in list_models(store, "local")] == [B]
    pull_model(store, B, home / "pulled")


def test_a_model_that_another_run_began_with_is_not_removed(home: Path, raven: Raven) -> None:
    stored(trained(home, A), FolderStore(home / "store"))
    trained(home, B, weights=str(home / "runs" / A / "checkpoints" / "model_003.pth"))
    refused = raven("runs", "rm", "--with-stored", "--yes", A)
    assert refused.returncode == 2 and f"{B} began with the model of {A}" in refused.stderr
    assert (home / "runs" / A).exists() and find_stored(home / "runs" / A)
    assert used_by(A, without=[B]) == [] and used_by(B) == []


@pytest.mark.parametrize("weights", [A, A[:13], f"runs/{A}/model-state.tar", "20260101", "other"])
def test_a_run_is_named_by_its_id_a_beginning_of_it_or_a_path(home: Path, weights: str) -> None:
    trained(home, A)
    trained(home, B, weights=weights)
    assert used_by(A) == ([] if weights in ("20260101", "other") else [B])


def test_a_removal_that_fails_halfway_is_not_listed_and_can_be_repeated(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(home / "store")
    run = stored(trained(home, A), store)
    model = next((home / "store" / "models").glob("net_*"))
    model.parent.chmod(0o755)
    found = find_stored(run)
    real = FolderStore.delete

    def fails(self: FolderStore, key: str) -> None:
        if key.startswith("extras/"):
            raise InputError("no answer")
        real(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "delete", fails)
        with pytest.raises(InputError):
            found.remove()
    assert list_models(store, "local") == [] and run.exists()
    assert find_stored(run).remove() > 0
    assert not any(A in entry.key for entry in store.list())


def test_a_result_in_a_folder_of_the_users_goes_but_for_what_he_has_changed(
    home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    run = trained(home, A)
    store_run(run, mine)
    (mine / "metadata.json").write_text("changed")
    (mine / "note.txt").write_text("mine")
    assert find_stored(run).remove() > 0
    assert sorted(path.name for path in mine.rglob("*")) == ["metadata.json", "note.txt"]


@pytest.mark.parametrize(
    ("keep", "status", "left"),
    [
        (["best", "last"], "completed", ["model_002.pth", "model_005.pth", "state_005.pt"]),
        (["best"], "completed", ["model_002.pth"]),
        (["best"], "interrupted", ["model_002.pth", "model_005.pth", "state_005.pt"]),
        (["last"], "completed", ["model_005.pth", "state_005.pt"]),
    ],
)
def test_pruning_keeps_what_was_named_and_what_resuming_needs(
    home: Path, keep: Sequence[str], status: str, left: list[str]
) -> None:
    run = trained(home, A, status=status)
    found = find_prunable(run, keep)
    assert found is not None
    prune(found)
    assert checkpoints(run) == left and (run / "checkpoints" / "mine.txt").exists()
    assert find_prunable(run, keep) is None


def test_pruning_also_deletes_in_the_store_and_the_model_can_still_be_fetched(
    home: Path, raven: Raven
) -> None:
    store = FolderStore(home / "store")
    run = stored(trained(home, A), store)
    before = raven.ok("runs", "prune", "--dry-run")
    assert f"{A}: 3 files here and 3 in {store.name}" in before and len(checkpoints(run)) == 6
    raven.ok("runs", "prune", "--yes")
    kept = [entry.key.rpartition("/")[2] for entry in store.list(f"extras/{A}/checkpoints/")]
    assert kept == ["mine.txt", "model_002.pth", "model_005.pth"]
    assert not any("model_003" in key for key in read_metadata(store, A)["files"])
    pull_model(store, A, home / "pulled")
    assert raven("runs", "prune", "--yes").stderr.strip() == "There is nothing to delete."


def test_a_checkpoint_that_another_run_began_with_and_a_running_run_stay(home: Path) -> None:
    run = trained(home, A)
    other = trained(home, B, weights=str(run / "checkpoints" / "model_003.pth"))
    found = find_prunable(run, ["best"])
    assert found is not None and "model_003.pth" not in [path.name for path in found.files]
    record = read_record(other) | {"result": None, "process": {"host": "elsewhere", "pid": 1}}
    write_new(other / "run.json", json.dumps(record))
    assert find_prunable(other, ["best"]) is None


def test_what_is_to_be_kept_is_best_or_last() -> None:
    assert parse_keep("last, best") == ["last", "best"]
    for wrong in ("", "first", "best,first"):
        with pytest.raises(InputError, match="should be best, last"):
            parse_keep(wrong)


def sent_to_a_queue(run: Path, store: FolderStore) -> Path:
    """The run, mirrored in the store of the queue that it was sent to."""
    mirror = RemoteRun(store, run.name)
    Mirror(mirror, run).round()
    mirror.write("job.json", {"id": run.name})
    sent = {"v": 1, "id": run.name, "queue": "cluster", "store": str(store.root)}
    (run / "remote.json").write_text(json.dumps(sent))
    return run


def test_what_a_queue_keeps_of_a_run_goes_with_it(home: Path, tmp_path: Path, raven: Raven) -> None:
    queue = FolderStore(tmp_path / "queue")
    for name in (A, B):
        sent_to_a_queue(trained(home, name), queue)
    queue.put_content("remote/code/0.zip", b"the code of both")
    raven.ok("runs", "rm", "--yes", B)
    assert any(B in entry.key for entry in queue.list()), "nobody asked for what is stored"
    raven.ok("runs", "rm", "--with-stored", "--yes", A)
    assert not (home / "runs" / A).exists()
    assert {entry.key.split("/")[1] for entry in queue.list()} == {B, "code"}


def test_pruning_a_run_deletes_what_its_queue_keeps_of_the_checkpoints(
    home: Path, tmp_path: Path, raven: Raven
) -> None:
    queue = FolderStore(tmp_path / "queue")
    run = sent_to_a_queue(trained(home, A), queue)
    (run / "checkpoints" / "model_001.pth").unlink()  # as of what is fetched not everything is here
    before = raven.ok("runs", "prune", "--dry-run", A)
    assert f"{A}: 2 files here and 3 in {queue.name}" in before
    raven.ok("runs", "prune", "--yes", A)
    there = [entry.key.rpartition("/")[2] for entry in queue.list(f"remote/{A}/files/checkpoints/")]
    assert there == ["mine.txt", "model_002.pth", "model_005.pth", "state_005.pt"]
    assert checkpoints(run) == ["model_002.pth", "model_005.pth", "state_005.pt"]
