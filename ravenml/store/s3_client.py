"""One bucket's client: a boto3 client shared by all threads, requests that are repeated, and listings."""

from __future__ import annotations

import gc
import io
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from ravenml.errors import Interrupted
from ravenml.store.address import Address
from ravenml.store.base import Entry
from ravenml.store.s3_errors import (
    BucketInfo,
    GarbledAnswer,
    Response,
    describe,
    given_up,
    is_corrupted,
    is_network_error,
    is_retryable,
    is_unreachable,
    to_user_error,
)

if TYPE_CHECKING:
    from ravenml.config.config import Config

T = TypeVar("T")
THREADS = 10  # for small files, whose time is the line's
PART_THREADS = min(THREADS, 2 * (os.cpu_count() or 1))  # for large ones, whose time is the processor's

PATIENCE = 600.0  # seconds for which a request is repeated
FIRST_ATTEMPTS = 4  # while the server has never answered: it is more likely not there at all
MISMATCHES = 4  # what differs from its checksum that often is broken where it lies
DELAY = 0.1  # seconds before the second attempt; doubled from one to the next
LONGEST = 15.0
SAY_AFTER, SAY_EVERY = 5.0, 30.0  # seconds of failing until it is said, and said again
BARREN = 1000  # pages of a listing that bring nothing new

_PROBE = "ravenml-probe"
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ASK_CLIENT = (301, 302, 307, 400, 401, 403)  # another address, region or signature may help
_META = "x-amz-meta-"
_HEADERS = {
    "etag": "ETag",
    "x-amz-checksum-crc32": "ChecksumCRC32",
    "x-amz-server-side-encryption": "ServerSideEncryption",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """How a bucket is reached; the configuration's fields of the same names."""

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: str = "auto"
    profile: str | None = None
    checksums: str = "when_supported"
    patience: float = PATIENCE

    @classmethod
    def of(cls, config: Config, address: Address) -> Connection:
        """What the configuration says; an address that names a server has its way."""
        endpoint, style = config.endpoint_url, config.addressing_style
        if address.endpoint is not None:
            given = urlsplit(config.endpoint_url or "")
            same = given.netloc == urlsplit(address.endpoint).netloc
            endpoint = config.endpoint_url if same else address.endpoint
            style = "path" if style == "auto" else style
        return cls(endpoint, config.region, style, config.profile, config.checksums, config.patience)


class BucketClient:
    """Requests to one bucket, repeated where that helps.  Threads may share it.

    Args:
        address: the bucket and the prefix of all keys.
        connection: how it is reached.
        field: the configuration's field that names the bucket; for errors.
    """

    def __init__(self, address: Address, connection: Connection, field: str = "model_bucket_name") -> None:
        self.address = address
        self.connection = connection
        server = connection.endpoint_url or "Amazon S3"
        self.info = BucketInfo(str(address), address.bucket, server, field)
        self.retry = Retries(self.info, connection.patience)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return str(self.address)

    @cached_property
    def client(self) -> Any:
        """The boto3 client; made when it is first used, since that takes a while."""
        return make_client(self.connection, self.info)

    @cached_property
    def direct(self) -> DirectReader | None:
        """What fetches small objects faster than the client; None where it cannot."""
        from botocore.exceptions import BotoCoreError

        with self._lock, suppress(AttributeError, BotoCoreError):  # the client says what is wrong
            return DirectReader(self.client, self.address.bucket)
        return None

    @cached_property
    def parts_pool(self) -> ThreadPoolExecutor:
        """The threads that send and fetch the parts of large files."""
        return ThreadPoolExecutor(PART_THREADS, thread_name_prefix="parts")

    def request(self, operation: str, **fields: object) -> Any:
        """One call of the client, for this bucket, tried once."""
        with self._lock:
            client = self.client
        return getattr(client, operation)(Bucket=self.address.bucket, **fields)

    def full_key(self, key: str) -> str:
        """The key within the bucket."""
        return f"{self.address.prefix}/{key}" if self.address.prefix else key

    def list(self, prefix: str = "") -> Iterator[Entry]:
        cut = len(self.full_key(""))
        for page in self.pages(Prefix=self.full_key(prefix)):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):  # what web consoles make for folders
                    yield Entry(
                        found["Key"][cut:], found["Size"], found["LastModified"], found["ETag"].strip('"')
                    )

    def head(self, key: str) -> Entry | None:
        # A listing, because a refused HEAD has no body that would say why.
        return next((entry for entry in self.list(key) if entry.key == key), None)

    def pages(self, **fields: object) -> Iterator[Response]:
        """The pages of a listing; each is asked for again where it cannot be one."""
        listing = _Listing(str(fields.get("Prefix", "")))
        token: dict[str, str] = {}
        while True:
            ask = partial(self.request, "list_objects_v2", **fields, **token)
            page = self.retry(f"listing {self.name}", partial(listing.next_page, ask))
            yield page
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}


