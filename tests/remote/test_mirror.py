"""A run's folder in a store: what is sent, in which order, and what comes back."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ravenml.errors import RavenError
from ravenml.remote.layout import RemoteRun, open_store
from ravenml.remote.mirror import PIECE, Mirror
from ravenml.remote.restore import fetch, is_light, is_not_state
from ravenml.store.base import Digest
from ravenml.store.local_store import FolderStore


class Recorded(FolderStore):
    """A folder that remembers in which order keys were stored."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.stored: list[str] = []

    def put(self, key: str, *more: object, **others: object):  # type: ignore[no-untyped-def]
        self.stored.append(key.split("/", 2)[2])
        return super().put(key, *more, **others)  # type: ignore[arg-type]

    def copy(self, key: str, to: str, content: Digest) -> None:
        self.stored.append(f"{key.split('/', 2)[2]} again as {to.rpartition('/')[2]}")
        super().copy(key, to, content)

    def put_content(self, key: str, *more: object, **others: object):  # type: ignore[no-untyped-def]
        self.stored.append(key.split("/", 2)[2])
        return super().put_content(key, *more, **others)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "store")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "run.lock").write_text("1")
    (folder / "events.jsonl").write_text('{"a": 1}\n')
    (folder / "checkpoints" / "model_001.pth").write_bytes(b"w" * 100)
    yield folder


def test_files_go_before_the_events_that_name_them_and_the_record_last(store: Recorded, run: Path) -> None:
    Mirror(RemoteRun(store, "r"), run).round()
    assert store.stored == [
        "files/checkpoints/model_001.pth",
        "grow/events.jsonl@000000000000",
        "files/run.json",
    ]


