"""Who is let through to a server of ravenML, over a real connection."""

from __future__ import annotations

import http.client
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("uvicorn", reason="the extra ravenml[serve] is not installed")
from as_user import PATIENCE, in_a_loop
from listening import listening

from ravenml.errors import InputError
from ravenml.serve.access import Access, choose_token, cookie_name, listen, token_source
from ravenml.serve.security import Guard

TOKEN = "a-secret-of-sixteen-or-more"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what was asked for; over a WebSocket it says hello."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body", False)
    said = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()} {len(body)}".encode()
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module")
def server() -> Iterator[Access]:
    with listening(lambda access: Guard(echo, access, max_body=1000), TOKEN) as access:
        yield access


@pytest.fixture(scope="module")
def open_server() -> Iterator[Access]:
    """One that was started with --no-token."""
    with listening(lambda access: Guard(echo, access), None, names=("proxy.example",)) as access:
        yield access


def ask(
    access: Access, path: str = "/", method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer; ``sec_fetch_site`` stands for the header of that name."""
    connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=PATIENCE)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


BEARER = {"authorization": f"Bearer {TOKEN}"}


def test_without_the_token_a_program_gets_a_sentence_and_a_browser_a_page(server: Access) -> None:
    status, headers, text = ask(server)
    assert status == 401 and text.startswith('{"detail": "A token is needed: open the address')
    assert headers["www-authenticate"].startswith("Bearer") and headers["cache-control"] == "no-store"
    status, headers, text = ask(server, accept="text/html,*/*")
    assert status == 401 and headers["content-type"].startswith("text/html") and "A token is needed" in text
    assert ask(server, "/?token=wrong", accept="text/html")[0] == 401
    assert ask(server, authorization="Bearer wrong")[0] == 401
    assert ask(server, authorization=f"Basic {TOKEN}")[0] == 401


def test_a_program_sends_the_token_as_a_header_or_in_the_address(server: Access) -> None:
    assert ask(server, "/a?b=1", **BEARER)[2] == "GET /a?b=1 0"
    assert ask(server, f"/a?token={TOKEN}&b=1")[2] == "GET /a?b=1 0"


def test_a_browser_is_sent_on_to_the_address_without_the_token_and_keeps_a_cookie(server: Access) -> None:
    assert server.address == f"http://127.0.0.1:{server.port}/?token={TOKEN}"
    status, headers, _ = ask(server, f"/run/1%20a?x=%26&token={TOKEN}", accept="text/html")
    assert (status, headers["location"]) == (303, "/run/1%20a?x=%26")
    cookie, *attributes = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
    assert TOKEN not in cookie and cookie.startswith(f"ravenml-{server.port}=")
    assert headers["cache-control"] == "no-store"
    assert ask(server, headers["location"], cookie=f"other=x y; {cookie}")[0] == 200
    assert ask(server, cookie=f"{cookie}x")[0] == 401
    assert ask(server, cookie=f"ravenml-1={cookie.partition('=')[2]}")[0] == 401  # another server's


def send_token(access: Access, **fields: str) -> tuple[int, dict[str, str], str]:
    """What the form of the page that asks for the token sends."""
    kind = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html"}
    own = {"origin": f"http://127.0.0.1:{access.port}", "sec_fetch_site": "same-origin"}
    return ask(access, "/_token", "POST", urlencode(fields), **(kind | own))


def test_a_page_asks_for_the_token_and_leads_on_to_where_one_wanted_to_go(server: Access) -> None:
    _, headers, page = ask(server, "/run/1%20a?x=%26&token=old", accept="text/html")
    assert 'name="next" value="/run/1%20a?x=%26"' in page and 'type="password"' in page and "old" not in page
    assert "form-action 'self'" in headers["content-security-policy"]
    status, headers, _ = send_token(server, token=f" {TOKEN} ", next="/run/1%20a?x=%26")
    assert (status, headers["location"]) == (303, "/run/1%20a?x=%26")
    cookie, *attributes = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes) and TOKEN not in cookie
    assert ask(server, headers["location"], cookie=cookie)[0] == 200
    status, headers, page = send_token(server, token="wrong", next='/"><script>')
    assert status == 401 and "This is not the token" in page and "<script>" not in page
    assert "set-cookie" not in headers and headers["cache-control"] == "no-store"
    assert send_token(server)[0] == 401
    assert send_token(server, token=TOKEN, next="é" * 20_000)[0] == 413


def test_the_page_s_form_leads_to_this_server_alone_and_is_taken_from_it_alone(server: Access) -> None:
    for target in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a\r\nset-cookie: b",
        "\t//e",
    ):
        place = send_token(server, token=TOKEN, next=target)[1]["location"]
        assert place.startswith("/") and not place.startswith("//"), place
        assert not set(place) & set("\\\r\n\t"), place
    body, path = urlencode({"token": TOKEN}), "/_token"
    assert ask(server, path, "POST", body, origin="http://evil.example")[0] == 403
    assert ask(server, path, "POST", body, sec_fetch_site="cross-site")[0] == 403
    assert ask(server, path, "POST", body, host="evil.example")[0] == 403


def test_two_servers_with_one_token_neither_share_a_cookie_nor_log_each_other_out(server: Access) -> None:
    """Browsers send a host's cookies to all its ports."""
    with listening(lambda access: Guard(echo, access), TOKEN) as other:
        jar = {}
        for one in (server, other):
            _, headers, _ = ask(one, f"/?token={TOKEN}", accept="text/html")
            name, _, value = headers["set-cookie"].partition(";")[0].partition("=")
            jar[name] = value
        both = "; ".join(f"{name}={value}" for name, value in jar.items())
        assert ask(server, cookie=both)[0] == ask(other, cookie=both)[0] == 200
        mine, theirs = jar.values()
        assert mine != theirs
        assert ask(other, cookie=f"ravenml-{other.port}={mine}")[0] == 401
        assert ask(server, host="localhost:9000", cookie=f"ravenml-9000={theirs}")[0] == 401


def test_a_browser_that_has_the_cookie_may_come_with_an_old_address(server: Access) -> None:
    assert ask(server, "/?token=old", accept="text/html", cookie=f"ravenml-{server.port}={server.cookie}")[
        2
    ] == ("GET /? 0")


def test_a_browser_is_never_sent_on_to_another_server(server: Access) -> None:
    for path in ("//evil.example", "/\\evil.example", "///evil.example/"):
        _, headers, _ = ask(server, f"{path}?token={TOKEN}", accept="text/html")
        place = headers["location"]
        assert place.startswith("/") and not place.startswith("//") and "\\" not in place


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost@evil", ""])
def test_another_host_is_refused_even_with_the_token(server: Access, host: str) -> None:
    status, _, text = ask(server, host=host, **BEARER)
    assert status == 403 and "does not accept the host name" in text and "--allow-host" in text


def test_its_own_names_are_known_whatever_the_port_for_there_are_tunnels(server: Access) -> None:
    for host in ("localhost:9000", "127.0.0.1", "[::1]:9000", "LOCALHOST", "localhost."):
        assert ask(server, host=host, **BEARER)[0] == 200


def test_through_a_tunnel_the_cookie_has_the_name_of_the_tunnel_s_port(server: Access) -> None:
    _, headers, _ = ask(server, f"/?token={TOKEN}", host="localhost:9000", accept="text/html")
    assert headers["set-cookie"].startswith("ravenml-9000=")
    assert cookie_name("localhost") == "ravenml-default"


def test_another_origin_is_refused_even_with_the_token(server: Access) -> None:
    own = f"http://127.0.0.1:{server.port}"
    assert ask(server, method="POST", origin=own, **BEARER)[0] == 200
    for origin in ("http://evil.example", f"http://127.0.0.1:{server.port + 1}", "null", "http://[", ""):
        status, _, text = ask(server, method="POST", origin=origin, **BEARER)
        assert status == 403 and "Cross-site requests" in text, origin


def test_what_another_site_embeds_is_refused_and_what_it_links_to_is_shown(open_server: Access) -> None:
    embedded = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    linked = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    framed = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    for site in ("cross-site", "same-site"):  # another port of this machine is the same site
        assert ask(open_server, sec_fetch_site=site, **embedded)[0] == 403
        assert ask(open_server, sec_fetch_site=site, **framed)[0] == 403
        assert ask(open_server, method="POST", sec_fetch_site=site, **linked)[0] == 403
        assert ask(open_server, sec_fetch_site=site, **linked)[0] == 200
    assert ask(open_server, sec_fetch_site="same-origin", **embedded)[0] == 200


def test_without_a_token_host_and_origin_are_checked_all_the_same(open_server: Access) -> None:
    assert open_server.address == f"http://127.0.0.1:{open_server.port}/"
    assert ask(open_server)[0] == 200
    assert ask(open_server, host="evil.example")[0] == 403
    assert ask(open_server, origin="http://evil.example")[0] == 403


def test_a_name_that_was_allowed_is_known_as_host_and_as_a_proxy_s_origin(open_server: Access) -> None:
    assert ask(open_server, host="proxy.example")[0] == 200
    assert ask(open_server, method="POST", origin="https://proxy.example")[0] == 200
    assert ask(open_server, host="other.proxy.example")[0] == 403


def test_every_answer_bears_the_headers_of_safety(server: Access) -> None:
    for headers in (ask(server, **BEARER)[1], ask(server)[1], ask(server, host="evil.example")[1]):
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src" in headers["content-security-policy"]


def test_the_token_is_in_no_log(server: Access, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("uvicorn.access")
    logger.addHandler(caplog.handler)
    try:
        ask(server, f"/logged?token={TOKEN}")
    finally:
        logger.removeHandler(caplog.handler)
    assert "/logged" in caplog.text and TOKEN not in caplog.text


def test_a_body_that_is_too_large_is_refused_however_it_comes(server: Access) -> None:
    assert ask(server, method="POST", body=b"x" * 1000, **BEARER)[2].endswith(" 1000")
    assert ask(server, method="POST", body=b"x" * 1001, **BEARER)[0] == 413
    pieces = iter([b"x" * 600, b"x" * 600])
    status, _, text = ask(server, method="POST", body=pieces, **BEARER)
    assert status == 413 and "at most 1000 bytes" in text


def shake_hands(access: Access, query: str = "", **headers: str) -> str:
    """What the server says over a WebSocket; raises InvalidStatus where it is refused."""
    from websockets.asyncio.client import connect

    async def talk() -> str:
        place = f"ws://127.0.0.1:{access.port}/live{query}"
        async with connect(place, additional_headers=headers, proxy=None) as socket:
            return str(await socket.recv())

    return in_a_loop(talk())


def test_a_websocket_needs_the_token_and_the_right_origin_too(server: Access) -> None:
    from websockets.exceptions import InvalidStatus

    own = f"http://127.0.0.1:{server.port}"
    cookie = f"ravenml-{server.port}={server.cookie}"
    assert shake_hands(server, Cookie=cookie, Origin=own) == "hello"
    assert shake_hands(server, query=f"?token={TOKEN}") == "hello"
    assert shake_hands(server, **BEARER) == "hello"
    for wrong in (
        {},
        {"Cookie": cookie, "Origin": "http://evil.example"},
        {"Cookie": cookie, "Origin": "null"},
    ):
        with pytest.raises(InvalidStatus):
            shake_hands(server, **wrong)


# --- where the token comes from, and where a server listens ----------------------------------------


def test_the_token_comes_from_the_environment_or_a_file_or_by_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = choose_token()
    assert made is not None and len(made) == 48 and made != choose_token()
    assert choose_token(none=True) is None
    monkeypatch.setenv("RAVENML_TOKEN", TOKEN)
    assert choose_token() == TOKEN
    file = tmp_path / "token"
    file.write_text("another-secret-in-a-file\n")
    assert choose_token(file=file) == "another-secret-in-a-file"
    monkeypatch.delenv("RAVENML_TOKEN")
    monkeypatch.setenv("RAVENML_TOKEN_FILE", str(file))
    assert choose_token() == "another-secret-in-a-file"


def test_the_home_keeps_a_token_of_each_kind_of_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = choose_token(kept="dashboard"), choose_token(kept="serve")
    assert mine is not None and len(mine) == 48 and mine != theirs
    assert choose_token(kept="dashboard") == mine  # after a restart
    file = home / "tokens" / "dashboard"
    assert file.read_text() == mine and token_source(kept="dashboard") == f"in {file}"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("RAVENML_TOKEN", TOKEN)
    assert choose_token(kept="dashboard") == TOKEN and file.read_text() == mine
    monkeypatch.delenv("RAVENML_TOKEN")

    file.chmod(0o644)  # somebody else may have read it
    renewed = choose_token(kept="dashboard")
    assert renewed not in (mine, None) and file.stat().st_mode & 0o777 == 0o600
    secret = home / "secret"
    secret.write_text("a-secret-of-sixteen-or-more")
    secret.chmod(0o600)
    file.unlink()
    file.symlink_to(secret)
    assert choose_token(kept="dashboard") not in (renewed, secret.read_text()) and not file.is_symlink()
    file.write_text("short")
    assert len(choose_token(kept="dashboard") or "") == 48


def test_a_token_that_is_easily_guessed_or_unreadable_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAVENML_TOKEN", "abc")
    with pytest.raises(InputError, match="RAVENML_TOKEN: a token has at least 16 characters, this one has 3"):
        choose_token()
    monkeypatch.setenv("RAVENML_TOKEN", "a secret with spaces in it")
    with pytest.raises(InputError, match="no spaces"):
        choose_token()
    with pytest.raises(InputError, match="cannot be read"):
        choose_token(file=tmp_path / "missing")


def test_a_server_that_listens_to_others_knows_the_machine_s_names_and_numbers() -> None:
    import socket

    access = Access(TOKEN, "0.0.0.0", 8000)
    assert (
        access.knows(socket.gethostname()) and access.knows("192.168.7.7:8000") and access.knows("[fd00::1]")
    )
    assert not access.knows("evil.example")
    assert socket.gethostname() in access.address


def test_a_port_that_is_taken_is_told_and_the_usual_one_gives_way_to_the_next() -> None:
    with listen("127.0.0.1", 0, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=f"--port {port}: 127.0.0.1 cannot listen there: Address already"
        ):
            listen("127.0.0.1", port, 8000)
        with listen("127.0.0.1", None, port) as other:
            assert port < other.getsockname()[1] < port + 20
    with pytest.raises(InputError, match="not a name or address of this machine"):
        listen("no.such.host.invalid", 0, 8000)
    with pytest.raises(InputError, match=r"192[.]0[.]2[.]1 is not a name or address of this machine"):
        listen("192.0.2.1", None, 8000)  # an address that is nobody's


def test_an_address_for_a_command_line_lets_one_visitor_in() -> None:
    """Everybody on the machine can read the command line of the browser that is opened."""
    with listening(lambda access: Guard(echo, access), TOKEN) as access:
        once = access.address_once().partition(str(access.port))[2]
        assert TOKEN not in once and ask(access, once)[0] == 401  # a program sends the token
        status, headers, _ = ask(access, once, accept="text/html")
        assert (status, headers["location"]) == (303, "/")
        assert ask(access, cookie=headers["set-cookie"].partition(";")[0])[0] == 200
        assert ask(access, once, accept="text/html")[0] == 401


def test_and_only_within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access(TOKEN)
    code = access.address_once().partition("token=")[2]
    assert access.accepts_once(code) and not access.accepts_once("other")
    later = time.monotonic() + 61
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert not access.accepts_once(code)
    assert Access(None).address_once() == "http://127.0.0.1:8000/"
