"""A file from the web (``http://``, ``https://``) to this machine: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ravenml.common.http_client import connect, failure_reason
from ravenml.common.io import atomic_open
from ravenml.errors import InputError, RavenError
from ravenml.store.progress import Meter

_TIMEOUT = 60.0  # seconds to wait for a connection, and for each piece of the answer
_PIECE = 1 << 20
_REDIRECTS = 10


def web_file_name(url: str) -> str:
    """The name of the file that an address ends with.

    Raises:
        InputError: it ends with none.
    """
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not name or name in (".", "..") or "\0" in name:
        raise InputError(f"{url} names no file.")
    return name


def fetch_from_web(url: str, target: Path) -> None:
    """Fetch what an address answers with, following redirects, through the user's proxies.

    Raises:
        InputError: the server has no such file.
        RavenError: it does not answer, sends less than it said, or the disk is full.
    """
    import urllib3

    shown = url.partition("?")[0]  # what stands behind it may be a secret
    try:
        response = connect(url).request(
            "GET",
            url,
            timeout=urllib3.Timeout(connect=_TIMEOUT, read=_TIMEOUT),
            retries=urllib3.Retry(_REDIRECTS, connect=2, read=2, redirect=_REDIRECTS, raise_on_redirect=True),
            preload_content=False,
            enforce_content_length=True,
        )
        if response.status >= 400:
            response.close()
            kind = InputError if response.status in (404, 410) else RavenError
            raise kind(f"{shown} cannot be fetched: the server answers {response.status} {response.reason}.")
        size = int(response.headers.get("content-length") or 0)
        with Meter(f"Fetching {target.name}", size) as meter, atomic_open(target) as file:
            for piece in response.stream(_PIECE, decode_content=True):
                file.write(piece)
                meter(len(piece))
        response.release_conn()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise RavenError(f"{shown} cannot be fetched: {failure_reason(error)}.") from error
