"""Who may speak to a server of ravenML: its token, the names that it goes by, its address."""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from ravenml.common.defaults import DEFAULT_PORT
from ravenml.common.io import to_user_error
from ravenml.common.locks import exclusive_lock
from ravenml.config.home import home
from ravenml.errors import InputError

TOKEN_VARIABLE = "RAVENML_TOKEN"
TOKEN_FILE_VARIABLE = "RAVENML_TOKEN_FILE"
ONCE = 60.0  # seconds for which a code for one visit is good
SHORTEST = 16  # characters; what is guessed at leisure should not be guessed
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True)
class Access:
    """What a server demands of whoever speaks to it.

    Attributes:
        token: the secret; None demands none (``--no-token``).
        host: the address that it listens on.
        port: its port.
        names: further names by which it may be called (``--allow-host``), such as a proxy's.
        given: where the token is kept or was set; None for one that was made up for this server alone.
    """

    token: str | None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()
    given: str | None = None
    # Codes of `address_once`, each until when, on `time.monotonic`'s clock.
    _codes: dict[str, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def address(self) -> str:
        """The address to open in a browser; it carries the token."""
        return self._address(reachable_name(self.host), self.token)

    def address_once(self) -> str:
        """An address that lets one visitor in, within a minute.

        For command lines, such as that of the browser that is opened: everybody on the machine can read them,
        for as long as the program runs.
        """
        if self.token is None:
            return self.address
        code = secrets.token_hex(24)
        self._codes[code] = time.monotonic() + ONCE
        return self._address(reachable_name(self.host), code)

    def _address(self, name: str, token: str | None) -> str:
        shown = f"[{name}]" if ":" in name else name
        query = "" if token is None else f"?token={quote(token, safe='')}"
        return f"http://{shown}:{self.port}/{query}"

    def knows(self, host: str) -> bool:
        """Whether a request's ``Host`` is a name of this server's, whatever the port (there are tunnels).

        A page that was rebound to this machine (DNS rebinding) speaks to it under a name of its own.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].strip("[]").rstrip(".").lower()
        if name in self._own_names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback_alone  # a number cannot be rebound

    def accepts(self, token: str) -> bool:
        """Whether this is the token; takes as long for a wrong one as for the right one."""
        return self.token is None or _equal(token, self.token)

    def accepts_once(self, code: str, spend: bool = False) -> bool:
        """Whether this is a code of `address_once` that nobody has come with yet; ``spend`` takes it away."""
        known = next((one for one in self._codes if _equal(code, one)), None)
        if known is None:
            return False
        in_time = time.monotonic() < self._codes[known]
        if spend or not in_time:
            del self._codes[known]
        return in_time

    def accepts_cookie(self, value: str) -> bool:
        """Whether this is the cookie that `cookie` made."""
        return self.token is None or _equal(value, self.cookie)

    @cached_property
    def cookie(self) -> str:
        """What a browser keeps instead of the token, which cannot be told from it; good for this port alone.

        Browsers send a host's cookies to all its ports, and other people's servers may listen on those.
        """
        purpose = f"ravenml cookie 2, port {self.port}"
        return hmac.new((self.token or "").encode(), purpose.encode(), hashlib.sha256).hexdigest()

    @property
    def token_file(self) -> Path:
        """Where `write_token` puts the token."""
        return home() / "tokens" / f"{socket.gethostname()}-{self.port}"  # machines may share a home

    def write_token(self) -> None:
        """Write the token into `token_file`, which the user alone may read.

        Raises:
            RavenError: the home may not be written.
        """
        path = self.token_file
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_private(path, self.token or "")
        except OSError as error:
            raise to_user_error(error, path) from error

    def forget_token(self) -> None:
        """Delete `token_file`, with which nobody gets in any more."""
        with suppress(OSError):
            self.token_file.unlink()

    def announce(self, label: str, terminal: bool) -> list[str]:
        """The lines that say where the server is: on a terminal the whole address, and no token elsewhere.

        What is printed elsewhere stays in logs, which others read; there the second line says where the token
        is.

        Args:
            label: begins the first line.
            terminal: whether a person sees them.

        Raises:
            RavenError: the token cannot be written where the second line says.
        """
        width = max(len(label), len("Token:"))
        if terminal or self.token is None:
            token, lines = self.token, []
        else:
            token, lines = None, [f"{'Token:':{width}} {self.given or f'in {self.token_file}'}"]
            if self.given is None:
                self.write_token()
        names = [reachable_name(self.host), *(["127.0.0.1"] if self.host in ("0.0.0.0", "::", "") else [])]
        first, *others = (self._address(name, token) for name in names)
        return [f"{label:{width}} {first}", *(f"{'':{width}} {other}" for other in others), *lines]

    @cached_property
    def _own_names(self) -> frozenset[str]:
        names = {"localhost", self.host.lower(), *(name.lower().rstrip(".") for name in self.names)}
        if not self._loopback_alone:
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        return frozenset(names)

    @cached_property
    def _loopback_alone(self) -> bool:
        return is_loopback(self.host)


def cookie_name(host: str) -> str:
    """The cookie's name: with the port that the browser sees, so that two servers do not clash."""
    found = _HOST.fullmatch(host)
    return f"ravenml-{(found and found['port']) or 'default'}"


def token_source(none: bool = False, file: Path | None = None, kept: str | None = None) -> str | None:
    """Where `choose_token` finds the token, in words; None where it makes one up."""
    if none:
        return None
    if file is not None:
        return f"in {file}"
    if os.environ.get(TOKEN_VARIABLE):
        return f"as set with {TOKEN_VARIABLE}"
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    if named:
        return f"in {named}"
    return f"in {kept_file(kept)}" if kept else None


def hide_token() -> None:
    """Take the token out of the environment, which the processes that this one starts inherit."""
    os.environ.pop(TOKEN_VARIABLE, None)


def choose_token(none: bool = False, file: Path | None = None, kept: str | None = None) -> str | None:
    """The token: of ``--token-file``, ``RAVENML_TOKEN``, ``RAVENML_TOKEN_FILE`` or the home, else a new one.

    Args:
        none: demand none.
        file: a file that holds nothing else.
        kept: whose token it is, such as ``dashboard``; the home keeps it, so that a restart locks nobody out.

    Raises:
        InputError: the file cannot be read, or the token is too short or has characters that get lost.
        RavenError: the home, which keeps it, may not be written.
    """
    if none:
        return None
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    if file is None and not os.environ.get(TOKEN_VARIABLE) and named:
        file = Path(named)
    if file is None and not os.environ.get(TOKEN_VARIABLE):
        return _keep_token(kept_file(kept)) if kept else secrets.token_hex(24)
    where = TOKEN_VARIABLE
    token = os.environ.get(TOKEN_VARIABLE, "")
    if file is not None:
        where = str(file)
        try:
            token = file.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise InputError(f"{file}: the token cannot be read: {reason}.") from None
    if len(token) < SHORTEST:
        raise InputError(f"{where}: a token has at least {SHORTEST} characters, this one has {len(token)}.")
    if not _is_printable(token):
        raise InputError(f"{where}: a token has printable ASCII characters alone, and no spaces.")
    return token


def kept_file(name: str) -> Path:
    """Where the home keeps the token of a server, such as ``dashboard``; delete it for a new one."""
    return home() / "tokens" / name


def _keep_token(path: Path) -> str:
    """The token in this file; a new one where there is none, or where others could have read it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive_lock(path.with_name(f".{path.name}.lock")):  # two that start together agree
            token = _read_private(path)
            if token is None:
                token = secrets.token_hex(24)
                _write_private(path, token)
    except OSError as error:
        raise to_user_error(error, path) from error
    return token


def _read_private(path: Path) -> str | None:
    """A token in a file that nobody else has access to; None where there is no such token."""
    with suppress(OSError, UnicodeDecodeError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="ascii") as file:
            found = os.fstat(descriptor)
            alone = found.st_uid == os.geteuid() and not found.st_mode & 0o077 and stat.S_ISREG(found.st_mode)
            token = file.read(1024).strip() if alone else ""
        if len(token) >= SHORTEST and _is_printable(token):
            return token
    return None


def _write_private(path: Path, token: str) -> None:
    """Write a file of one's own, in place of whatever is there."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(token)


def _is_printable(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


def is_loopback(host: str) -> bool:
    """Whether a server that listens on ``host`` can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def reachable_name(host: str) -> str:
    """The name under which others reach a server that listens on ``host``."""
    return socket.gethostname() if host in ("", "0.0.0.0", "::") else host


def listen(host: str, port: int | None, usual: int, backlog: int = 2048) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address of this machine.
        port: the port; 0 takes any free one; None takes ``usual``, or the next free one of twenty.
        usual: the port that is taken where none is named.
        backlog: how many connections may wait.

    Raises:
        InputError: the port is in use, or the address is none of this machine's.
    """
    tried = [port] if port is not None else list(range(usual, usual + 20))
    for number in tried:
        try:
            return _bound(host, number, backlog)
        except socket.gaierror:
            raise InputError(f"--host {host} is not a name or address of this machine.") from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise InputError(f"--host {host} is not a name or address of this machine.") from None
            if number != tried[-1] and not isinstance(error, PermissionError):
                continue
            raise InputError(
                f"--port {number}: {host} cannot listen there: {error.strerror}; name another port "
                "(0 takes any free one)."
            ) from None
    raise AssertionError


def _bound(host: str, port: int, backlog: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(backlog)
    except BaseException:
        opened.close()
        raise
    return opened


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())
