"""The cache of decoded images: the same as decoding, bounded, shared by processes, never in the way."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from projects import real_data, write_project

from ravenml.common.formatting import parse_bytes
from ravenml.data.cache import DecodedCache, default_cache, map_item, pack_item
from ravenml.data.decoding import decode
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project
from ravenml.errors import InputError

PLENTY = 10**9
ITEM_BYTES = 64 + 3 * 40 * 48 + 40 * 48


def silent(message: str) -> None:
    raise AssertionError(message)


@pytest.fixture
def aged(small: Project) -> Project:
    """The small project, with files old enough for their digests to be remembered."""
    for item in small.items:
        for path in (item.image_path, item.annotation_path):
            os.utime(path, (1e9, 1e9))
    return small


def files(root: Path) -> list[Path]:
    return sorted(root.glob("??/*.raw"))


def same(project: Project, cache: DecodedCache) -> None:
    for item in project.items:
        for cached, decoded in zip(cache.load(project, item), decode(project, item), strict=True):
            assert cached.dtype == decoded.dtype and (cached == decoded).all()
            assert not cached.flags.writeable


def test_what_the_cache_gives_equals_decoding(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path / "cache", PLENTY, silent)
    same(aged, cache)
    assert len(files(cache.root)) == 6
    same(aged, cache)
    same(aged, DecodedCache(tmp_path / "cache", PLENTY, silent))


def test_the_real_project_fits_into_2_6_times_its_size(tmp_path: Path) -> None:
    project = Project.open(real_data("camvid_small"))
    cache = DecodedCache(tmp_path, PLENTY, silent)
    cache.warm(project, project.items, threads=2)
    same(project, cache)
    size = sum(path.stat().st_size for path in project.root.rglob("*") if path.is_file())
    count, used = cache.size()
    assert count == 62 and used <= 2.6 * size


def test_warming_decodes_everything_once_and_tells_its_progress(aged: Project, tmp_path: Path) -> None:
    cache, told = DecodedCache(tmp_path, PLENTY, silent), []
    cache.warm(aged, aged.items, 3, lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(1, 7)]
    stamps = [path.stat().st_ino for path in files(tmp_path)]
    cache.warm(aged, aged.items, 3)
    assert [path.stat().st_ino for path in files(tmp_path)] == stamps and len(stamps) == 6


def test_a_second_process_finds_everything_without_reading_the_images(aged: Project, tmp_path: Path) -> None:
    DecodedCache(tmp_path, PLENTY, silent).warm(aged, aged.items, 1)
    expected = [decode(aged, item) for item in aged.items]
    for item in aged.items:  # the same size and time, so nothing looks changed
        length = item.image_path.stat().st_size
        item.image_path.write_bytes(b"x" * length)
        os.utime(item.image_path, (1e9, 1e9))
    second = DecodedCache(tmp_path, PLENTY, silent)
    for item, (image, _) in zip(aged.items, expected, strict=True):
        assert (second.load(aged, item)[0] == image).all()


def test_a_changed_image_or_annotation_is_decoded_anew(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path, PLENTY, silent)
    same(aged, cache)
    first, second = aged.items[:2]
    first.image_path.write_bytes(second.image_path.read_bytes())
    annotation = json.loads(second.annotation_path.read_text())
    second.annotation_path.write_text(json.dumps(annotation | {"objects": annotation["objects"][:1]}))
    same(aged, cache)


def test_a_changed_order_of_classes_makes_other_masks(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path / "cache", PLENTY, silent)
    same(aged, cache)
    meta = json.loads((aged.root / "meta.json").read_text())
    (aged.root / "meta.json").write_text(json.dumps(meta | {"classes": meta["classes"][::-1]}))
    same(Project.open(aged.root), cache)


def test_the_same_picture_in_another_project_is_kept_once(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path / "cache", PLENTY, silent)
    same(aged, cache)
    same(Project.open(write_project(tmp_path / "copy")), cache)
    assert len(files(cache.root)) == 6


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize("damage", [cut, flip, empty, other])
def test_a_damaged_file_is_noticed_and_made_again(
    aged: Project, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    same(aged, DecodedCache(tmp_path / "cache", PLENTY, silent))
    path = files(tmp_path / "cache")[2]
    whole = path.read_bytes()
    damage(path)
    same(aged, DecodedCache(tmp_path / "cache", PLENTY, silent))
    assert path.read_bytes() == whole


def test_a_new_training_pushes_out_what_was_least_recently_used(aged: Project, tmp_path: Path) -> None:
    room = 4 * ITEM_BYTES
    old = DecodedCache(tmp_path, room, silent)
    for item in aged.items[:4]:
        old.load(aged, item)
    ages = {path: path.stat().st_mtime for path in files(tmp_path)}
    for number, item in enumerate(aged.items[:4]):
        name = old._name(
            aged, *(old._digests_of(aged).get(p) or "" for p in (item.image_path, item.annotation_path))
        )
        os.utime(old._path(name), (1e9 + number, 1e9 + number))
    assert len(ages) == 4
    new = DecodedCache(tmp_path, room, silent)
    new.load(aged, aged.items[0])  # the oldest, but used again
    new.load(aged, aged.items[4])
    assert new.size()[1] <= room
    left = DecodedCache(tmp_path, room, silent)
    kept = [left._find(left._name(aged, *digests(left, aged, item))) is not None for item in aged.items]
    assert kept == [True, False, True, True, True, False]


def digests(cache: DecodedCache, project: Project, item: object) -> tuple[str, str]:
    known = cache._digests_of(project)
    return known.compute(item.image_path)[1], known.compute(item.annotation_path)[1]  # type: ignore[attr-defined]


def test_a_training_on_more_than_fits_keeps_a_part_and_decodes_the_rest(
    aged: Project, tmp_path: Path
) -> None:
    cache = DecodedCache(tmp_path, 3 * ITEM_BYTES, silent)
    for _ in range(3):
        same(aged, cache)
        assert cache.size() == (3, 3 * ITEM_BYTES)
    assert len({path.stat().st_ino for path in files(tmp_path)}) == 3


@pytest.mark.parametrize("room", [0, 100])
def test_without_room_everything_is_decoded_and_nothing_written(
    aged: Project, tmp_path: Path, room: int
) -> None:
    cache = DecodedCache(tmp_path / "cache", room, silent)
    same(aged, cache)
    assert cache.size() == (0, 0)


def test_a_folder_that_may_not_be_written_turns_caching_off_with_one_notice(
    aged: Project, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file stands where the folder should be")
    said: list[str] = []
    cache = DecodedCache(tmp_path / "cache", PLENTY, said.append)
    same(aged, cache)
    cache.warm(aged, aged.items, 2)
    assert len(said) == 1 and "cannot be written" in said[0] and "decoded each time" in said[0]


CHILD = """
import resource, sys
from pathlib import Path
from ravenml.data.cache import DecodedCache
from ravenml.data.project import Project
project = Project.open(Path(sys.argv[1]))
cache = DecodedCache(Path(sys.argv[2]), 10**9)
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
for _ in range(20):
    cache.warm(project, project.items, 2)
    if len(sys.argv) <= 3:
        cache.clear()
