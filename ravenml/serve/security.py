"""The guard before every server of ravenML: a plain ASGI middleware that needs no framework.

It looks at each HTTP request and each WebSocket, on loopback as well, for other people log in to this machine
too, and any page in the user's browser can send requests to it:

- ``Host`` must be a name of this server's (against DNS rebinding),
- ``Origin`` must be the server itself, and what another site embeds or sends is refused (``Sec-Fetch-Site``),
- the token must come as a cookie, as ``Authorization: Bearer``, or as ``?token=`` in the address.

A browser that opens the printed address gets the cookie and is sent on to the address without the token, so
that it stays out of history and logs.  One that comes without the token gets a page to enter it in::

    access = Access(choose_token(), host, port)
    app.add_middleware(Guard, access=access)      # the last one that is added is the outermost
    print(*access.announce("Open:", sys.stdout.isatty()), sep="\n")
"""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ravenml.errors import RavenError
from ravenml.serve.access import Access, cookie_name

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Nothing from elsewhere, no markup that runs, no frame around the page.  An answer may have one of its own.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SLOWEST = 2**14  # bytes a second at which a body has to come, or an answer is read
PATIENCE = 10.0  # seconds that may be lost on top
_SAFE = ("GET", "HEAD", "OPTIONS")
TOKEN_ADDRESS = "/_token"  # where the page that asks for the token sends it
_LONGEST = 2**13  # bytes that it may send
_PAGE = Path(__file__).parent / "web" / "refused.html"
_FORM = """<p$kind>$message</p>
<form method="post" action="$action">
<input type="hidden" name="next" value="$target">
<label for="token">Access token</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password">
<button type="submit">Continue</button>
</form>
<p class="muted">The server prints its address when it starts: the token is what follows ?token= there,
or is in the file that the next line names.</p>"""
_AGAIN = '<meta http-equiv="refresh" content="0">'
_NO_TOKEN = (
    "A token is needed: open the address that the server printed when it started, or send it as "
    "'Authorization: Bearer TOKEN'."
)


