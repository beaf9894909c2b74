"""A run's folder in a store: what is sent, in which order, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ravenml.remote.mirror import PIECE, Mirror
from ravenml.remote.places import Place
from ravenml.remote.restore import bring
from ravenml.store.local_store import FolderStore


class Recorded(FolderStore):
    """A folder that remembers in which order keys were stored."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.stored: list[str] = []

    def put(self, key: str, *more: object, **others: object):  # type: ignore[no-untyped-def]
        self.stored.append(key.split("/", 2)[2])
        return super().put(key, *more, **others)  # type: ignore[arg-type]

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
    Mirror(Place(store, "r"), run).round()
    assert store.stored == [
        "files/checkpoints/model_001.pth",
        "grow/events.jsonl@000000000000",
        "files/run.json",
    ]


def test_only_what_has_changed_is_sent_again(store: Recorded, run: Path) -> None:
    mirror = Mirror(Place(store, "r"), run)
    mirror.round()
    store.stored.clear()
    mirror.round()
    assert store.stored == []
    with (run / "events.jsonl").open("a") as file:
        file.write('{"b": 2}\n{"torn')
    mirror.round()
    assert store.stored == ["grow/events.jsonl@000000000000"]
    assert store.read("remote/r/grow/events.jsonl@000000000000") == b'{"a": 1}\n{"b": 2}\n'


def test_what_grows_goes_in_pieces_and_comes_back_byte_for_byte(
    store: Recorded, run: Path, tmp_path: Path
) -> None:
    mirror, place, there = Mirror(Place(store, "r"), run), Place(store, "r"), tmp_path / "there"
    seen: dict[str, str] = {}
    for part in range(5):
        with (run / "console.log").open("ab") as file:
            file.write(bytes([65 + part]) * (PIECE // 2 + 7))
        mirror.round()
        bring(place, there, seen)
        assert (there / "console.log").read_bytes() == (run / "console.log").read_bytes()
    pieces = [e.key for e in store.list("remote/r/grow/console.log@")]
    assert len(pieces) == 3


def test_a_restored_run_goes_on_in_the_same_mirror(store: Recorded, run: Path, tmp_path: Path) -> None:
    Mirror(Place(store, "r"), run).round()
    other = tmp_path / "other"
    bring(Place(store, "r"), other, {})
    assert not (other / "run.lock").exists()
    again = Mirror(Place(store, "r"), other)
    again.adopt()
    store.stored.clear()
    (other / "checkpoints" / "model_001.pth").unlink()
    (other / "checkpoints" / "model_002.pth").write_bytes(b"v")
    again.round()
    assert store.stored == ["files/checkpoints/model_002.pth"]
    third = tmp_path / "third"
    bring(Place(store, "r"), third, {})
    assert [path.name for path in (third / "checkpoints").iterdir()] == ["model_002.pth"]


def test_what_the_mirror_has_no_longer_goes_here_too(store: Recorded, run: Path, tmp_path: Path) -> None:
    mirror, there, seen = Mirror(Place(store, "r"), run), tmp_path / "there", {}
    mirror.round()
    bring(Place(store, "r"), there, seen)
    (there / "notes.json").write_text("mine")
    (run / "checkpoints" / "model_001.pth").unlink()
    mirror.round()
    assert bring(Place(store, "r"), there, seen) is False
    assert not (there / "checkpoints" / "model_001.pth").exists() and (there / "notes.json").exists()


def test_of_many_who_see_a_lost_run_one_may_send_it_again(store: Recorded) -> None:
    place, won = Place(store, "r"), []

    def claim(number: int) -> None:
        if place.claim(2, {"by": number}):
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and place.read("attempts/0002.json") == {"by": won[0]}
    assert place.attempts() == 2
