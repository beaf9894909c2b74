"""Uploads and downloads through a line that fails: nothing is lost, nothing arrives half or changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from buckets import OpenStore, ask
from faults import Fault, FaultProxy, sometimes

from ravenml.errors import RavenError
from ravenml.store.checksums import MIB
from ravenml.store.s3 import transfer as s3_transfer
from ravenml.store.transfer import download, upload


def once(kind: str, method: str, part: str = "") -> Fault:
    """A fault for the first request of this kind alone."""
    done: list[int] = []

    def fault(asked: str, path: str, number: int) -> str | None:
        if asked == method and part in path and not done:
            done.append(number)
            return kind
        return None

    return fault


@pytest.fixture
def large(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of several parts."""
    monkeypatch.setattr("ravenml.store.checksums.PART", 5 * MIB)
    monkeypatch.setattr(s3_transfer, "RANGE_SIZE", 4 * MIB)
    path = files / "large.bin"
    path.write_bytes(os.urandom(17 * MIB + 3))
    return path


UP = ["refuse", "cut", "lost", "slow down", "error", "corrupt"]
DOWN = ["refuse", "lost", "slow down", "error", "truncate", "corrupt answer"]


@pytest.mark.parametrize("kind", UP)
def test_a_small_file_arrives_whole_after_a_fault(
    open_store: OpenStore, proxy: FaultProxy, files: Path, kind: str
) -> None:
    (files / "a").write_bytes(content := os.urandom(70_000))
    proxy.fault = once(kind, "PUT")
    open_store(proxy).put("a", files / "a")
    assert proxy.spoiled == 1
    assert open_store().read("a") == content


@pytest.mark.parametrize("kind", UP)
def test_a_large_file_arrives_whole_after_a_fault_in_mid_part(
    open_store: OpenStore, proxy: FaultProxy, large: Path, kind: str
) -> None:
    proxy.fault = once(kind, "PUT", "partNumber=2")
    open_store(proxy).put("large", large)
    assert proxy.spoiled == 1
    assert open_store().read("large") == large.read_bytes()


@pytest.mark.parametrize("said", ["NotImplemented 501", "AccessDenied 403", "NoSuchUpload 404"])
def test_a_server_that_lists_no_unfinished_uploads_gets_the_whole_file(
    open_store: OpenStore, proxy: FaultProxy, large: Path, said: str
) -> None:
    proxy.fault = lambda method, path, number: said if method == "GET" and "uploads" in path else None
    store = open_store(proxy)
    store.put("large", large)
    assert proxy.spoiled == 1 and open_store().read("large") == large.read_bytes()


@pytest.mark.parametrize("part", ["uploads", "uploadId"])
def test_an_answer_that_gets_lost_when_an_upload_begins_or_ends_does_no_harm(
    open_store: OpenStore, proxy: FaultProxy, large: Path, part: str
) -> None:
    proxy.fault = once("lost", "POST", part)
    open_store(proxy).put("large", large)
    assert proxy.spoiled == 1
    assert open_store().read("large") == large.read_bytes()


@pytest.mark.parametrize("kind", DOWN)
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_file_is_fetched_whole_after_a_fault(
    open_store: OpenStore, proxy: FaultProxy, large: Path, files: Path, kind: str, size: str
) -> None:
    source = large
    if size == "small":
        source = files / "small.bin"
        source.write_bytes(os.urandom(90_001))
    open_store().put("x", source)
    store = open_store(proxy)
    entry = store.head("x")
    proxy.fault = once(kind, "GET", "/x")
    store.get("x", files / "back", entry)
    assert proxy.spoiled == 1
    assert (files / "back").read_bytes() == source.read_bytes()
    assert not list(files.glob(".back*"))


def test_what_is_broken_on_the_server_is_said_to_be_and_leaves_no_file(
    open_store: OpenStore, bucket: str, files: Path, large: Path
) -> None:
    store = open_store()
    for key, length in (("small", 1000), ("large", 6 * MIB)):
        content = os.urandom(length)
        ask(
            store, "put_object", Key=key, Body=content, Metadata={s3_transfer.CRC_NAME: "00000000"}
        )  # as if its disk had rotted
        with pytest.raises(RavenError, match=r"differs from its checksum"):
            store.get(key, files / key, store.head(key))
        assert not (files / key).exists()


def test_two_hundred_uploads_and_downloads_of_which_a_fifth_of_the_requests_fail_lose_nothing(
    open_store: OpenStore, proxy: FaultProxy, files: Path, large: Path
) -> None:
    up_and_down(open_store, proxy, files, 199, large)


def up_and_down(open_store: OpenStore, proxy: FaultProxy, files: Path, small: int, large: Path) -> None:
    sources, count = {"f/large": large}, small + 1
    for index in range(small):
        sources[f"f/{index:03d}"] = path = files / f"{index:03d}"
        path.write_bytes(os.urandom(1 + index * 397))
    proxy.fault = sometimes(0.2, *UP, seed=1)
    store = open_store(proxy)
    done = upload(store, sources, "f/", "up")
    assert done.sent == count and proxy.spoiled > count // 10
    proxy.fault = sometimes(0.2, *DOWN[:-1], seed=2)
    entries = {entry.key: entry for entry in store.list("f/")}
    assert set(entries) == set(sources)
    proxy.fault = sometimes(0.2, *DOWN, seed=3)
    targets = {key: files / "back" / key for key in entries}
    download(store, targets, entries, "down", done.files)
    for key, source in sources.items():
        assert targets[key].read_bytes() == source.read_bytes(), key
    proxy.fault = lambda *_: None
    before = len(proxy.seen)
    again = download(store, targets, entries, "down")
    assert again.kept == count and len(proxy.seen) == before
    assert upload(store, sources, "f/", "up").kept == count