class Guard:
    """The middleware.

    Args:
        app: what it stands before.
        access: what is demanded.
        policy: the ``Content-Security-Policy`` of answers that have none of their own.
        max_body: how many bytes a request may bring; larger ones are answered with 413.
        patience: how many seconds a body may lose on the slowest line (`SLOWEST`); slower ones get a 408.
    """

    def __init__(
        self,
        app: App,
        access: Access,
        policy: str = POLICY,
        max_body: int = 2**26,
        patience: float = PATIENCE,
    ) -> None:
        self.app, self.access, self.max_body, self.patience = app, access, max_body, patience
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"content-security-policy", policy.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)  # start and end of the server
            return
        refused = self._refused(scope)
        if scope["type"] == "websocket":
            if refused is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": refused[1][:100]})
                return
            _hide_token(scope)
            await self.app(scope, receive, send)
        elif self._brings_token(scope) and (refused is None or refused[0] == 401):
            await self._take_token(scope, receive, send)
        elif refused is not None:
            _hide_token(scope)
            await self._respond(send, scope, *refused)
        elif (target := self._without_token(scope)) is not None:
            await self._redirect(send, scope, target)
        else:
            _hide_token(scope)
            await self._forward(scope, receive, send)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the sentence of a request that is not let through."""
        hosts = _header_values(scope, b"host")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self.access.knows(host):
            return 403, (
                f"This server does not accept the host name {host[:100]!r}; use the address that it "
                "printed, or start it with --allow-host NAME."
            )
        foreign = (
            403,
            "Cross-site requests are not allowed; open the server's own page.",
        )
        if not all(self._is_own(origin, host) for origin in _header_values(scope, b"origin")):
            return foreign
        if _header_values(scope, b"sec-fetch-site")[:1] in (["cross-site"], ["same-site"]) and not _is_visit(
            scope
        ):
            return foreign
        if self._has_token(scope, host):
            return None
        return 401, _NO_TOKEN

    def _is_own(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        # A proxy may hand on another Host than the browser's; then the name was allowed explicitly.
        return parts.netloc.lower() == host.lower() or (parts.hostname or "") in self.access.names

    def _has_token(self, scope: Scope, host: str) -> bool:
        if self.access.token is None:
            return True
        for value in _header_values(scope, b"authorization"):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and self.access.accepts(token.strip()):
                return True
        name = cookie_name(host)
        for value in _header_values(scope, b"cookie"):
            if any(self.access.accepts_cookie(one) for one in _cookies(value, name)):
                return True
        tokens = _tokens(scope)
        if any(self.access.accepts(token) for token in tokens):
            return True
        return _is_page(scope) and any(self.access.accepts_once(token) for token in tokens)

    def _without_token(self, scope: Scope) -> str | None:
        """Where a browser that came with the token in its address is sent on to."""
        if self.access.token is None or not _is_page(scope) or not _tokens(scope):
            return None
        tokens = _tokens(scope)
        once = [self.access.accepts_once(token, spend=True) for token in tokens]  # of all: each is spent
        if not any(once) and not any(self.access.accepts(token) for token in tokens):
            return None  # an old one, in a browser that has the right cookie
        return _asked_for(scope)

    def _brings_token(self, scope: Scope) -> bool:
        return bool(
            self.access.token is not None and scope["method"] == "POST" and scope["path"] == TOKEN_ADDRESS
        )

    async def _take_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the form of the page that asks for the token."""
        body, more = b"", True
        try:
            async with asyncio.timeout(self.patience):
                while more and len(body) <= _LONGEST:
                    message = await receive()
                    body += message.get("body", b"")
                    more = message.get("more_body", False) and message["type"] == "http.request"
        except TimeoutError:
            await self._respond(send, scope, 408, "The request's body comes too slowly; send it again.")
            return
        if len(body) > _LONGEST:
            await self._respond(send, scope, 413, f"This form may bring at most {_LONGEST} bytes.")
            return
        try:
            fields = dict(parse_qsl(body.decode("latin-1"), max_num_fields=8))
        except ValueError:
            fields = {}
        target = _own_address(fields.get("next", "/"))
        if self.access.accepts(fields.get("token", "").strip()):
            await self._redirect(send, scope, target)
        else:
            await self._ask(send, scope, "This is not the token of this server.", target, wrong=True)

    async def _redirect(self, send: Send, scope: Scope, target: str) -> None:
        name = cookie_name(_header_values(scope, b"host")[0])
        cookie = f"{name}={self.access.cookie}; Path=/; HttpOnly; SameSite=Strict"
        if scope.get("scheme") == "https":
            cookie += "; Secure"
        headers = [
            (b"location", target.encode()),
            (b"set-cookie", cookie.encode()),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
            *self._headers,
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _respond(self, send: Send, scope: Scope, status: int, message: str) -> None:
        """Answer with one sentence: a page for browsers, JSON for programs."""
        if status == 401 and _is_page(scope):
            await self._ask(send, scope, "A token is needed to open this page.", _asked_for(scope))
        elif _is_page(scope):
            title = "This page cannot be opened"
            await self._answer_page(send, scope, status, title, f"<p>{html.escape(message)}</p>")
        else:
            import json

            body = json.dumps({"detail": message})
            await self._answer(send, scope, status, b"application/json", body, b"default-src 'none'")

    async def _ask(self, send: Send, scope: Scope, message: str, target: str, wrong: bool = False) -> None:
        """Answer with the page that asks for the token, and leads on to ``target``."""
        content = Template(_FORM).substitute(
            kind=' class="bad" role="alert"' if wrong else "",
            message=html.escape(message),
            action=TOKEN_ADDRESS,
            target=html.escape(target),
        )
        # A strict cookie is not sent by whoever follows a link on another site; the page asks again.
        again = _AGAIN if _header_values(scope, b"sec-fetch-site") == ["cross-site"] else ""
        await self._answer_page(send, scope, 401, "Enter the access token", content, again)

    async def _answer_page(
        self, send: Send, scope: Scope, status: int, title: str, content: str, again: str = ""
    ) -> None:
        page = Template(_PAGE.read_text(encoding="utf-8"))
        text = page.substitute(title=title, content=content, again=again)
        policy = (
            b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
            b"frame-ancestors 'none'"
        )
        await self._answer(send, scope, status, b"text/html; charset=utf-8", text, policy)

    async def _answer(
        self, send: Send, scope: Scope, status: int, kind: bytes, body: str, policy: bytes
    ) -> None:
        content = body.encode()
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(content)).encode()),
            (b"cache-control", b"no-store"),
            *((name, value) for name, value in self._headers if name != b"content-security-policy"),
            (b"content-security-policy", policy),
        ]
        if status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="ravenML"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, with the headers of safety on the answer, if its body is not too large or slow."""
        too_large = BodyRefused(
            f"A request may bring at most {self.max_body} bytes; send a smaller file.", 413
        )
        length = _header_values(scope, b"content-length")
        if length and length[0].isdigit() and int(length[0]) > self.max_body:
            await self._respond(send, scope, too_large.status, str(too_large))
            return
        began, count, complete, left = False, 0, False, False
        refused: BodyRefused | None = None
        end = time.monotonic() + self.patience

        async def checked() -> Message:
            nonlocal count, complete, left, refused
            try:
                # What comes behind the body is the client's leaving, which may take its time.
                in_time = None if complete else end + count / SLOWEST - time.monotonic()
                async with asyncio.timeout(in_time):
                    message = await receive()
            except TimeoutError:
                refused = BodyRefused("The request's body comes too slowly; send it again.", 408)
                raise refused from None
            left = message["type"] == "http.disconnect"
            count += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if count > self.max_body:
                refused = too_large
                raise refused
            return message

        async def with_headers(message: Message) -> None:
            nonlocal began
            if refused is not None and not began:
                return  # a framework's own words about a body that it could not read
            if message["type"] == "http.response.start":
                began = True
                own = list(message.get("headers", []))
                names = {name.lower() for name, _ in own}
                message["headers"] = [*own, *(one for one in self._headers if one[0] not in names)]
            await send(message)

        try:
            await self.app(scope, checked, with_headers)
        except BodyRefused:
            if began:
                raise
        except Exception:
            if not left:  # whatever a framework makes of a client that has left, nobody waits for an answer
                raise
        if refused is not None and not began:
            await self._respond(send, scope, refused.status, str(refused))


class BodyRefused(RavenError):
    """A request's body is too large or too slow.  ``status`` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _header_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _tokens(scope: Scope) -> list[str]:
    return [value for name, value in _query(scope) if name == "token"]


