"""What the tests of buckets share beside their fixtures."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from ravenml.store.s3 import S3Store

OpenStore = Callable[..., S3Store]

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def ask(store: S3Store, operation: str, **fields: object) -> Any:
    """What another program does with a store's bucket: a call of boto3's client."""
    import boto3

    client = boto3.client("s3", endpoint_url=store.connection.endpoint_url)
    return getattr(client, operation)(Bucket=store.address.bucket, **fields)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
