"""One boto3 client per store, shared by all its threads."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ravenml.store.address import Address
from ravenml.store.s3_errors import BucketInfo, to_user_error

if TYPE_CHECKING:
    from ravenml.config.config import Config

THREADS = 10  # for small files, whose time is the line's
PART_THREADS = min(THREADS, 2 * (os.cpu_count() or 1))  # for large ones, whose time is the processor's


@dataclass(frozen=True, slots=True)
class Connection:
    """How a bucket is reached; the configuration's fields of the same names."""

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: str = "auto"
    profile: str | None = None
    checksums: str = "when_supported"

    @classmethod
    def of(cls, config: Config, address: Address) -> Connection:
        """What the configuration says; an address that names a server has its way."""
        endpoint, style = config.endpoint_url, config.addressing_style
        if address.endpoint is not None:
            given = urlsplit(config.endpoint_url or "")
            same = given.netloc == urlsplit(address.endpoint).netloc
            endpoint = config.endpoint_url if same else address.endpoint
            style = "path" if style == "auto" else style
        return cls(endpoint, config.region, style, config.profile, config.checksums)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No search for garbage meanwhile.

    A client begins with imports and megabytes of JSON, nothing of which is garbage; looking for it takes a
    quarter of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
def make_client(connection: Connection, info: BucketInfo, service: str = "s3") -> Any:
    """A client; nothing is sent yet.

    Credentials come from boto3's own chain.  Neither they nor anything made of them is kept by us.

    Raises:
        RavenError: no such profile, no usable endpoint.
    """
    import botocore.session
    from botocore.config import Config as BotoConfig
    from botocore.exceptions import BotoCoreError

    settings = BotoConfig(
        # Without one, botocore puts together a long one for every request, twice.
        user_agent=f"ravenml Botocore/{botocore.__version__}",
        signature_version="s3v4",
        # Every upload carries its CRC-32 or MD5 in a signed header: the body needs no signature of its own.
        s3={"addressing_style": connection.addressing_style, "payload_signing_enabled": False},
        max_pool_connections=THREADS + PART_THREADS,
        retries={"total_max_attempts": 1},  # ravenml.store.retry does it
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        # The checksums are computed once, by us, and handed over.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # The session that boto3's own wraps: without the transfers and resources that are not used here.
    session = botocore.session.Session(profile=connection.profile)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)
    try:
        region = connection.region or session.get_config_variable("region")
        if region is None and connection.endpoint_url is not None:
            region = "us-east-1"  # servers other than Amazon's have none, and signing wants one
        return session.create_client(
            service,
            region_name=region,
            endpoint_url=connection.endpoint_url,
            config=settings,
        )
    except (BotoCoreError, ValueError) as error:
        raise to_user_error(error, info, "connecting") from error


def read_time(text: Any) -> datetime:
    """A time as S3 writes it, in listings (ISO 8601) and in headers (RFC 1123); others, as botocore does.

    botocore's own parser tries everything that looks like a time, which takes as long as all else about an
    entry of a listing together.
    """
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (TypeError, ValueError):
            continue
        if moment.tzinfo is not None:
            return moment
    from botocore.utils import parse_timestamp

    found: datetime = parse_timestamp(text)
    return found
