"""A real S3 server on loopback, and a proxy of the tests' own that spoils what passes through it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven, wait_for
from buckets import KEYS, OpenStore, free_port
from faults import FaultProxy

from ravenml.store.address import parse_address
from ravenml.store.s3 import Connection, S3Store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``127.0.0.1:<port>`` of moto's server, a process of its own."""
    pytest.importorskip("moto.server")
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from moto.server import main; main()",
                "-H",
                "127.0.0.1",
                "-p",
                str(port),
            ],
            stdout=output,
            stderr=output,
            env={**os.environ, **KEYS},
        )
    try:
        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=1).status)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only credentials that the tests know are made up."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def bucket(server: str) -> str:
    """A new bucket's name."""
    import boto3

    name = f"test-{os.urandom(6).hex()}"
    boto3.client("s3", endpoint_url=f"http://{server}").create_bucket(Bucket=name)
    return name


@pytest.fixture
def proxy(server: str) -> Iterator[FaultProxy]:
    """What stands between client and server; without a fault it passes everything on."""
    with FaultProxy(server) as running:
        yield running


@pytest.fixture
def open_store(server: str, bucket: str) -> OpenStore:
    """Opens the bucket, through a proxy where one is given."""

    def make(proxy: FaultProxy | None = None, prefix: str = "", **settings: Any) -> S3Store:
        host = proxy.address if proxy is not None else server
        address = parse_address(f"s3://{host}/{bucket}/{prefix}".rstrip("/"), "the test")
        fields = {"endpoint_url": f"http://{host}", "addressing_style": "path", "region": "us-east-1"}
        return S3Store(address, Connection(**{**fields, **settings}))

    return make


@pytest.fixture
def cloud(raven: Raven, server: str, bucket: str) -> Raven:
    """``raven`` as a process whose models and datasets go to the bucket."""
    address = f"s3://{server}/{bucket}"
    raven.environment.update(KEYS)
    raven.environment.update(
        RAVENML_MODEL_BUCKET_NAME=f"{address}/m", RAVENML_DATASET_BUCKET_NAME=f"{address}/d"
    )
    return raven


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """An empty folder for what is stored."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder
