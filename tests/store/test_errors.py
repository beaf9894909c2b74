"""Whatever goes wrong between here and the bucket gets a sentence of its own, and no traceback."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from as_user import Raven
from buckets import OpenStore, free_port
from faults import FaultProxy

from ravenml.errors import RavenError
from ravenml.store.s3 import S3Store
from ravenml.store.transfer import map_in_pool

SAID = [
    ("InvalidAccessKeyId 403", "does not accept the credentials: the access key is not known there"),
    ("SignatureDoesNotMatch 403", "does not accept the credentials: the secret key does not belong"),
    ("ExpiredToken 400", "does not accept the credentials: the session token has expired"),
    ("AccessDenied 403", "have no permission for storing a in the bucket"),
    ("RequestTimeTooSkewed 403", "clock is off by"),
    ("IllegalLocationConstraintException 400", "is in another region"),
    ("XMinioStorageFull 507", "has no space left for storing a"),
    ("NotImplemented 501", "--checksums when_required"),
]


@pytest.mark.parametrize(("fault", "sentence"), SAID)
def test_what_the_server_says_becomes_a_sentence(
    open_store: OpenStore, proxy: FaultProxy, files: Path, fault: str, sentence: str
) -> None:
    (files / "a").write_bytes(b"x")
    proxy.fault = lambda *_: fault
    with pytest.raises(RavenError) as caught:
        open_store(proxy).put("a", files / "a")
    assert sentence in str(caught.value) and str(caught.value).endswith(".")
    assert "testing" not in str(caught.value)


def test_a_wrong_bucket(open_store: OpenStore, files: Path) -> None:
    store = open_store()
    (files / "a").write_bytes(b"x")
    wrong = S3Store(type(store.address)("no-such-bucket", "", store.address.endpoint), store.connection)
    for call in (lambda: wrong.put("a", files / "a"), lambda: list(wrong.list()), lambda: wrong.read("a")):
        with pytest.raises(RavenError, match=r"There is no bucket 'no-such-bucket' at .*--model-bucket-name"):
            call()


def test_no_network(cloud: Raven, server: str) -> None:
    name = cloud.environment["RAVENML_MODEL_BUCKET_NAME"].replace(server, f"127.0.0.1:{free_port()}")
    done = cloud("models", "list", RAVENML_MODEL_BUCKET_NAME=name)
    assert done.returncode == 1 and "cannot be reached" in done.stderr and "Traceback" not in done.stderr


def test_no_credentials_and_no_profile(cloud: Raven) -> None:
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = cloud("models", "list", **none)
    assert done.returncode == 2 and "There are no complete credentials" in done.stderr
    done = cloud("models", "list", RAVENML_PROFILE="nobody")
    assert done.returncode == 2 and "nobody" in done.stderr and "--profile NAME" in done.stderr


def test_a_name_that_does_not_resolve(cloud: Raven) -> None:
    done = cloud("models", "list", RAVENML_MODEL_BUCKET_NAME="s3://nowhere.invalid:9000/models")
    assert done.returncode == 1 and "nowhere.invalid:9000 cannot be reached" in done.stderr


def test_a_server_that_hangs_up_is_not_waited_for_for_ever(cloud: Raven) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.close()
        done = cloud("models", "list", RAVENML_MODEL_BUCKET_NAME=f"s3://127.0.0.1:{port}/models", timeout=60)
    assert done.returncode == 1 and "cannot be reached" in done.stderr


def test_a_full_disk(cloud: Raven, project: Path, open_store: OpenStore, tmp_path: Path) -> None:
    inner = ["unshare", "-rm", "sh", "-c"]
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=300k none {small}"
    if not shutil.which("unshare") or subprocess.run([*inner, mount], capture_output=True).returncode:
        pytest.skip("this machine lets no test make a file system of its own")
    (project / "ds" / "notes.bin").write_bytes(bytes(400_000))
    cloud.ok("data", "push", project, "--name", "meadows")
    pull = f"{mount} && exec python -m ravenml data pull meadows --to {small}/d"
    import sys

    done = subprocess.run(
        [*inner, pull.replace("python", sys.executable, 1)], env=cloud.env(), capture_output=True, text=True
    )
    assert done.returncode == 1 and "the disk is full; free some space" in done.stderr, done.stderr


def test_config_check_uses_the_buckets(
    cloud: Raven, server: str, proxy: FaultProxy, open_store: OpenStore
) -> None:
    shown = cloud.ok("config", "check")
    assert shown.count("ok  gives back what was written") == 2 and "NO" not in shown
    assert list(open_store().list()) == []
    wrong = cloud("config", "check", "--model-bucket-name", f"s3://{server}/no-such-bucket")
    assert wrong.returncode == 1 and "NO  There is no bucket 'no-such-bucket'" in wrong.stdout
    name = cloud.environment["RAVENML_MODEL_BUCKET_NAME"].replace(server, proxy.address)
    proxy.fault = lambda method, path, number: "AccessDenied 403" if method == "PUT" else None
    denied = cloud("config", "check", "--json", "--model-bucket-name", name)
    steps = json.loads(denied.stdout)[0]["steps"]
    assert [step["ok"] for step in steps] == [True, False] and "no permission" in steps[1]["what"]


@pytest.mark.parametrize("refused", ["crc32", "md5"])
def test_config_check_finds_out_which_checksums_a_server_takes(
    cloud: Raven, server: str, proxy: FaultProxy, refused: str
) -> None:
    """The proxy plays servers that look at one kind of checksum only."""
    name = cloud.environment["RAVENML_MODEL_BUCKET_NAME"].replace(server, proxy.address)
    header = {"crc32": b"x-amz-checksum-crc32: AAAAAA==", "md5": b"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="}[
        refused
    ]
    proxy.refuses = header.lower()
    shown = cloud.ok("config", "check", "--model-bucket-name", name, RAVENML_DATASET_BUCKET_NAME="")
    expected = {
        "crc32": "refuses what differs from its CRC-32",
        "md5": "does not look at CRC-32, but at MD5: `raven config update --checksums when_required`",
    }
    assert expected[refused] in shown


def test_config_check_without_buckets_tries_the_folder(raven: Raven) -> None:
    assert str(raven.home / "store") in raven.ok("config", "check")


def test_secrets_are_never_shown_or_written(cloud: Raven, project: Path) -> None:
    secret = {"AWS_SECRET_ACCESS_KEY": "hunter2hunter2", "AWS_ACCESS_KEY_ID": "AKIDHUNTER"}
    printed = ""
    for arguments in (["config", "show"], ["config", "check"], ["data", "push", project], ["models", "list"]):
        done = cloud(*arguments, RAVENML_DEBUG="1", **secret)
        printed += done.stdout + done.stderr
    assert "hunter" not in printed.lower()
    for path in cloud.home.rglob("*"):
        if path.is_file():
            assert b"hunter" not in path.read_bytes().lower()


def test_a_failure_does_not_wait_for_the_work_of_others_in_the_same_threads() -> None:
    all_queued, released = threading.Event(), threading.Event()

    def work(item: str) -> None:
        if item == "fails":
            all_queued.wait(30)
            raise RavenError("broken")

    with ThreadPoolExecutor(1) as pool:

        def items() -> Iterator[str]:
            yield "fails"
            pool.submit(released.wait, 30)
            yield "never begins"
            all_queued.set()

        try:
            began = time.monotonic()
            with pytest.raises(RavenError, match="broken"):
                map_in_pool(pool, None, work, items())
            assert time.monotonic() - began < 15
        finally:
            released.set()
