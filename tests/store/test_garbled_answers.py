"""Answers that no S3 server gives, and bursts of errors: they are said, and waited for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from as_user import Raven, wait_for, within
from buckets import OpenStore, ask
from faults import GARBLED_ANSWERS, GARBLED_LISTINGS, Fault, FaultProxy

from ravenml.errors import RavenError
from ravenml.store.checksums import MIB
from ravenml.store.s3 import client as s3_client
from ravenml.store.s3 import transfer as s3_transfer
from ravenml.store.s3.access import Answer
from ravenml.store.transfer import download, path_below


def listings(kind: str, times: float = 1) -> Fault:
    """A fault for the first listings."""
    done: list[int] = []

    def fault(method: str, path: str, number: int) -> str | None:
        if "list-type=2" not in path or len(done) >= times:
            return None
        done.append(number)
        return kind

    return fault


@pytest.fixture
def three(open_store: OpenStore) -> list[str]:
    """The keys of three objects that the bucket has."""
    keys = ["f/a", "f/b", "f/c"]
    for key in keys:
        open_store().put_content(key, key.encode())
    return keys


ALL = [*GARBLED_LISTINGS, "sign in", "no HTTP", "too long", "too short", "truncate", "TooManyRequests 429"]


@pytest.mark.parametrize("kind", ALL)
def test_a_garbled_listing_is_asked_for_again(
    open_store: OpenStore, proxy: FaultProxy, three: list[str], kind: str
) -> None:
    proxy.fault = listings(kind)
    assert [entry.key for entry in open_store(proxy).list("f/")] == three
    assert proxy.spoiled == 1


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "too long"])  # which has all that is needed
def test_what_stays_garbled_is_one_sentence_once_the_patience_is_over(
    open_store: OpenStore, proxy: FaultProxy, three: list[str], kind: str
) -> None:
    proxy.fault = listings(kind, 10**6)
    with pytest.raises(RavenError) as caught:
        list(open_store(proxy, patience=0.3).list("f/"))
    said = str(caught.value)
    assert said.startswith("Listing s3://") and " times in " in said and "--patience SECONDS" in said


def test_a_listing_without_an_end_ends(
    open_store: OpenStore, proxy: FaultProxy, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is empty, and names a next one that nobody has named yet."""
    monkeypatch.setattr(s3_client, "BARREN", 5)
    store = open_store(proxy, patience=0.3)
    numbers = iter(range(10**6))
    send = store.send

    def endless(method: str, key: str, query: dict[str, str]) -> Answer:
        page = send(method, key, {k: v for k, v in query.items() if k != "continuation-token"}).content
        if "continuation-token" in query:
            page = re.sub(rb"(?s)<Contents>.*</Contents>|<KeyCount>.*?</KeyCount>", b"", page)
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>"
        return Answer({}, re.sub(rb"<IsTruncated>.*?</IsTruncated>", more % next(numbers), page))

    monkeypatch.setattr(store, "send", endless)
    with pytest.raises(RavenError, match="a listing that has no end"):
        list(store.list("f/"))


def test_pages_follow_each_other(open_store: OpenStore) -> None:
    keys = [f"f/{number:02d}" for number in range(7)]
    store = open_store()
    for key in keys:
        store.put_content(key, b"x")
    pages = list(store.pages("f/", **{"max-keys": "3"}))
    assert [one.key for page in pages for one in page.entries] == keys and len(pages) == 3


@pytest.mark.parametrize("kind", ["slow down", "error", "refuse", "TooManyRequests 429", "Busy 503"])
def test_a_long_burst_of_errors_is_said_and_waited_for(
    open_store: OpenStore,
    proxy: FaultProxy,
    three: list[str],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(s3_client, "LONGEST", 0.1)
    monkeypatch.setattr(s3_client, "SAY_AFTER", 0.2)
    proxy.fault = lambda method, path, number: kind if number < 25 else None
    assert open_store(proxy).read("f/a") == b"f/a"
    said = capsys.readouterr().err
    assert "fetching f/a); still trying, up to 600 s (--patience)" in said
    assert said.count("\n") == 1


def test_ctrl_c_ends_the_waiting_at_once(cloud: Raven, server: str, proxy: FaultProxy) -> None:
    proxy.fault = lambda *_: "slow down"
    name = cloud.environment["RAVENML_MODEL_BUCKET_NAME"].replace(server, proxy.address)
    listing = cloud.start("models", "list", "--remote", RAVENML_MODEL_BUCKET_NAME=name)
    wait_for(lambda: proxy.spoiled >= 3)
    with within(5):
        os.kill(listing.pid, signal.SIGINT)
        _, said = listing.communicate(timeout=60)
    assert listing.returncode == 130 and "Traceback" not in said


@pytest.mark.parametrize("call", ['read("k")', 'put_content("k", b"x")', 'read("k//x")', 'delete("k")'])
def test_ctrl_c_ends_a_request_that_is_not_answered(
    open_store: OpenStore, proxy: FaultProxy, call: str
) -> None:
    proxy.hold.clear()
    address = open_store(proxy).address
    source = f"""
from ravenml.store.address import parse_address
from ravenml.store.s3 import Connection, S3Store
try:
    address = parse_address("{address}", "the test")
    S3Store(address, Connection("{address.endpoint}", "us-east-1", "path")).{call}
except KeyboardInterrupt:
    print("interrupted")
"""
    asking = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: proxy.seen)
    with within(5):
        os.kill(asking.pid, signal.SIGINT)
        said, _ = asking.communicate(timeout=60)
    assert said == "interrupted\n" and asking.returncode == 0
    proxy.hold.set()


