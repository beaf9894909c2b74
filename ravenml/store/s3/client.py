"""One bucket's client, shared by all threads: requests tried once, and repeated; and listings."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from ravenml.errors import Interrupted
from ravenml.store.address import Address
from ravenml.store.base import Entry
from ravenml.store.checksums import MIB, md5_header
from ravenml.store.s3.access import (
    CONNECT_TIMEOUT,
    PATIENCE,
    READ_TIMEOUT,
    Access,
    Answer,
    Connection,
    find_access,
)
from ravenml.store.s3.errors import (
    BucketInfo,
    GarbledAnswer,
    NetworkError,
    ServerError,
    describe,
    from_obstore,
    given_up,
    is_corrupted,
    is_retryable,
    is_unreachable,
    to_user_error,
)

if TYPE_CHECKING:
    import obstore
    import obstore.store

T = TypeVar("T")
PART_THREADS = min(10, 2 * (os.cpu_count() or 1))  # the time of large files is the processor's

FIRST_ATTEMPTS = 4  # while the server has never answered: it is more likely not there at all
MISMATCHES = 4  # what differs from its checksum that often is broken where it lies
DELAY = 0.1  # seconds before the second attempt; doubled from one to the next
LONGEST = 15.0
SAY_AFTER, SAY_EVERY = 5.0, 30.0  # seconds of failing until it is said, and said again
BARREN = 1000  # pages of a listing that bring nothing new

CRC_NAME = "ravenml-crc32"  # every object carries its CRC-32, so that any server lets it be checked
_META = "x-amz-meta-"
_obstore_process: int | None = None  # whose threads serve obstore: a forked process has none of them


@dataclass(frozen=True, slots=True)
class Received:
    """An object, or a range of one: what its headers say, and its content as it comes."""

    size: int  # of the whole object
    etag: str
    recorded: str | None  # the CRC-32 that its uploader noted
    content: Iterable[bytes]


class BucketClient:
    """Requests to one bucket.  Threads may share it.

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
        self._lock = threading.RLock()
        self._region: str | None = None  # the bucket's own, once the server has named it

    @property
    def name(self) -> str:
        return str(self.address)

    def full_key(self, key: str) -> str:
        """The key within the bucket."""
        return f"{self.address.prefix}/{key}" if self.address.prefix else key

    @cached_property
    def parts_pool(self) -> ThreadPoolExecutor:
        """The threads that send and fetch the parts of large files."""
        return ThreadPoolExecutor(PART_THREADS, thread_name_prefix="parts")

    # The ways to the server.

    @property
    def access(self) -> Access:
        """Where the bucket is, and whose credentials sign; worked out when it is first used."""
        with self._lock:
            return self._access

    @cached_property
    def _access(self) -> Access:
        return find_access(self.address.bucket, self.connection, self.info, self._region)

    @cached_property
    def _objects(self) -> obstore.store.S3Store:
        from obstore.store import S3Store

        access = self.access
        options: obstore.store.ClientConfig = {
            "allow_http": True,
            "connect_timeout": f"{CONNECT_TIMEOUT}s",
            "read_timeout": f"{READ_TIMEOUT}s",
            "timeout": "1 day",  # large objects take their time; it is read_timeout that notices a dead line
            "user_agent": "ravenml",
        }
        if access.url.startswith("https"):
            # It trusts the system's authorities as well, and has no option against it.
            options["root_certificate"] = access.certificates.read_bytes()
        return S3Store(
            self.address.bucket,
            aws_endpoint_url_s3=access.url,
            virtual_hosted_style_request=True,  # the address has the bucket's name already
            region=access.region,
            client_options=options,
            retry_config={"max_retries": 0},  # see Retries
            credential_provider=access.credentials,
            disable_bulk_delete=True,
        )

    def _through_obstore(self, key: str) -> bool:
        """Whether obstore can name this key and works in this process."""
        global _obstore_process
        _obstore_process = _obstore_process or os.getpid()
        fits = all(part not in ("", ".", "..") for part in key.split("/")) and key.isprintable()
        return fits and _obstore_process == os.getpid()

    def _once(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call obstore once, with its errors made ours."""
        from obstore.exceptions import BaseError

        with self._lock:
            objects, region = self._objects, self._region
        try:
            return _interruptible(lambda: call(objects, *arguments, **named))
        except (BaseError, FileNotFoundError) as error:
            raise self._explain(from_obstore(error), region) from error

    def send(
        self, method: str, key: str = "", query: Mapping[str, str] | None = None, **named: Any
    ) -> Answer:
        """Send one request of our own, once; see :meth:`Access.send`."""
        with self._lock:
            access, region = self.access, self._region
        try:
            return access.send(method, key, query, **named)
        except ServerError as error:
            raise self._explain(error, region) from error

    def _explain(self, error: Exception, region: str | None) -> Exception:
        """The error, with what obstore kept to itself; the next request goes to the bucket's own region.

        Args:
            error: what the request ended with.
            region: the one that it was signed for, where the server had named one by then.
        """
        if isinstance(error, ServerError) and error.lacks_reason:
            try:
                self.access.send("GET", "", {"list-type": "2", "max-keys": "1"})
            except ServerError as same:
                error = same if same.status == error.status and not same.code.isdigit() else error
            except NetworkError:
                return error
        if not isinstance(error, ServerError) or not error.is_elsewhere or self.connection.endpoint_url:
            return error
        if not error.region or error.region == region:
            return error
        with self._lock:
            if error.region != self._region:  # another thread may have learnt it already
                self._region = error.region
                for known in ("_access", "_objects"):
                    self.__dict__.pop(known, None)
        return GarbledAnswer("another region")  # and so it is asked for again, there

    # Objects, each request tried once.

    def put_once(self, key: str, content: bytes, crc: str | None = None, create: bool = False) -> str:
        """Store an object; the ETag that the server has for it.

        obstore waits for an answer from when it begins to send: what is larger may take longer than that.

        Args:
            crc: noted with the object.
            create: fail with PreconditionFailed where there is one already.
        """
        if self._through_obstore(key) and len(content) <= MIB:
            import obstore

            answer = self._once(
                obstore.put,
                key,
                content,
                attributes={CRC_NAME: crc} if crc else None,
                mode="create" if create else "overwrite",
                use_multipart=False,
            )
            return _etag(answer["e_tag"])
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        headers = {"content-md5": md5_header(md5), **({_META + CRC_NAME: crc} if crc else {})}
        headers |= {"If-None-Match": "*"} if create else {}
        return _etag(self.send("PUT", key, headers=headers, body=content).headers.get("etag"))

    def get_once(self, key: str, begin: int = 0, end: int | None = None, etag: str | None = None) -> Received:
        """An object from ``begin`` to before ``end``, if it still has the ETag."""
        if self._through_obstore(key):
            import obstore

            options: obstore.GetOptions = {} if end is None else {"range": (begin, end)}
            if etag is not None:
                options["if_match"] = f'"{etag}"'
            found = self._once(obstore.get, key, options=options)
            meta = found.meta
            return Received(meta["size"], _etag(meta["e_tag"]), found.attributes.get(CRC_NAME), _body(found))
        headers = {} if end is None else {"Range": f"bytes={begin}-{end - 1}"}
        headers |= {"If-Match": f'"{etag}"'} if etag else {}
        answer = self.send("GET", key, headers=headers)
        size = answer.headers.get("content-range", "").rpartition("/")[2]
        whole = int(size) if size.isdigit() else begin + len(answer.content)
        recorded = answer.headers.get(_META + CRC_NAME)
        return Received(whole, _etag(answer.headers.get("etag")), recorded, [answer.content])

    def head_once(self, key: str) -> Mapping[str, str]:
        """An object's headers."""
        return self.send("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"}).headers

    def copy_once(self, key: str, to: str) -> None:
        """Store an object under another key as well."""
        if self._through_obstore(key) and self._through_obstore(to):
            import obstore

            self._once(obstore.copy, key, to)
        else:
            source = quote(f"/{self.address.bucket}/{key}")
            self.send("PUT", to, headers={"x-amz-copy-source": source})

    # Listings.

    def list(self, prefix: str = "") -> Iterator[Entry]:
        cut = len(self.full_key(""))
        for page in self.pages(self.full_key(prefix)):
            for entry in page.entries:
                if not entry.key.endswith("/"):  # what web consoles make for folders
                    yield Entry(entry.key[cut:], entry.size, entry.modified, entry.etag)

    def head(self, key: str) -> Entry | None:
        # A listing, because a refused HEAD has no body that would say why.  Of the keys that begin with
        # this one, sorted as they are, it is the first.
        full_key = self.full_key(key)
        first = next((page.entries[0] for page in self.pages(full_key) if page.entries), None)
        if first is None or first.key != full_key:
            return None
        return Entry(key, first.size, first.modified, first.etag)

    def pages(self, prefix: str, **query: str) -> Iterator[Page]:
        """The pages of a listing; each is asked for again where it cannot be one."""
        listing = _Listing(prefix)
        token: dict[str, str] = {}
        while True:
            asked = {"list-type": "2", "encoding-type": "url", "prefix": prefix, **query, **token}
            page = self.retry(
                f"listing {self.name}",
                lambda asked=asked: listing.next_page(self.send("GET", "", asked).content),  # type: ignore[misc]
            )
            yield page
            if not page.token:
                return
            token = {"continuation-token": page.token}