class _Listing:
    """Tells a page of a listing from what cannot be one: a web page, half a page, one that came already."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.names: set[str] = set()
        self.tokens: set[str] = set()
        self.barren = 0

    def next_page(self, ask: Callable[[], Response]) -> Response:
        """What ``ask`` returns.

        Raises:
            GarbledAnswer: it does not continue this listing.
        """
        page = ask()
        if not isinstance(page.get("IsTruncated"), bool):
            raise GarbledAnswer("what is not a listing")
        entries, folders = page.get("Contents", []), page.get("CommonPrefixes", [])
        names = [one.get("Key") for one in entries] + [one.get("Prefix") for one in folders]
        if not all(isinstance(name, str) and name.startswith(self.prefix) for name in names):
            raise GarbledAnswer("a listing of other keys than those asked for")
        if len(set(names)) < len(names) or not self.names.isdisjoint(names):
            raise GarbledAnswer("a listing that has a key twice")
        if int(page.get("KeyCount") or 0) > len(names):
            raise GarbledAnswer("a listing that has fewer keys than it counts")
        for one in entries:
            size, modified, etag = one.get("Size"), one.get("LastModified"), one.get("ETag")
            if not (isinstance(size, int) and size >= 0 and isinstance(modified, datetime) and etag):
                raise GarbledAnswer("a listing without sizes, times or ETags")
        token = page.get("NextContinuationToken")
        barren = 0 if names else self.barren + 1
        if page["IsTruncated"] and (not token or token in self.tokens or barren > BARREN):
            raise GarbledAnswer("a listing that has no end")
        self.names.update(names)
        self.tokens.add(str(token))
        self.barren = barren
        return page


class Retries:
    """How the requests to one server are repeated: ever later, what may well succeed a moment later.

    A request is given up when it has failed for as long as the user has patience; meanwhile, stderr says so.
    boto3's own repetitions are switched off: it knows nothing of contents that end too early or differ
    from their checksums, and two loops around each other would multiply.
    """

    def __init__(self, info: BucketInfo, patience: float = PATIENCE) -> None:
        self.info = info
        self.patience = patience
        self.reached = False
        self._silent_until = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let no request of any thread be repeated, and none begin."""
        self._stopped.set()

    def resume(self) -> None:
        """Requests may go out again."""
        self._stopped.clear()

    def __call__(self, doing: str, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, called as often as need be.

        Raises:
            RavenError: it is not worth another try, or was tried long enough.
            Interrupted: :meth:`stop` was called.
        """
        attempt = corrupted = 0
        since: float | None = None  # the first failure
        while True:
            if self._stopped.is_set():
                raise Interrupted("Interrupted.")
            try:
                result = call()
                self.reached = True
                return result
            except Exception as error:
                attempt += 1
                corrupted += is_corrupted(error)
                self.reached |= not is_unreachable(error)
                if isinstance(error, OSError) and not is_network_error(error):
                    raise
                hopeless = corrupted >= MISMATCHES or (not self.reached and attempt >= FIRST_ATTEMPTS)
                if hopeless or not is_retryable(error):
                    raise to_user_error(error, self.info, doing) from error
                now = time.monotonic()
                since = now if since is None else since
                left = self.patience - (now - since)
                if left <= 0:
                    raise given_up(error, self.info, doing, attempt, now - since) from error
                self._say(doing, error, attempt, now - since)
            wait = min(LONGEST, DELAY * 2 ** min(attempt - 1, 20)) * random.uniform(0.5, 1.0)
            self._stopped.wait(min(wait, left))

    def _say(self, doing: str, error: Exception, attempt: int, seconds: float) -> None:
        """Tell the user why nothing happens: of all threads' requests, one at a time."""
        now = time.monotonic()
        with self._lock:
            if seconds < SAY_AFTER or now < self._silent_until:
                return
            self._silent_until = now + SAY_EVERY
        print(
            f"{self.info.name} {describe(error)} {attempt} times in {seconds:.0f} s ({doing}); still trying, "
            f"up to {self.patience:.0f} s (--patience).",
            file=sys.stderr,
            flush=True,
        )


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
def make_client(connection: Connection, info: BucketInfo) -> Any:
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
        retries={"total_max_attempts": 1},  # see Retries
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
            "s3",
            region_name=region,
            endpoint_url=connection.endpoint_url,
            config=settings,
        )
    except (BotoCoreError, ValueError) as error:
        raise to_user_error(error, info, "connecting") from error


def read_time(text: str) -> datetime:
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


class DirectReader:
    """Fetches objects of one bucket with no more than S3 itself asks for: a signed request and its answer.

    botocore spends more than a millisecond of the processor on every request, which is most of what a small
    object takes, and no number of threads divides it.  Here it only signs and sends.  Whatever is not
    answered with the object is asked again through the client, which knows redirections, regions and errors.

    Args:
        client: a boto3 client, whose address, credentials and connections are used.
        bucket: the bucket's name.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._signer, self._send = client._request_signer, client._endpoint.http_session.send
        self._region, self._agent = client.meta.region_name, client.meta.config.user_agent
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _PROBE})
        self._base, found, _ = url.partition(_PROBE)
        # Neither an access point's ARN nor an express bucket, which has sessions.
        self._fit = bool(found and _PLAIN_NAME.fullmatch(bucket) and not bucket.endswith("--x-s3"))

    def get(self, key: str) -> Response | None:
        """An object, read to its end; None where only the client can tell what is wrong.

        Raises:
            botocore.exceptions.BotoCoreError: the line was lost, or there are no credentials.
        """
        if not self._fit:
            return None
        from botocore.awsrequest import AWSRequest

        headers = {"User-Agent": self._agent, "x-amz-checksum-mode": "ENABLED"}
        request = AWSRequest("GET", self._base + quote(key, safe="/~"), headers)
        self._signer.get_auth_instance("s3", self._region, "s3v4").add_auth(request)
        response = self._send(request.prepare())
        length = response.headers.get("Content-Length")
        if response.status_code != 200 or length is None:
            self._fit = response.status_code not in _ASK_CLIENT
            return None
        answer: Response = {"Metadata": {}, "ContentLength": int(length)}
        for name, value in response.headers.items():
            known = name.lower()
            if known.startswith(_META):
                answer["Metadata"][known.removeprefix(_META)] = value
            elif known in _HEADERS:
                answer[_HEADERS[known]] = value
        return answer | {"Body": io.BytesIO(response.content)}