def test_a_fetch_in_parts_goes_on_with_what_another_has_brought(
    open_store: OpenStore, proxy: FaultProxy, large: Path, files: Path
) -> None:
    open_store().put("x", large)
    first = open_store(proxy)
    entry = first.head("x")
    passed: list[str] = []

    def two_ranges_only(method: str, path: str, number: int) -> str | None:
        passed.append(path)
        return None if len(passed) <= 2 else "AccessDenied 403"

    proxy.fault = two_ranges_only
    with pytest.raises(RavenError, match="no permission"):
        first.get("x", files / "back", entry)
    assert not (files / "back").exists()
    proxy.fault = lambda *_: None
    before = len(proxy.seen)
    open_store(proxy).get("x", files / "back", entry)
    assert len(proxy.seen) - before == 3  # of five ranges
    assert (files / "back").read_bytes() == large.read_bytes()


def test_a_range_that_was_spoilt_on_this_disk_is_fetched_again_and_no_other(
    open_store: OpenStore, proxy: FaultProxy, large: Path, files: Path
) -> None:
    open_store().put("x", large)
    store = open_store(proxy)
    entry = store.head("x")
    proxy.fault = lambda method, path, number: "AccessDenied 403" if number > 3 else None
    with pytest.raises(RavenError, match="no permission"):
        store.get("x", files / "back", entry)
    part, journal = files / ".back.part", json.loads((files / ".back.part.json").read_text())
    begin = int(next(iter(journal["done"]))) * s3_transfer.RANGE_SIZE
    with part.open("r+b") as file:
        file.seek(begin + 1000)
        file.write(b"spoilt")
    proxy.fault = lambda *_: None
    before = len(proxy.seen)
    open_store(proxy).get("x", files / "back", entry)
    assert len(proxy.seen) - before == 5 - len(journal["done"]) + 1
    assert (files / "back").read_bytes() == large.read_bytes()


def test_an_older_object_of_the_same_size_is_not_taken_for_an_upload_whose_end_was_lost(
    open_store: OpenStore, proxy: FaultProxy, large: Path
) -> None:
    open_store().put("x", large)
    large.write_bytes(os.urandom(large.stat().st_size))
    proxy.fault = lambda method, path, number: (
        "NoSuchUpload 404" if method == "POST" and "uploadId" in path else None
    )
    with pytest.raises(RavenError, match="NoSuchUpload"):
        open_store(proxy).put("x", large)


def test_an_upload_whose_key_is_listed_encoded_goes_on(
    open_store: OpenStore, proxy: FaultProxy, large: Path
) -> None:
    key = "a b+c%20.bin"
    proxy.fault = lambda method, path, number: "AccessDenied 403" if "partNumber=4" in path else None
    with pytest.raises(RavenError, match="no permission"):
        open_store(proxy).put(key, large)
    proxy.fault = lambda method, path, number: (
        "encoded" if path.endswith("&uploads") and "encoding-type=url" in path else None
    )
    before = len(proxy.seen)
    open_store(proxy).put(key, large)
    sent = [one for one in proxy.seen[before:] if "partNumber" in one]
    assert proxy.spoiled > 1 and len(sent) == 1 and open_store().read(key) == large.read_bytes()


def test_a_large_file_whose_key_xml_cannot_hold_goes_up(
    open_store: OpenStore, proxy: FaultProxy, large: Path
) -> None:
    proxy.fault = lambda method, path, number: "encoded" if path.endswith("&uploads") else None
    open_store(proxy, patience=5).put("\x01.bin", large)
    assert open_store().read("\x01.bin") == large.read_bytes()


def test_an_upload_in_parts_goes_on_with_what_another_has_sent(
    open_store: OpenStore, proxy: FaultProxy, large: Path
) -> None:
    proxy.fault = lambda method, path, number: "AccessDenied 403" if "partNumber=4" in path else None
    with pytest.raises(RavenError, match="no permission"):
        open_store(proxy).put("x", large)
    assert open_store().head("x") is None
    proxy.fault = lambda *_: None
    before = len(proxy.seen)
    open_store(proxy).put("x", large)
    sent = [one for one in proxy.seen[before:] if "partNumber" in one]
    assert len(sent) == 1 and open_store().read("x") == large.read_bytes()


def test_an_upload_that_was_not_resumed_ends_with_its_last_part(
    open_store: OpenStore, proxy: FaultProxy, large: Path
) -> None:
    open_store(proxy).put("x", large)
    assert not [one for one in proxy.seen if one.startswith("HEAD")]


def test_parts_of_an_earlier_content_of_the_file_are_not_used(
    open_store: OpenStore, proxy: FaultProxy, large: Path
) -> None:
    proxy.fault = lambda method, path, number: "AccessDenied 403" if "partNumber=4" in path else None
    with pytest.raises(RavenError):
        open_store(proxy).put("x", large)
    changed = bytearray(large.read_bytes())
    changed[-1] ^= 255  # in the part that was not sent: all parts on the server are still right
    large.write_bytes(changed)
    store = open_store()
    store.put("x", large)
    assert store.read("x") == changed  # and so its checksum is the new content's


def test_a_small_file_goes_up_in_one_request_that_does_not_ask_first(
    open_store: OpenStore, proxy: FaultProxy, files: Path
) -> None:
    (files / "a").write_bytes(os.urandom(20_000))
    proxy.refuses = b"expect:"
    upload(open_store(proxy), {"x/a": files / "a"}, "x/", "up")
    assert [request.split(" ")[0] for request in proxy.seen] == ["GET", "PUT"]
    assert proxy.spoiled == 0
