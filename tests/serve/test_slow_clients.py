"""Clients that send slowly, without end, too much at once, or read nothing: they take nobody's place."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from as_user import PATIENCE, wait_for, within
from listening import listening
from serving import TOKEN, Tints, ask, picture, post, serving

from ravenml.serve import connections
from ravenml.serve.access import Access
from ravenml.serve.admission import AdmissionControl, Limits
from ravenml.serve.security import Guard


@contextmanager
def connected(access: Access, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which something was sent."""
    with socket.create_connection(("127.0.0.1", access.port), PATIENCE) as opened:
        opened.sendall(sent)
        yield opened


def head(access: Access, *headers: str, line: str = "POST /predict") -> bytes:
    """The beginning of a request with the token."""
    own = [f"Host: 127.0.0.1:{access.port}", f"Authorization: Bearer {TOKEN}", *headers]
    return "\r\n".join([f"{line} HTTP/1.1", *own, "", ""]).encode()


def answer(opened: socket.socket) -> bytes:
    """All that comes until the server closes the connection; what it cut off counts as nothing."""
    found = bytearray()
    try:
        while part := opened.recv(2**20):
            found += part
    except ConnectionResetError:
        pass
    return bytes(found)


def status(opened: socket.socket) -> int:
    """The status of the next answer."""
    return int(opened.recv(65536).split()[1])


async def greet(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body and says how long it was; ``/at-once`` answers without reading it."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    count, more = 0, scope["path"] != "/at-once"
    while more:
        message = await receive()
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"x" * (2**25 if scope["path"] == "/much" else 0) + f"{scope['path']} {count}".encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


@contextmanager
def greeting(patience: float = 10.0) -> Iterator[Access]:
    """A server of nothing, behind the guard."""
    with listening(lambda access: Guard(greet, access, patience=patience), TOKEN) as access:
        yield access


# --- requests that are on their way take no place ---------------------------------------------------


def test_64_clients_that_send_4_of_50_000_bytes_take_nobody_s_place() -> None:
    with serving(Tints(), limits=Limits(queue=4, deadline=3.0)) as server, ExitStack() as slow:
        begun = head(server, "Content-Length: 50000") + picture()[:4]
        waiting = [slow.enter_context(connected(server, begun)) for _ in range(64)]
        with within(2.5):
            assert [post(server, picture()).status for _ in range(4)] == [200] * 4
        assert {status(one) for one in waiting} == {408}


def test_a_body_that_never_ends_is_given_up_at_the_deadline() -> None:
    with serving(Tints(), limits=Limits(deadline=0.4)) as server:
        with connected(server, head(server, "Content-Length: 1000") + picture()[:50]) as opened:
            assert opened.recv(4096).startswith(b"HTTP/1.1 408 ")
        with connected(server, head(server, "Transfer-Encoding: chunked")) as opened:
            end = time.monotonic() + 5
            opened.settimeout(0.01)
            found = b""
            while not found and time.monotonic() < end:
                opened.sendall(b"4\r\nabcd\r\n")
                try:
                    found = opened.recv(4096)
                except TimeoutError:
                    continue
            assert found.startswith(b"HTTP/1.1 408 ") and b"has not arrived within 0.4 s" in found
        assert post(server, picture()).status == 200


def test_a_body_has_to_come_at_a_minimum_rate_whatever_the_server_does_with_it() -> None:
    with greeting(patience=0.3) as server:
        with connected(server, head(server, "Content-Length: 1000") + b"abcd") as opened:
            assert status(opened) == 408
        with connected(server, head(server, "Content-Length: 4") + b"ab") as opened:
            time.sleep(0.1)
            opened.sendall(b"cd")  # slow, and still in time
            assert b"/predict 4" in opened.recv(4096)


def test_the_bytes_of_all_requests_inside_are_bounded() -> None:
    limits = Limits(deadline=PATIENCE, max_bytes=100_000)  # 400,000 in all
    with serving(Tints(), limits=limits) as server, ExitStack() as begun:
        part = head(server, "Content-Length: 99000") + bytes(98_000)
        for _ in range(4):
            begun.enter_context(connected(server, part))
        rest = bytes(9_000)
        wait_for(lambda: post(server, rest).status == 503)
        refused = post(server, rest)
        assert "busy" in refused.said and 1 <= int(refused.headers["Retry-After"]) <= PATIENCE
        begun.close()  # they are gone, and their bytes with them
        wait_for(lambda: post(server, picture()).status == 200)
        assert post(server, rest).status == 415


@pytest.mark.parametrize(("deadline", "longest"), [(0.5, 0), (3.0, 3), (30.0, 30), (600.0, 60)])
def test_who_is_to_come_again_is_not_told_a_time_past_the_deadline(deadline: float, longest: int) -> None:
    admission = AdmissionControl(Limits(queue=10_000, deadline=deadline))
    assert admission.estimate_wait() == min(1, longest)
    admission.record_answers(1)
    with admission.reserve_images(9_999):
        assert admission.estimate_wait() == longest


# --- connections --------------------------------------------------------------------------------------


def test_a_head_that_comes_too_slowly_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with greeting() as server, ExitStack() as slow:
        whole = head(server, line="GET /")
        silent, begun, again = (
            slow.enter_context(connected(server, sent)) for sent in (b"", whole[:40], whole + whole[:40])
        )
        with within(5):
            assert answer(silent) == b"" and answer(begun) == b"" and answer(again).endswith(b"/ 0")


def test_a_head_may_be_large_and_not_larger() -> None:
    with greeting() as server:
        with connected(server, head(server, f"X: {'x' * 60_000}", line="GET /")) as opened:
            assert status(opened) == 200
        for endless in (b"X: ", b"GET /", b"X" * 100):
            with connected(server, b"GET / HTTP/1.1\r\n" if endless != b"GET /" else b"") as opened:
                try:
                    opened.sendall(endless)
                    for _ in range(1000):  # 64 MB in all
                        opened.sendall(b"x" * 2**16)
                except ConnectionError:
                    continue
                assert answer(opened)[:13] in (b"", b"HTTP/1.1 400 ")
        with connected(server, head(server, *["A: b"] * 20_000, line="GET /")) as opened:
            assert status(opened) == 400


def test_the_connection_that_was_idle_longest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 16)
    with greeting() as server, ExitStack() as idle:
        opened = [idle.enter_context(connected(server)) for _ in range(16)]
        time.sleep(0.1)
        opened[0].sendall(head(server, line="GET /"))
        assert status(opened[0]) == 200
        for _ in range(4):
            with connected(server, head(server, line="GET /")) as new:
                assert status(new) == 200
        assert answer(opened[1]) == b""
        opened[0].sendall(head(server, line="GET /"))  # it was used since
        assert status(opened[0]) == 200


