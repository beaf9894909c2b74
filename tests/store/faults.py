"""A proxy between a client and an S3 server that spoils requests and answers on purpose.

It reads one request whole, asks ``fault`` what to do with it, and passes it on over a connection of its own.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import quote_plus

Fault = Callable[[str, str, int], str | None]  # method, path with query, how many requests came before


def never(method: str, path: str, number: int) -> str | None:
    """No fault at all."""
    return None


def sometimes(share: float, *kinds: str, seed: int = 0) -> Fault:
    """One of ``kinds`` with the probability ``share``."""
    chance, lock = random.Random(seed), threading.Lock()

    def fault(method: str, path: str, number: int) -> str | None:
        with lock:
            return chance.choice(kinds) if chance.random() < share else None

    return fault


PAGE = b"<!DOCTYPE html><html><body><h1>Welcome</h1><p>Sign in to use this network.</p></body></html>"
# What becomes of an answer's body; the kinds of a garbled listing are meant for listings alone.
GARBLED_LISTINGS: dict[str, Callable[[bytes], bytes]] = {
    "web page": lambda content: PAGE,
    "nothing": lambda content: b"",
    "error in 200": lambda content: b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>",
    "half a page": lambda content: content[: len(content) // 2],
    "other document": lambda content: b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
    "odd sizes": lambda content: re.sub(rb"<Size>.*?</Size>", b"<Size>many</Size>", content),
    "no sizes": lambda content: re.sub(rb"<Size>.*?</Size>", b"", content),
    "no times": lambda content: re.sub(rb"<LastModified>.*?</LastModified>", b"", content),
    "odd times": lambda content: re.sub(rb"(<LastModified>).*?<", rb"\1soon<", content),
    "no etags": lambda content: re.sub(rb"<ETag>.*?</ETag>", b"", content),
    "no keys": lambda content: re.sub(rb"<Key>.*?</Key>", b"", content),
    "other keys": lambda content: re.sub(rb"<Key>", b"<Key>other/", content),
    "key twice": lambda content: re.sub(rb"(?s)(<Contents>.*?</Contents>)", rb"\1\1", content, count=1),
    "key left out": lambda content: re.sub(rb"(?s)<Contents>.*?</Contents>", b"", content, count=1),
    "no end": lambda content: re.sub(
        rb"<IsTruncated>.*?</IsTruncated>", b"<IsTruncated>true</IsTruncated>", content
    ),
}
GARBLED_ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    **{kind: GARBLED_LISTINGS[kind] for kind in ("web page", "nothing", "error in 200", "half a page")},
    "wrong sizes": lambda content: re.sub(rb"<Size>(\d+)</Size>", rb"<Size>1\1</Size>", content),
}


AMAZONS: dict[str, Callable[[bytes], bytes]] = {
    "encoded": lambda content: re.sub(
        rb"<Key>(.*?)</Key>",
        lambda found: b"<Key>%s</Key>" % quote_plus(found[1]).encode(),
        content.replace(b"<IsTruncated>", b"<EncodingType>url</EncodingType><IsTruncated>"),
    )
}


class FaultProxy:
    """Spoils what ``fault`` says.

    The kinds: ``refuse`` (no answer at all), ``cut`` (the connection ends in the middle of what is sent),
    ``lost`` (the server did it, its answer gets lost), ``truncate`` (half of the answer's body arrives),
    ``corrupt`` (a byte of what is sent is another), ``corrupt answer``, ``wrong checksum`` (that of the
    object is another), ``loud checksum`` (the name of its header has capitals), ``slow down`` (503 SlowDown),
    ``error`` (500), ``CODE STATUS`` (any other error of S3's), ``sign in`` (a redirection to a page
    elsewhere), ``too long`` and ``too short`` (the answer's Content-Length is another), ``drip`` (the answer
    takes two seconds), ``no HTTP`` (an answer that is none),
    those of GARBLED_LISTINGS and GARBLED_ANSWERS, and ``encoded`` (a listing of unfinished uploads as
    Amazon answers ``encoding-type=url``, which moto does not know there).

    Attributes:
        fault: may be changed at any time.
        seen: ``METHOD path`` of every request.
        spoiled: how many were.
        hold: while it is not set, requests wait.
        refuses: a header line, in small letters, whose requests are answered with BadDigest.
    """

    def __init__(self, server: str, fault: Fault = never) -> None:
        host, _, port = server.partition(":")
        self._server = (host, int(port))
        self.fault = fault
        self.seen: list[str] = []
        self.spoiled = 0
        self.hold = threading.Event()
        self.hold.set()
        self.refuses = b"\0"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._closed = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while self._one(client):
                pass

    def _one(self, client: socket.socket) -> bool:
        """Pass one request on; False ends the connection."""
        head, body = _read_head(client)
        if not head:
            return False
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        with self._lock:
            number = len(self.seen)
            self.seen.append(f"{method} {path}")
        self.hold.wait()
        kind = self.fault(method, path, number)
        if self.refuses in head.lower():
            kind = "BadDigest 400"
        if kind is not None:
            with self._lock:
                self.spoiled += 1
        length = int(_header(head, b"content-length") or 0)
        if kind == "refuse":
            return False
        if _header(head, b"expect"):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        stop_at = length // 2 if kind == "cut" else length
        while len(body) < stop_at and (more := client.recv(1 << 18)):
            body += more
        if kind == "cut":
            return False
        if kind == "slow down":
            return _answer(client, 503, "SlowDown")
        if kind == "error":
            return _answer(client, 500, "InternalError")
        if kind == "sign in":
            client.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/\r\nContent-Length: 0\r\n\r\n"
            )
            return False
        if kind == "no HTTP":
            client.sendall(b"\x00\x15SSH-2.0-OpenSSH_9.6\r\n")
            return False
        if kind is not None and kind.rpartition(" ")[2].isdigit():
            code, _, status = kind.rpartition(" ")
            return _answer(client, int(status), code)
        if kind == "corrupt" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        with socket.create_connection(self._server) as server:
            head = b"\r\n".join(
                line
                for line in head.split(b"\r\n")
                if not line.lower().startswith((b"connection", b"expect"))
            )
            server.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) + body)
            answer = b""
            while more := server.recv(1 << 18):
                answer += more
        if kind == "lost":
            return False
        top, _, content = answer.partition(b"\r\n\r\n")
        if kind == "truncate" and content:
            client.sendall(top + b"\r\n\r\n" + content[: len(content) // 2])
            return False
        if kind == "corrupt answer" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if kind is not None and (garble := (GARBLED_LISTINGS | GARBLED_ANSWERS | AMAZONS).get(kind)):
            content = garble(content)
            top = _with_length(top, len(content))
            if content == PAGE:
                top = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d" % len(PAGE)
        if kind == "wrong checksum":
            top = re.sub(rb"(?i)(x-amz-meta-ravenml-crc32: *)[^\r]*", rb"\g<1>0123abcd", top)
        if kind == "loud checksum":
            top = re.sub(rb"(?i)x-amz-meta-ravenml-crc32", b"X-Amz-Meta-Ravenml-Crc32", top)
        if kind in ("too long", "too short"):
            top = _with_length(top, len(content) * 2 + 1 if kind == "too long" else len(content) // 2)
        if kind == "drip":
            for begin in range(0, len(content), step := len(content) // 10 + 1):
                client.sendall((top + b"\r\n\r\n") * (begin == 0) + content[begin : begin + step])
                time.sleep(0.2)
            return False
        client.sendall(top + b"\r\n\r\n" + content)
        return False


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    content = b""
    while b"\r\n\r\n" not in content:
        more = client.recv(1 << 16)
        if not more:
            return b"", b""
        content += more
    head, _, body = content.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def _with_length(top: bytes, length: int) -> bytes:
    return re.sub(rb"(?i)(\r\ncontent-length: *)\d+", rb"\g<1>%d" % length, top)


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


def _answer(client: socket.socket, status: int, code: str) -> bool:
    content = f"<Error><Code>{code}</Code><Message>said the test</Message></Error>".encode()
    client.sendall(
        f"HTTP/1.1 {status} Fault\r\nContent-Length: {len(content)}\r\nContent-Type: application/xml\r\n"
        "x-amz-bucket-region: eu-central-1\r\nConnection: close\r\n"
        f"Date: Fri, 01 Jan 2021 00:00:00 GMT\r\n\r\n".encode()
        + content
    )
    return False
