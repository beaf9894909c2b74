"""The one HTTP client: connections, proxies, limits, and reasons in words, against real sockets."""

import os
import socket
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ravenml.common.http_client import HttpClient, TooLarge, TooSlow, Unreachable


class Server(ThreadingHTTPServer):
    """Remembers what it was asked, and over which connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.ports: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        self.server.ports.append(self.client_address[1])
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/drip"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b"x")
                time.sleep(0.02)
            return
        content = b"x" * 5000
        self.send_response(302 if self.path.endswith("/away") else 200)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Type", "Text/Plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:2000] if self.path.endswith(("/cut", "/reset")) else content)
        if self.path.endswith("/reset"):
            self.wfile.flush()
            time.sleep(0.1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.path.endswith(("/cut", "/last", "/reset")):
            self.close_connection = True

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_requests_share_a_connection(server: Server) -> None:
    client = HttpClient(server.url)
    for _ in range(3):
        assert client.request("POST", "/x", b"body").content == b"x" * 5000
    assert len(set(server.ports)) == 1


def test_without_kept_connections_each_request_has_its_own(server: Server) -> None:
    client = HttpClient(server.url, keep_connections=False)
    for _ in range(2):
        client.request("GET", "/x")
    assert len(set(server.ports)) == 2


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(server: Server) -> None:
    client = HttpClient(server.url)
    for _ in range(3):
        assert client.request("GET", "/last").ok
        time.sleep(0.05)
    assert len(set(server.ports)) == 3


def test_a_forked_process_uses_connections_of_its_own(server: Server) -> None:
    client = HttpClient(server.url)
    client.request("GET", "/x")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.request("GET", "/x").ok else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert client.request("GET", "/x").ok
    assert server.ports[0] == server.ports[2] != server.ports[1]


def test_a_redirect_is_not_followed(server: Server) -> None:
    response = HttpClient(server.url).request("GET", "/away")
    assert (response.status, response.ok) == (302, False)
    assert response.headers["location"] == "http://127.0.0.1:9/"


def test_the_media_type_is_without_parameters_and_in_lower_case(server: Server) -> None:
    assert HttpClient(server.url).request("GET", "/x").media_type == "text/plain"


def test_an_answer_that_is_cut_short_is_none(server: Server) -> None:
    with pytest.raises(Unreachable):
        HttpClient(server.url).request("GET", "/cut")


def test_a_request_whose_answer_has_begun_is_not_sent_again(server: Server) -> None:
    with pytest.raises(Unreachable):
        HttpClient(server.url).request("POST", "/reset", b"body")
    assert len(server.requests) == 1


def test_an_answer_is_not_read_beyond_its_limits(server: Server) -> None:
    client = HttpClient(server.url)
    with pytest.raises(TooLarge):
        client.request("GET", "/x", max_bytes=4999)
    assert client.request("GET", "/x", max_bytes=5000).ok
    began = time.monotonic()
    with pytest.raises(TooSlow):
        client.request("GET", "/drip", limit=0.2)
    assert time.monotonic() - began < 5


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = HttpClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Unreachable, match=r"^timed out$"):
            client.request("GET", "/", timeout=0.1)


def test_reasons_are_those_of_the_operating_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=r"^Connection refused$"):
        HttpClient(f"http://127.0.0.1:{port}").request("GET", "/")


def test_the_users_proxy_is_asked_unless_it_must_not_be(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("no_proxy", "intranet.example")
    assert HttpClient("http://elsewhere.example").request("GET", "/x").ok
    _, asked, headers = server.requests[0]
    assert asked == "http://elsewhere.example/x"
    assert headers["proxy-authorization"] == f"Basic {b64encode(b'me:p@ss').decode()}"
    with serving() as other:
        assert HttpClient(other.url, use_proxies=False).request("GET", "/x").ok
        assert len(other.requests) == 1 and len(server.requests) == 1


def test_a_proxy_for_everything_else_gets_no_requests(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert HttpClient(server.url).request("GET", "/x").ok


@pytest.mark.parametrize("but", ["127.0.0.1", "127.0.0.1:{port}"])
def test_a_server_that_needs_no_proxy_is_asked_itself(
    server: Server, but: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", but.format(port=server.server_address[1]))
    assert HttpClient(server.url).request("GET", "/x").ok


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:9", "http://proxy:abc", "http://me:пароль@127.0.0.1:9"]
)
def test_a_proxy_that_cannot_be_used_is_told_like_one_that_is_not_there(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    client = HttpClient("http://elsewhere.example")
    with pytest.raises(Unreachable):
        client.request("GET", "/x")