def _hide_token(scope: Scope) -> None:
    """Take the token out of the request, so that it is in no log."""
    if _tokens(scope):
        rest = [(name, value) for name, value in _query(scope) if name != "token"]
        scope["query_string"] = urlencode(rest).encode()


def _asked_for(scope: Scope) -> str:
    """The address that was asked for, without the token."""
    raw = scope.get("raw_path") or scope["path"].encode()
    query = urlencode([(name, value) for name, value in _query(scope) if name != "token"])
    return _own_address(raw.split(b"?")[0].decode("latin-1")) + (f"?{query}" if query else "")


def _own_address(text: str) -> str:
    """A path, with or without a query, as an address of this server's and of no other's."""
    path, mark, query = text.partition("?")
    quoted = quote(path, safe="/%:@!$&'()*+,;=~-._").lstrip("/")  # //name is another server
    return f"/{quoted}{mark}{quote(query, safe='/%:@!$&()*+,;=~-._?')}"


def _cookies(header: str, name: str) -> list[str]:
    """The cookie's values; there may be one for each path, and other cookies may be malformed."""
    found = []
    for part in header.split(";"):
        if part.strip().startswith(f"{name}="):
            try:
                found += [one.value for one in SimpleCookie(part.strip()).values()]
            except CookieError:
                continue
    return found


def _is_page(scope: Scope) -> bool:
    """Whether a browser wants to show the answer as a page."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and any("text/html" in value for value in _header_values(scope, b"accept"))
    )


def _is_visit(scope: Scope) -> bool:
    """Whether somebody follows a link on another site to here, which shows a page and changes nothing."""
    return (
        scope["type"] == "http"
        and scope["method"] in _SAFE
        and _header_values(scope, b"sec-fetch-mode") == ["navigate"]
        and _header_values(scope, b"sec-fetch-dest") == ["document"]
    )