def test_a_record_that_changes_during_a_round_waits_for_the_events_before_it(
    store: Recorded, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, put, ended = Mirror(RemoteRun(store, "r"), run), store.put_content, run.with_name("ended")

    def end_meanwhile(key: str, content: bytes) -> object:
        if not ended.exists():
            ended.write_text('{"result": {"status": "completed"}}')
            with (run / "events.jsonl").open("a") as events:
                events.write('{"end": 1}\n')
            ended.replace(run / "run.json")
            ended.touch()
        return put(key, content)

    monkeypatch.setattr(store, "put_content", end_meanwhile)
    mirror.round()
    assert store.stored[-1] == "grow/events.jsonl@000000000000" and "files/run.json" not in store.stored
    mirror.round()
    assert store.stored[-2:] == ["grow/events.jsonl@000000000000", "files/run.json"]
    assert b'{"end": 1}' in store.read("remote/r/grow/events.jsonl@000000000000")
    assert b"completed" in store.read("remote/r/files/run.json")


def test_only_what_has_changed_is_sent_again(store: Recorded, run: Path) -> None:
    mirror = Mirror(RemoteRun(store, "r"), run)
    mirror.round()
    store.stored.clear()
    mirror.round()
    assert store.stored == []
    with (run / "events.jsonl").open("a") as file:
        file.write('{"b": 2}\n{"torn')
    mirror.round()
    assert store.stored == ["grow/events.jsonl@000000000000"]
    assert store.read("remote/r/grow/events.jsonl@000000000000") == b'{"a": 1}\n{"b": 2}\n'


def test_while_a_run_goes_on_its_checkpoints_stay_there_and_states_for_resuming_always(
    store: Recorded, run: Path, tmp_path: Path
) -> None:
    (run / "checkpoints" / "state_001.pt").write_bytes(b"s")
    (run / "outputs").mkdir()
    (run / "outputs" / "state_of_the_art.csv").write_text("a script's own")
    remote_run = RemoteRun(store, "r")
    Mirror(remote_run, run).round(last=True)
    here, seen = tmp_path / "here", {}  # type: ignore[var-annotated]

    def found() -> set[str]:
        return {path.name for path in here.rglob("*") if path.is_file()}

    fetch(remote_run, here, seen, keep=is_light)
    assert found() == {"run.json", "events.jsonl", "state_of_the_art.csv"}
    fetch(remote_run, here, seen, keep=is_not_state)
    assert found() == {"run.json", "events.jsonl", "state_of_the_art.csv", "model_001.pth"}
    fetch(remote_run, here, seen, keep=is_light)  # what is only left out this time is not taken away
    assert "model_001.pth" in found()


def test_what_grows_goes_in_pieces_and_comes_back_byte_for_byte(
    store: Recorded, run: Path, tmp_path: Path
) -> None:
    mirror, remote_run, there = Mirror(RemoteRun(store, "r"), run), RemoteRun(store, "r"), tmp_path / "there"
    seen: dict[str, str] = {}
    for part in range(5):
        with (run / "console.log").open("ab") as file:
            file.write(bytes([65 + part]) * (PIECE // 2 + 7))
        mirror.round()
        fetch(remote_run, there, seen)
        assert (there / "console.log").read_bytes() == (run / "console.log").read_bytes()
    pieces = [e.key for e in store.list("remote/r/grow/console.log@")]
    assert len(pieces) == 3


def test_a_restored_run_goes_on_in_the_same_mirror(store: Recorded, run: Path, tmp_path: Path) -> None:
    Mirror(RemoteRun(store, "r"), run).round()
    other = tmp_path / "other"
    fetch(RemoteRun(store, "r"), other, {})
    assert not (other / "run.lock").exists()
    again = Mirror(RemoteRun(store, "r"), other)
    again.adopt()
    store.stored.clear()
    (other / "checkpoints" / "model_001.pth").unlink()
    (other / "checkpoints" / "model_002.pth").write_bytes(b"v")
    again.round()
    assert store.stored == ["files/checkpoints/model_002.pth"]
    third = tmp_path / "third"
    fetch(RemoteRun(store, "r"), third, {})
    assert [path.name for path in (third / "checkpoints").iterdir()] == ["model_002.pth"]


def test_what_the_mirror_has_no_longer_goes_here_too(store: Recorded, run: Path, tmp_path: Path) -> None:
    mirror, there, seen = Mirror(RemoteRun(store, "r"), run), tmp_path / "there", {}
    mirror.round()
    fetch(RemoteRun(store, "r"), there, seen)
    (there / "notes.json").write_text("mine")
    (run / "checkpoints" / "model_001.pth").unlink()
    mirror.round()
    assert fetch(RemoteRun(store, "r"), there, seen) is False
    assert not (there / "checkpoints" / "model_001.pth").exists() and (there / "notes.json").exists()


def test_of_many_who_see_a_lost_run_one_may_send_it_again(store: Recorded) -> None:
    remote_run, won = RemoteRun(store, "r"), []

    def claim(number: int) -> None:
        if remote_run.claim(2, {"by": number}):
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and remote_run.read("attempts/0002.json") == {"by": won[0]}
    assert remote_run.attempts() == 2


class Slow(Recorded):
    """A store that takes a while, and to which a file that changed on its way does not go."""

    def put(self, key: str, source: Path, *more: object):  # type: ignore[no-untyped-def, override]
        before = source.stat().st_size
        time.sleep(0.05)
        if source.stat().st_size != before:
            raise RavenError(f"{source} was changed while it was being stored; store it again.")
        return super().put(key, source, *more)


def test_a_file_that_is_being_written_holds_up_nothing(tmp_path: Path, run: Path) -> None:
    store, ending = Slow(tmp_path / "store"), threading.Event()
    (run / "artifacts").mkdir()
    with (run / "artifacts" / "a.bin").open("wb", buffering=0) as growing:

        def grow() -> None:
            while not ending.wait(0.01):
                growing.write(b"x" * 100)

        writing = threading.Thread(target=grow)
        writing.start()
        mirror = Mirror(RemoteRun(store, "r"), run)
        mirror.round()
        assert "files/artifacts/a.bin" not in store.stored
        assert "files/run.json" in store.stored and "grow/events.jsonl@000000000000" in store.stored
        ending.set()
        writing.join()
    mirror.round(last=True)
    assert store.read("remote/r/files/artifacts/a.bin") == (run / "artifacts" / "a.bin").read_bytes()


def test_a_file_that_grows_on_and_on_is_sent_now_and_then_and_at_the_end(tmp_path: Path, run: Path) -> None:
    store = Slow(tmp_path / "store")
    mirror = Mirror(RemoteRun(store, "r"), run)
    for _ in range(5):
        with (run / "board.bin").open("ab") as file:
            file.write(b"x")
        mirror.round()
    assert store.stored.count("files/board.bin") == 1
    mirror.round(last=True)
    assert store.read("remote/r/files/board.bin") == b"xxxxx"


def test_a_store_that_takes_nothing_is_not_passed_over(tmp_path: Path, run: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(RavenError):
        Mirror(RemoteRun(FolderStore(tmp_path / "store"), "r"), run).round()


def test_what_is_written_to_in_place_does_not_change_the_mirror(tmp_path: Path, run: Path) -> None:
    (run / "large.bin").write_bytes(b"a" * (2 << 20))
    remote_run = RemoteRun(open_store(str(tmp_path / "store")), "r")
    Mirror(remote_run, run).round()
    with (run / "large.bin").open("r+b") as file:
        file.write(b"b")
    assert remote_run.store.read("remote/r/files/large.bin")[:1] == b"a"


@pytest.mark.parametrize("inside", ["", "folds/0/"])
def test_a_checkpoint_that_is_never_written_to_again_is_not_copied_on_the_same_disk(
    tmp_path: Path, run: Path, inside: str
) -> None:
    names = ("model_001.pth", "model_002_best.pth", "model_003_00017_last.pth", "state_003_00017.pt")
    for name in (*names, "last.bin"):
        (run / "checkpoints" / name).write_bytes(bytes(2 << 20))
    Mirror(RemoteRun(open_store(str(tmp_path / "store")), "r"), run, inside).round()
    there = tmp_path / "store" / "remote" / "r" / "files" / inside / "checkpoints"
    same = {path.name for path in there.iterdir() if path.samefile(run / "checkpoints" / path.name)}
    assert same == set(names)
    shutil.rmtree(run)
    assert (there / "model_001.pth").read_bytes() == bytes(2 << 20)


def test_a_script_may_call_its_files_as_it_likes(tmp_path: Path, run: Path) -> None:
    written = run / "artifacts" / "checkpoints" / "model_001.pth"
    written.parent.mkdir(parents=True)
    written.write_bytes(b"a" * (2 << 20))
    remote_run = RemoteRun(open_store(str(tmp_path / "store")), "r")
    Mirror(remote_run, run).round()
    with written.open("r+b") as file:
        file.write(b"b")
    assert remote_run.store.read("remote/r/files/artifacts/checkpoints/model_001.pth")[:1] == b"a"


def test_one_file_with_two_names_is_sent_once(store: Recorded, run: Path, tmp_path: Path) -> None:
    remote_run, mirror = RemoteRun(store, "r"), Mirror(RemoteRun(store, "r"), run)
    weights = run / "checkpoints" / "model_001.pth"
    os.link(weights, weights.with_name("model_001_best.pth"))
    mirror.round()
    assert store.stored[:2] == [
        "files/checkpoints/model_001.pth",
        "files/checkpoints/model_001.pth again as model_001_best.pth",
    ]
    weights.unlink()
    os.link(weights.with_name("model_001_best.pth"), weights.with_name("model_001_last.pth"))
    mirror.round()
    assert store.stored[-1].endswith(" again as model_001_last.pth")
    fetch(remote_run, tmp_path / "there", {})
    found = sorted((tmp_path / "there" / "checkpoints").iterdir())
    assert [path.name for path in found] == ["model_001_best.pth", "model_001_last.pth"]
    assert {path.read_bytes() for path in found} == {b"w" * 100}


def test_a_store_that_cannot_copy_gets_the_file_again_and_is_not_asked_twice(
    store: Recorded, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuses(self: object, key: str, to: str, content: Digest) -> None:
        asked.append(to)
        raise RavenError("NotImplemented")

    monkeypatch.setattr(Recorded, "copy", refuses)
    weights = run / "checkpoints" / "model_001.pth"
    for name in ("model_001_best.pth", "model_001_last.pth"):
        os.link(weights, weights.with_name(name))
    Mirror(RemoteRun(store, "r"), run).round()
    sent = [name for name in store.stored if "model_001" in name]
    assert len(sent) == 3 and len(asked) == 1
    assert store.read("remote/r/files/checkpoints/model_001_best.pth") == b"w" * 100


def test_what_takes_a_names_place_while_it_is_sent_is_not_taken_for_its_second_name(
    store: Recorded, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, last = run / "checkpoints" / "best.pt", run / "checkpoints" / "epoch_5.pt"
    best.write_bytes(b"epoch 5")
    os.link(best, last)
    true_put, late = store.put, ["late"]

    def put(key: str, source: Path) -> Digest:
        if source == best and late:
            late.clear()
            (run / "new").write_bytes(b"epoch 6")
            os.replace(run / "new", best)
        return true_put(key, source)  # type: ignore[no-any-return]

    monkeypatch.setattr(store, "put", put)
    mirror = Mirror(RemoteRun(store, "r"), run)
    for _ in range(2):
        mirror.round()
    assert not late and store.read("remote/r/files/checkpoints/best.pt") == b"epoch 6"
    assert store.read("remote/r/files/checkpoints/epoch_5.pt") == b"epoch 5"


def test_a_checkpoint_that_is_a_symbolic_link_goes_as_what_it_leads_to(tmp_path: Path, run: Path) -> None:
    weights = run / "checkpoints" / "model_002_last.pth"
    weights.write_bytes(bytes(2 << 20))
    os.symlink(weights, weights.with_name("model_002_best.pth"))
    Mirror(RemoteRun(open_store(str(tmp_path / "store")), "r"), run).round()
    shutil.rmtree(run)
    there = tmp_path / "store" / "remote" / "r" / "files" / "checkpoints" / "model_002_best.pth"
    assert there.read_bytes() == bytes(2 << 20)


def test_a_listing_survives_files_that_vanish(tmp_path: Path) -> None:
    store, ending = FolderStore(tmp_path), threading.Event()

    def churn() -> None:
        while not ending.is_set():
            for number in range(50):
                (tmp_path / f"{number}").touch()
            for number in range(50):
                (tmp_path / f"{number}").unlink()

    working = threading.Thread(target=churn)
    working.start()
    try:
        for _ in range(200):
            list(store.list())
            store.head("7")
    finally:
        ending.set()
        working.join()