def _interruptible(call: Callable[[], T]) -> T:
    """Call obstore; outside the main thread, where its calls would hold up Ctrl-C until they end."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result()


def _body(found: obstore.GetResult) -> Iterator[bytes]:
    from obstore.exceptions import BaseError

    begin, end = found.range
    try:
        if end - begin <= MIB:
            yield _interruptible(lambda: found.bytes().to_bytes())
            return
        stream = found.stream(min_chunk_size=MIB)
        while chunk := _interruptible(lambda: next(stream, b"")):
            yield chunk
    except BaseError as error:
        raise from_obstore(error) from error


def _etag(text: str | None) -> str:
    if not text:
        raise GarbledAnswer("an answer without an ETag")
    return text.strip('"')


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: objects, first parts of keys, and what names the next page; empty at the end."""

    entries: Sequence[Entry]
    folders: Sequence[str]
    token: str


class _Listing:
    """Tells a page of a listing from what cannot be one: a web page, half a page, one that came already."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.names: set[str] = set()
        self.tokens: set[str] = set()
        self.barren = 0

    def next_page(self, content: bytes) -> Page:
        """The page that an answer has.

        Raises:
            GarbledAnswer: it does not continue this listing.
        """
        root = parse_answer(content, "IsTruncated")
        truncated = root.findtext("IsTruncated")
        if truncated not in ("true", "false"):
            raise GarbledAnswer("what is not a listing")
        try:
            entries = [_entry(one) for one in root.iterfind("Contents")]
        except (TypeError, ValueError, AttributeError):
            raise GarbledAnswer("a listing without keys, sizes, times or ETags") from None
        folders = [one.findtext("Prefix") or "" for one in root.iterfind("CommonPrefixes")]
        names = [one.key for one in entries] + folders
        if not all(name and name.startswith(self.prefix) for name in names):
            raise GarbledAnswer("a listing of other keys than those asked for")
        if len(set(names)) < len(names) or not self.names.isdisjoint(names):
            raise GarbledAnswer("a listing that has a key twice")
        count = root.findtext("KeyCount") or "0"
        if not count.isdigit() or int(count) > len(names):
            raise GarbledAnswer("a listing that has fewer keys than it counts")
        token = (root.findtext("NextContinuationToken") or "") if truncated == "true" else ""
        barren = 0 if names else self.barren + 1
        if truncated == "true" and (not token or token in self.tokens or barren > BARREN):
            raise GarbledAnswer("a listing that has no end")
        self.names.update(names)
        self.tokens.add(token)
        self.barren = barren
        return Page(entries, folders, token)


def parse_answer(content: bytes, child: str) -> ElementTree.Element:
    """A document of S3's, its elements without their namespace, keys as they are.

    Listings are asked for with ``encoding-type=url``: XML cannot hold every character that a key may have.

    Raises:
        GarbledAnswer: it is none, or lacks the element that it must have.
    """
    try:
        found = ElementTree.fromstring(content)  # noqa: S314 - expat bounds what entities grow to
    except ElementTree.ParseError:
        raise GarbledAnswer("what is not XML") from None
    for element in found.iter():
        element.tag = element.tag.rpartition("}")[2]
    if found.findtext("EncodingType") == "url":  # not every server does it
        for element in found.iter():
            if element.tag in ("Key", "Prefix"):
                element.text = unquote_plus(element.text or "")
    if not found.findtext(child):
        raise GarbledAnswer(f"an answer without its {child}")
    return found


def _entry(found: ElementTree.Element) -> Entry:
    fields = {one.tag: one.text or "" for one in found}
    key, etag, size = fields.get("Key"), fields.get("ETag", "").strip('"'), int(fields.get("Size", ""))
    if not key or not etag or size < 0:
        raise ValueError(key)
    return Entry(key, size, read_time(fields.get("LastModified", "")), etag)


def read_time(text: str) -> datetime:
    """A time as S3 writes it: in listings (ISO 8601), in headers (RFC 1123), or in seconds.

    Raises:
        ValueError: it is none.
    """
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (TypeError, ValueError):
            continue
        if moment.tzinfo is not None:
            return moment
    return datetime.fromtimestamp(float(text), UTC)


class Retries:
    """How the requests to one server are repeated: ever later, what may well succeed a moment later.

    A request is given up when it has failed for as long as the user has patience; meanwhile, stderr says so.
    obstore's own repetitions are switched off: they tell nobody why nothing happens, know nothing of contents
    that differ from their checksums, and two loops around each other would multiply.
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
                if isinstance(error, OSError):
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