def test_nobody_who_is_being_answered_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 16)
    with greeting(PATIENCE) as server, ExitStack() as busy:
        part = head(server, "Content-Length: 5") + b"abcd"
        opened = [busy.enter_context(connected(server, part)) for _ in range(16)]
        time.sleep(1.0)  # until the server has read them
        with connected(server) as new:
            found = answer(new)
        assert found.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in found
        for one in opened:
            one.sendall(b"e")
            assert b"/predict 5" in one.recv(4096)


def test_requests_in_a_row_are_answered_in_their_order_and_a_flood_of_them_is_refused() -> None:
    with greeting() as server:
        few = b"".join(head(server, line=f"GET /{number}") for number in range(8))
        with connected(server, few + head(server, "Connection: close", line="GET /last")) as opened:
            found = answer(opened)
        assert [found.index(f"/{number} 0".encode()) for number in range(8)] == sorted(
            found.index(f"/{number} 0".encode()) for number in range(8)
        )
        with connected(server) as opened:
            opened.sendall(head(server, line="GET /") * 1000)
            assert answer(opened).count(b"200 OK") < 100
        with connected(server, head(server, line="GET /")) as opened:
            assert status(opened) == 200


def test_an_answer_that_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    monkeypatch.setattr(connections, "SLOWEST", 2**24)
    with greeting() as server:
        with connected(server, head(server, line="GET /much")) as opened:
            time.sleep(4)
            assert len(answer(opened)) < 2**25
        with connected(server, head(server, "Connection: close", line="GET /much")) as opened:
            assert len(answer(opened)) > 2**25


def test_what_is_left_of_an_answered_request_is_read_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    with greeting() as server:
        with connected(server, head(server, "Content-Length: 9000000", line="POST /at-once")) as opened:
            opened.sendall(bytes(9_000_000))  # longer than what waits between the two
            assert status(opened) == 200
            opened.sendall(head(server, line="GET /next"))
            assert b"/next 0" in opened.recv(4096)
        with (
            connected(server, head(server, "Transfer-Encoding: chunked", line="POST /at-once")) as opened,
            within(10),
            pytest.raises(ConnectionError),
        ):
            while True:
                opened.sendall(b"4\r\nabcd\r\n")
                time.sleep(0.01)


def test_while_slow_clients_wait_everything_else_is_answered() -> None:
    with serving(Tints()) as server, ExitStack() as slow:
        for sent in (
            b"",
            b"GET",
            head(server, "Content-Length: 10"),
            head(server, "Transfer-Encoding: chunked"),
        ):
            for _ in range(20):
                slow.enter_context(connected(server, sent))
        with within(1):
            assert ask(server, "/healthz").status == 200 and post(server, picture()).status == 200