def test_a_command_is_as_patient_as_it_is_told(cloud: Raven, server: str, proxy: FaultProxy) -> None:
    proxy.fault = lambda *_: "slow down"
    name = cloud.environment["RAVENML_MODEL_BUCKET_NAME"].replace(server, proxy.address)
    began = time.monotonic()
    done = cloud(
        "models",
        "list",
        "--remote",
        "--patience",
        "1",
        RAVENML_MODEL_BUCKET_NAME=name,
        RAVENML_PATIENCE="500",
    )
    assert done.returncode == 1 and "answered 503 SlowDown" in done.stderr and time.monotonic() - began < 60
    wrong = cloud("models", "list", "--patience", "-1")
    assert wrong.returncode == 2 and "--patience" in wrong.stderr


def test_credentials_that_expire_on_the_way_are_a_sentence(
    open_store: OpenStore, proxy: FaultProxy, three: list[str], files: Path
) -> None:
    store = open_store(proxy)
    entries = {entry.key: entry for entry in store.list("f/")}
    proxy.fault = lambda method, path, number: "ExpiredToken 400" if number > 2 else None
    with pytest.raises(RavenError, match=r"the session token has expired; sign in again"):
        download(store, {key: files / key for key in three}, entries, "down")


@pytest.mark.parametrize("kind", [*GARBLED_ANSWERS, "sign in", "no HTTP", "too long", "too short"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_page_in_place_of_an_object_is_not_taken_for_it(
    open_store: OpenStore, proxy: FaultProxy, files: Path, kind: str, method: str
) -> None:
    (files / "a").write_bytes(content := os.urandom(10_000))
    spoiled = {"f/a": False}

    def once(asked: str, path: str, number: int) -> str | None:
        if asked != method or spoiled["f/a"] or "list-type" in path:
            return None
        spoiled["f/a"] = True
        return kind

    if method == "GET":
        ask(open_store(), "put_object", Key="f/a", Body=content)  # as another program would
    proxy.fault = once
    store = open_store(proxy)
    if method == "PUT":
        store.put("f/a", files / "a")
    assert spoiled["f/a"] == (method == "PUT")
    store.get("f/a", files / "back", store.head("f/a"))
    assert (files / "back").read_bytes() == content and spoiled["f/a"]


def test_a_wrong_size_in_a_listing_is_found_out(
    open_store: OpenStore,
    proxy: FaultProxy,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_transfer, "RANGE_SIZE", 4 * MIB)
    (files / "a").write_bytes(content := os.urandom(9 * MIB))
    open_store().put("f/a", files / "a")
    proxy.fault = listings("wrong sizes")
    store = open_store(proxy)
    entry = store.head("f/a")
    assert entry is not None and entry.size != len(content)
    store.get("f/a", files / "back", entry)
    assert (files / "back").read_bytes() == content


def test_an_upload_whose_beginning_was_lost_leaves_no_parts_behind(
    open_store: OpenStore, proxy: FaultProxy, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ravenml.store.checksums.PART", 5 * MIB)
    (files / "a").write_bytes(os.urandom(6 * MIB))
    begun: list[int] = []

    def lose_the_first(method: str, path: str, number: int) -> str | None:
        if method == "POST" and path.endswith("?uploads") and not begun:
            begun.append(number)
            return "lost"
        return None

    proxy.fault = lose_the_first
    store = open_store(proxy)
    store.put("f/a", files / "a")
    assert begun and not ask(store, "list_multipart_uploads").get("Uploads")


@pytest.mark.parametrize("key", ["../a", "a/../../b", "/etc/passwd", "a\0b", "\ud800", "", "."])
def test_a_key_that_can_be_no_file_is_one_sentence(tmp_path: Path, key: str) -> None:
    with pytest.raises(RavenError, match=r"The bucket has a key that .*; nothing was fetched\."):
        path_below(tmp_path, key, "The bucket")


def test_two_keys_that_are_one_file_here_are_not_fetched(open_store: OpenStore, files: Path) -> None:
    store = open_store()
    for key in ("f/a//b", "f/a/b"):
        store.put_content(key, key.encode())
    entries = {entry.key: entry for entry in store.list("f/")}
    with pytest.raises(RavenError, match="two keys that are one file here"):
        download(store, {key: path_below(files, key, "it") for key in entries}, entries, "down")


def test_what_a_killed_fetch_left_is_removed_by_the_next(
    open_store: OpenStore, three: list[str], files: Path
) -> None:
    left, used = files / ".a.4194305.tmp", files / f".b.{os.getpid()}.tmp"
    journal = files / ".4194305-1.tmp"
    for path in (left, used, journal):
        path.write_bytes(b"half")
    store = open_store()
    entries = {entry.key: entry for entry in store.list("f/")}
    download(store, {"f/c": files / "c"}, entries, "down")
    assert used.exists() and not left.exists() and not journal.exists()
