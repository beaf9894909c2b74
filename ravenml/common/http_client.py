"""HTTP requests of our own, on urllib3: kept connections, the user's proxies, time limits, no redirects."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError, TimeoutError


class Unreachable(Exception):
    """There was no answer, or not all of it; the text is the reason, such as ``Connection refused``."""


class TooLarge(Exception):
    """The answer has more bytes than were allowed."""


class TooSlow(Exception):
    """The whole answer took longer than was allowed."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, of whatever status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        """The content type without its parameters, such as ``image/png``."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpClient:
    """Requests to one server.  Threads may share it, and so may processes that fork.

    Args:
        url: the server's address, which paths are appended to.
        use_proxies: whether ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` apply.
        keep_connections: whether to use a connection for several requests.
    """

    def __init__(self, url: str, *, use_proxies: bool = True, keep_connections: bool = True) -> None:
        self.url = url
        self.use_proxies = use_proxies
        self.keep_connections = keep_connections
        self._pool: urllib3.PoolManager | None = None
        self._process = 0

    def request(
        self,
        method: str,
        path: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 60.0,
        limit: float | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """Send a request and read the whole answer.  Redirects are answers like others.

        A connection that the server closes before an answer begins is replaced, and the request sent again:
        it must be one that may arrive twice.

        Args:
            timeout: seconds to wait for a connection, and for each piece of the answer.
            limit: seconds for the whole content, checked as it comes.
            max_bytes: more are not read.

        Raises:
            Unreachable: there is no answer, or not all of it.
            TooLarge: the answer is longer than ``max_bytes``.
            TooSlow: it takes longer than ``limit``.
        """
        end = None if limit is None else time.monotonic() + limit
        for again in (self.keep_connections, False):
            try:
                return self._request(method, path, body, dict(headers or {}), timeout, end, max_bytes)
            except ProtocolError as error:
                if not (again and _was_closed(error)):
                    raise Unreachable(failure_reason(error)) from error
            except (HTTPError, OSError, ValueError) as error:
                # ValueError: the name of the host, or of the proxy, is not a valid one.
                raise Unreachable(failure_reason(error)) from error
        raise AssertionError

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout: float,
        end: float | None,
        max_bytes: int | None,
    ) -> Response:
        pool = self._pool
        if pool is None or self._process != os.getpid():  # what forked must not share a connection
            pool = self._pool = connect(self.url, self.use_proxies)
            self._process = os.getpid()
        if not self.keep_connections:
            headers["Connection"] = "close"
        response = pool.request(
            method,
            self.url + path,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=timeout, read=timeout),
            retries=False,
            preload_content=False,
        )
        content = bytearray()
        try:
            # read1, since read waits until it has as much as was asked for, however slowly that comes
            while piece := response.read1(2**16, decode_content=False):
                content += piece
                if max_bytes is not None and len(content) > max_bytes:
                    raise TooLarge
                if end is not None and time.monotonic() > end:
                    raise TooSlow
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Response(
            response.status, {name.lower(): value for name, value in response.headers.items()}, bytes(content)
        )


def connect(url: str, use_proxies: bool = True) -> urllib3.PoolManager:
    """Connections to a server, through the user's proxy if there is one for it."""
    parts = urlsplit(url)
    direct = not use_proxies or proxy_bypass(parts.netloc.rpartition("@")[2])
    proxy = None if direct else getproxies().get(parts.scheme)
    if not proxy:
        return urllib3.PoolManager(maxsize=16)
    address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    account = unquote(address.netloc.rpartition("@")[0]).encode().decode("latin-1")  # so that UTF-8 is sent
    headers = urllib3.make_headers(proxy_basic_auth=account) if account else None
    return urllib3.ProxyManager(address.geturl(), proxy_headers=headers, maxsize=16)


def _was_closed(error: ProtocolError) -> bool:
    """Whether the server closed the connection before an answer began."""
    return error.args[0] == "Connection aborted." and isinstance(error.args[-1], ConnectionError)


def failure_reason(error: BaseException) -> str:
    """Why there was no answer, in the words of the operating system where it has any."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return str(found.strerror)
        inner = [part for part in found.args if isinstance(part, BaseException)]
        found = inner[0] if inner else found.__cause__
    if isinstance(error, TimeoutError):
        return "timed out"
    last = error.args[-1] if error.args else ""
    return " ".join(str(last).split()) or type(error).__name__