print(sum(int(part.sum()) for item in project.items for part in cache.load(project, item)))
"""


def child(*arguments: object) -> subprocess.Popen[str]:
    repository = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_full_disk_turns_caching_off_with_a_notice_and_leaves_nothing_half_written(
    aged: Project, tmp_path: Path
) -> None:
    process = child(aged.root, tmp_path / "cache", 5000)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert error.count("Note: ") == 1 and "cannot be written" in error
    assert int(out) == sum(int(part.sum()) for item in aged.items for part in decode(aged, item))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_processes_that_fill_and_clear_one_cache_at_once_do_no_harm(aged: Project, tmp_path: Path) -> None:
    processes = [child(aged.root, tmp_path / "cache") for _ in range(2)]
    expected = sum(int(part.sum()) for item in aged.items for part in decode(aged, item))
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0 and int(out) == expected, error
    same(aged, DecodedCache(tmp_path / "cache", PLENTY, silent))


def test_an_array_from_the_cache_stays_valid_when_its_file_is_removed(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path, PLENTY, silent)
    cache.load(aged, aged.items[0])
    image, mask = cache.load(aged, aged.items[0])
    assert cache.clear() > 0 and cache.size() == (0, 0)
    expected = decode(aged, aged.items[0])
    assert (image == expected[0]).all() and (mask == expected[1]).all()


def test_clearing_removes_nothing_that_is_not_the_cache_s(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(aged.root, PLENTY, silent)  # of all places
    before = {path for path in aged.root.rglob("*") if path.is_file()}
    cache.warm(aged, aged.items, 2)
    cache.clear()
    assert {path for path in aged.root.rglob("*") if path.is_file()} == before


def test_the_cache_s_folder_may_vanish_at_any_time(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path / "cache", PLENTY, silent)
    cache.load(aged, aged.items[0])
    shutil.rmtree(tmp_path / "cache")
    same(aged, cache)
    assert cache.size()[0] == 6


def test_a_fault_is_told_each_time_and_nothing_of_it_is_kept(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path, PLENTY, silent)
    path = aged.items[3].image_path
    path.write_bytes(path.read_bytes()[:100])
    for _ in range(2):
        with pytest.raises(DataProblem, match=r"scene_003\.png: the image is cut off"):
            cache.load(aged, aged.items[3])
    with pytest.raises(DataProblem, match="scene_003"):
        cache.warm(aged, aged.items, 2)


def test_the_cache_travels_to_a_data_loader_s_worker(aged: Project, tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path, PLENTY)
    same(aged, cache)
    same(aged, pickle.loads(pickle.dumps(cache)))  # noqa: S301 - its own


def test_files_left_by_a_process_that_died_are_swept_up(aged: Project, tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    stale, fresh = tmp_path / "ab/.x.raw.1.2.tmp", tmp_path / "ab/.y.raw.1.2.tmp"
    for path in (stale, fresh):
        path.write_bytes(b"x")
    os.utime(stale, (time.time() - 7200,) * 2)
    DecodedCache(tmp_path, PLENTY, silent).load(aged, aged.items[0])
    assert not stale.exists() and fresh.exists()


@given(
    st.integers(1, 12).flatmap(
        lambda h: st.integers(1, 12).flatmap(
            lambda w: st.tuples(
                hnp.arrays(np.uint8, (h, w, 3)),
                st.one_of(hnp.arrays(np.uint8, (h, w)), hnp.arrays(np.uint16, (h, w))),
            )
        )
    )
)
def test_any_image_and_mask_survive_the_file(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.raw")
        path.write_bytes(b"".join(bytes(part) for part in pack_item(*pair)))
        found = map_item(path, verify=True)
        assert found is not None
        for read, given in zip(found, pair, strict=True):
            assert read.dtype == given.dtype and (read == given).all()


def test_the_default_cache_takes_its_limit_from_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_cache().root == home / "cache" / "decoded"
    assert default_cache().max_bytes == 20 * 1024**3
    monkeypatch.setenv("RAVENML_CACHE_BYTES", "1.5 MiB")
    assert default_cache().max_bytes == 1572864
    monkeypatch.setenv("RAVENML_CACHE_BYTES", "lots")
    with pytest.raises(InputError, match="RAVENML_CACHE_BYTES is 'lots'"):
        default_cache()


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("123", 123), ("2K", 2048), ("1g", 2**30), ("1TiB", 2**40)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text, "x") == size
