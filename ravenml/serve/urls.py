"""Images that the server fetches itself: from the addresses that were allowed, and from nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from ravenml.common.http_client import HttpClient, TooLarge, TooSlow, Unreachable
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
        shown = f"url: {url[:200]}"
        wait = max(min(seconds, 30), 0.1)
        try:
            http = HttpClient(url, keep_connections=False)
            response = http.request("GET", timeout=wait, limit=seconds, max_bytes=max_bytes)
        except TooLarge:
            raise NotFetched(f"{shown} has more than the {max_bytes} bytes that are accepted.") from None
        except TooSlow:
            raise NotFetched(f"{shown} took longer than {seconds:.0f} seconds.") from None
        except Unreachable as error:
            raise NotFetched(f"{shown} cannot be fetched: {str(error)[:200]}.") from None
        if not response.ok:
            raise NotFetched(f"{shown} was answered with {response.status}.")
        return response.content


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
