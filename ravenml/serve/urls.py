"""Images that the server fetches itself: from the addresses that were allowed, and from nowhere else."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.message import Message
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit

from ravenml.errors import InputError

_PORTS = {"http": 80, "https": 443}


class NotAllowed(InputError):
    """An address that the server may not fetch from."""


class NotFetched(InputError):
    """The image could not be fetched."""


class AllowedUrls:
    """The addresses that a server may fetch images from (``--allow-url``).

    An address is allowed if it has the scheme, the host and the port of one of the prefixes and its path lies
    below the prefix's.  Redirects are not followed, so that no other server decides where to.  Which machine
    a host's name means is its owner's to say: allow only names that you trust.

    Args:
        prefixes: such as ``https://images.example.org/drives/``.

    Raises:
        InputError: a prefix is not an address of http or https.
    """

    def __init__(self, prefixes: Sequence[str] = ()) -> None:
        self._prefixes = [_parts(prefix, "--allow-url") for prefix in prefixes]
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            NoRedirect(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def check(self, url: str) -> None:
        """Refuse an address that is not allowed.

        Raises:
            NotAllowed: it is not below one of the prefixes.
        """
        shown = url[:200]
        if not self._prefixes:
            raise NotAllowed(
                "url: this server may not fetch images; start it with --allow-url PREFIX, or send the image."
            )
        try:
            wanted = _parts(url, "url")
        except InputError as error:
            raise NotAllowed(str(error)) from None
        if not any(_is_below(wanted, prefix) for prefix in self._prefixes):
            raise NotAllowed(f"url: {shown} is not below a URL allowed with --allow-url.")

    def fetch(self, url: str, max_bytes: int, seconds: float) -> bytes:
        """Fetch an image's bytes.

        Args:
            url: the address.
            max_bytes: more are not read.
            seconds: how long it may take altogether.

        Raises:
            NotAllowed: the address is not allowed.
            NotFetched: the other server does not answer, or not with an image of this size.
        """
        self.check(url)
        end = time.monotonic() + seconds
        parts: list[bytes] = []
        count = 0
        try:
            with self._opener.open(url, timeout=max(min(seconds, 30), 0.1)) as answer:
                while part := answer.read1(2**16):
                    count += len(part)
                    parts.append(part)
                    if count > max_bytes:
                        raise NotFetched(
                            f"url: {url[:200]} has more than the {max_bytes} bytes that are accepted."
                        )
                    if time.monotonic() > end:
                        raise NotFetched(f"url: {url[:200]} took longer than {seconds:.0f} seconds.")
        except urllib.error.HTTPError as error:
            raise NotFetched(f"url: {url[:200]} was answered with {error.code}.") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise NotFetched(f"url: {url[:200]} cannot be fetched: {str(reason)[:200]}.") from None
        return b"".join(parts)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an error."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)


def _parts(url: str, name: str) -> SplitResult:
    refused = InputError(f"{name}: {url[:200]!r} is not a plain address of http or https.")
    if any(character <= " " or character in '\\"<>^`{|}' or character > "~" for character in url):
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused from None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or port == 0:
        raise refused
    # What one side takes for a name and the other for the folder above must not stand in a path.
    plain = unquote(unquote(parts.path))
    if "\\" in plain or "\0" in plain or any(part in (".", "..") for part in plain.split("/")):
        raise refused
    return parts


def _is_below(wanted: SplitResult, prefix: SplitResult) -> bool:
    def place(parts: SplitResult) -> tuple[str, str, int]:
        return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme]

    folder = prefix.path if prefix.path.endswith("/") else prefix.path + "/"
    return place(wanted) == place(prefix) and (
        wanted.path.startswith(folder) or (wanted.path or "/") == (prefix.path or "/")
    )
