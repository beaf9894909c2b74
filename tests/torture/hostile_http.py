"""Hostile requests over raw connections leave `raven serve` and the dashboard up, quick and small.

A trial is a batch of one kind against one of the two.  No answer may be a 500, nothing may be logged as an
error, and a good request is answered within 2 seconds afterwards.
"""

from __future__ import annotations

import io
import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from torture.mutate import WRONG, mutate, mutate_bytes, mutate_document, mutate_text
from torture.servers import TOKEN, Server, dashboard, patience, picture, predicts, serving

TRIALS = 1500  # of `BATCH` requests: 12,000
SECONDS_PER_TRIAL = 60
BATCH = 8
GROWTH = 1 << 30  # bytes that a server may have more than before
LISTEN = 0.3  # seconds for which an answer is waited for: who sends half a request gets none

MODE = {
    "name": "sliding_window",
    "window": {"width": 16, "height": 16},
    "min_overlap": {"x": 0, "y": 0},
    "model_classes": {"save_classes": ["red"], "add_suffix": "_x"},
    "save_probabilities": False,
}
ANNOTATION = {
    "description": "",
    "tags": [],
    "size": {"height": 20, "width": 30},
    "objects": [
        {"classTitle": "car", "tags": [], "points": {"exterior": [[1, 2], [9, 9]], "interior": []}},
        {"classTitle": "red", "tags": [], "bitmap": {"origin": [0, 0], "data": "eJwLAAAAAP//AwAAAAAB"}},
    ],
}
PATHS = [
    "/predict", "/healthz", "/model", "/metrics", "/docs", "/page.js", "/openapi.json", "/", "/runs",
    "/runs/compare",
    "/runs/20261121-060000-abcdef", "/runs/20261121-060000-abcdef/files/run.json", "/models", "/models/x",
    "/queues",
    "/train", "/train/new", "/train/x", "/train/x/images/0", "/train/x/augmented/1/0-0.jpg",
    "/models/upload/x",
    "/static/style.css", "/_nicegui/x/y.js", "/_nicegui_ws/socket.io/", "/_nicegui/3.18.0/static/x",
]  # fmt: skip
STEPS = [
    "..", "../..", "%2e%2e", "%252e%252e", "..%2f", "..%5c", "\\..", "....//", "%00", "%ff", "%ed%a0%80",
    "~root",
    "//evil.example", "/etc/passwd", "C:\\x", "nul", "a" * 300, "%0d%0aX: y", ";x", "?", "#", "*", "|id",
    "$(id)",
]  # fmt: skip


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    with serving(folder, "--root", str(folder), "--max-megapixels", "4") as model, dashboard(folder) as pages:
        before = {id(server): server.memory for server in (model, pages)}
        read = {id(server): 0 for server in (model, pages)}  # characters of the log

        def trial(rng: random.Random) -> str:
            server, good = rng.choice([(model, _predicts), (pages, _shows)])
            attack = rng.choice(ON_MODELS if server is model else ON_PAGES)
            with ExitStack() as left_open:
                for _ in range(BATCH):
                    for status in _exchange(server, attack(server, rng), rng, left_open):
                        assert status != 500, (
                            f"{attack.__name__} was answered 500\n{server.log.read_text()[-2000:]}"
                        )
                assert server.process.poll() is None, server.log.read_text()
                good(server)
            grown = server.memory - before[id(server)]
            assert grown < GROWTH, f"it grew by {grown >> 20} MiB"
            printed = server.log.read_text()[read[id(server)] :]
            read[id(server)] += len(printed)
            assert "Traceback" not in printed, f"{attack.__name__}\n{printed[-3000:]}"
            return attack.__name__.strip("_")

        yield trial


def _predicts(server: Server) -> None:
    predicts(server, 2)


def _shows(server: Server) -> None:
    began = time.monotonic()
    status, content = server.get("/runs")
    assert status == 200 and b"Runs" in content
    assert time.monotonic() - began < patience(2)


def _exchange(server: Server, sent: bytes, rng: random.Random, left_open: ExitStack) -> list[int]:
    """Send something, whole or in pieces, and read for a while; the statuses of what came."""
    opened = left_open.enter_context(server.connect())
    found = b""
    with suppress(OSError):
        opened.settimeout(5)
        if rng.random() < 0.2:
            cut = rng.randrange(len(sent) + 1)
            opened.sendall(sent[:cut])
            time.sleep(0.01)
            opened.sendall(sent[cut:])
        else:
            opened.sendall(sent)
        if rng.random() < 0.1:
            opened.shutdown(socket.SHUT_WR)
        opened.settimeout(LISTEN)
        while len(found) < 2**21 and (part := opened.recv(2**16)):
            found += part
    if rng.random() < 0.5:
        if rng.random() < 0.3:  # a reset, as of a machine that is gone
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        opened.close()
    return [
        int(line[9:12]) for line in found.split(b"\r\n") if line[:9] == b"HTTP/1.1 " and line[9:12].isdigit()
    ]


# ---------------------------------------------------------------------------- what is sent


def _request_lines(server: Server, rng: random.Random) -> bytes:
    method = rng.choice(
        ["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PUT", "PRI", "get", "", "G" * 70_000]
    )
    target = rng.choice([
        "*", "", "http://evil.example/", "//evil.example/", "/%zz", "/\x00", "/\u00e9", "evil.example:80",
        "?", "/ /",
        "/" + "a" * rng.choice([100, 70_000]), rng.choice(PATHS), "/" + "?" * 1000, "/" + "%2f" * 500,
    ])  # fmt: skip
    version = rng.choice(
        ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1.1", "", "HTTP/9" * 99]
    )
    end = rng.choice([b"\r\n", b"\n", b"\r", b"\r\r\n"])
    head = server.head("X").partition(b"\r\n")[2]
    return f"{method} {target} {version}".encode() + end + head


def _headers(server: Server, rng: random.Random) -> bytes:
    port = server.port
    odd = [
        f"Host: 127.0.0.1:{port}", "Host: evil.example", "Host:", f"Host: [::1]:{port}",
        f"Host: 127.0.0.1:{port}@x",
        "Content-Length: 5", "Content-Length: 6", "Content-Length: -1", "Content-Length: 1e9",
        "Content-Length: 0x10",
        "Content-Length: 99999999999999999999", "Content-Length: +5", "Content-Length: 5, 5",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding : chunked",
        "Expect: 100-continue", "Expect: 200-ok", "Upgrade: websocket", "Connection: upgrade",
        "Connection: close",
        "Upgrade: h2c", "Origin: null", "Origin: http://[", "Origin: http://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Cookie: " + "a=b; " * 5000, f"Cookie: ravenml-{port}=" + "f" * 64, "Cookie: =;;=\x7f",
        "Accept: text/html",
        "Content-Type: multipart/form-data", "Content-Type: multipart/form-data; boundary=" + "b" * 5000,
        "Content-Type: application/json; charset=utf-7", "Content-Encoding: gzip",
        "Range: bytes=0-,0-,0-,0-,0-",
        "Range: bytes=-99999999999999999999", "If-Modified-Since: x", "If-None-Match: \xff",
        "X-Forwarded-For: ::",
        "X-Forwarded-Proto: https, evil", "X-Forwarded-Host: evil.example", "Accept-Encoding: gzip;q=x",
        " folded: x",
        "A" * 70_000 + ": x", "X: " + "x" * 70_000, "NoColon", ": empty", "X\x00: y", "X: y\x00z",
        "X: \ud800",
    ]  # fmt: skip
    chosen = rng.choices(odd, k=rng.randint(1, 5))
    if rng.random() < 0.05:
        chosen = ["A: b"] * rng.choice([200, 20_000])
    return server.head(f"{rng.choice(['GET', 'POST'])} {rng.choice(PATHS)}", *chosen) + b"hello"


def _chunks(server: Server, rng: random.Random) -> bytes:
    body = b""
    for _ in range(rng.randint(1, 30)):
        data = rng.randbytes(rng.choice([0, 1, 16, 5000]))
        size = rng.choice([
            b"%x" % len(data), b"%x" % (len(data) + 1), b"-1", b"0x5", b"ffffffffffffffff", b"f" * 40, b"",
            b" 5", b"5 ",
            b"%x;%s" % (len(data), b"x" * rng.choice([1, 70_000])), b"\0",
        ])  # fmt: skip
        body += (
            size + rng.choice([b"\r\n", b"\r\n", b"\n"]) + data + rng.choice([b"\r\n", b"\r\n", b"", b"\n"])
        )
    trailer = b"X: y\r\n" * rng.choice([1, 20_000]) if rng.random() < 0.2 else b""
    body += rng.choice([b"0\r\n" + trailer + b"\r\n", b"", b"0\r\n", b"00000\r\n\r\n"])
    return server.head(f"POST {_place(server)}", "Transfer-Encoding: chunked") + body


def _forms(server: Server, rng: random.Random) -> bytes:
    boundary = rng.choice(["cut", "cut", "cut", "", "c" * 300, '"cut"', "cu\x00t", "--", "\xff"])
    names = [
        "image",
        "image",
        "annotation",
        "mode",
        "answer",
        "threshold",
        "window",
        "",
        "_charset_",
        "x" * 5000,
        '"',
    ]
    parts = []
    for _ in range(rng.choice([1, 2, 5, 200])):
        file = rng.choice(
            ["", '; filename="a.png"', "; filename=", '; filename="../../x"', "; filename*=utf-7''x"]
        )
        content = rng.choice(
            [picture(3), json.dumps(ANNOTATION).encode(), b"", b"full_image", rng.randbytes(50)]
        )
        more = rng.choice(
            ["", "Content-Type: text/html\r\n", "Content-Transfer-Encoding: base64\r\n", "X: y\r\n" * 999]
        )
        head = f'Content-Disposition: form-data; name="{rng.choice(names)}"{file}\r\n{more}\r\n'
        parts.append(f"--{boundary}\r\n{head}".encode() + content + b"\r\n")
    body = b"".join(parts) + rng.choice([f"--{boundary}--\r\n".encode(), b"", b"--"])
    if rng.random() < 0.5:
        body = mutate_bytes(rng, body)
    kind = f"Content-Type: multipart/form-data; boundary={boundary}"
    return server.head(f"POST {_place(server)}", kind, f"Content-Length: {len(body)}") + body


def _annotated(server: Server, rng: random.Random) -> bytes:
    body = b""
    for name, content in (("image", picture(3)), ("annotation", mutate_document(rng, ANNOTATION))):
        head = f'--cut\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    mode = quote(json.dumps({"name": "bboxes", "from_classes": rng.choice([["car"], "__all__", [], [3]])}))
    kind = "Content-Type: multipart/form-data; boundary=cut"
    body += b"--cut--\r\n"
    return server.head(f"POST /predict?mode={mode}", kind, f"Content-Length: {len(body)}") + body


def _documents(server: Server, rng: random.Random) -> bytes:
    known = {
        "path": "photo.png",
        "url": "http://127.0.0.1:1/x.png",
        "mode": MODE,
        "threshold": 0.5,
        "classes": ["red"],
    }
    body = mutate_document(rng, known)
    if rng.random() < 0.1:
        body = b'{"a":' * rng.choice([100, 1000, 100_000])
    return (
        server.head(
            f"POST {_place(server)}", "Content-Type: application/json", f"Content-Length: {len(body)}"
        )
        + body
    )


def _parameters(server: Server, rng: random.Random) -> bytes:
    values = [
        ("mode", mutate_text(rng, json.dumps(MODE)).decode("latin-1")), ("mode", json.dumps(mutate(rng,
        MODE))),
        ("mode", '{"a":' * rng.choice([50, 900, 3000]) + "1" + "}" * 3000), ("threshold", rng.choice(["nan",
        "1e999"])),
        ("window", rng.choice(["0", "-1", "9999999", "1x9999999", "٣x٣", "16x16"])), ("overlap", "15x15"),
        ("classes", rng.choice(["red", "\ud800", "x" * 5000, ""])), ("answer", rng.choice(["mask", "x"])),
        ("path", rng.choice([*STEPS, "model.tar", ".", "serve.log"])), ("url",
        rng.choice(["file:///etc/passwd", "x"])),
        ("where", mutate_text(rng, "val/miou > 0.5 and plugin = 'unet'").decode("latin-1")), ("page",
        "9" * 400),
        ("sort", rng.choice(["-x", "\0"])), ("ids", ",".join(["x"] * rng.choice([2, 3000]))), ("from",
        "../../x"),
        ("at", rng.choice(["-1", "x", "9" * 30])), ("token", rng.choice(["", TOKEN, "\ud800"])),
        (str(rng.choice(WRONG)), ""),
    ]  # fmt: skip
    chosen = rng.choices(values, k=rng.choice([1, 2, 4]))
    query = "&".join(
        f"{quote(name, errors='replace')}={quote(value, errors='replace')}" for name, value in chosen
    )
    body = picture(3)
    if server.log.name == "dashboard.log":
        return server.head(f"GET {rng.choice(PATHS)}?{query}", "Accept: text/html")
    return server.head(f"POST /predict?{query}", f"Content-Length: {len(body)}") + body


def _images(server: Server, rng: random.Random) -> bytes:
    pixels = np.full((rng.randint(1, 40), rng.randint(1, 40), 3), 9, np.uint8)
    kind = rng.choice([".png", ".jpg", ".bmp", ".tiff", ".webp"])
    good = bytes(cv2.imencode(kind, pixels)[1])
    body = rng.choice([mutate_bytes(rng, good), _bomb(rng), good[: rng.randrange(len(good))], good * 3])
    query = rng.choice(["", "?answer=overlay", "?mode=sliding_window&window=1&overlap=0", "?threshold=0.5"])
    return server.head(f"POST /predict{query}", f"Content-Length: {len(body)}") + body


def _bomb(rng: random.Random) -> bytes:
    """A small PNG of very many pixels, or one whose header says so."""
    width, height = rng.choice(
        [(65_000, 65_000), (2**31 - 1, 1), (0, 0), (2000, 2000), (1, 2**31 - 1), (10**6, 60)]
    )
    rows = zlib.compress(bytes(min(height * (width // 8 + 1), 2**24)), 9)
    made = io.BytesIO(b"")
    made.write(b"\x89PNG\r\n\x1a\n")
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ):
        made.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
    return made.getvalue()


def _paths(server: Server, rng: random.Random) -> bytes:
    base = rng.choice(PATHS)
    place = (
        "/".join([base, *rng.choices(STEPS, k=rng.randint(1, 4))])
        if rng.random() < 0.7
        else rng.choice(STEPS)
    )
    return server.head(
        f"{rng.choice(['GET', 'HEAD', 'POST'])} {place}", rng.choice(["Accept: text/html", "X: y"])
    )


def _tokens(server: Server, rng: random.Random) -> bytes:
    token = rng.choice(["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e9", "x" * 60_000, "\0", "Bearer"])
    ways = [
        f"Cookie: ravenml-{server.port}={token}", f"Cookie: ravenml-{server.port}={token}; ravenml-1={token}",
        f"Authorization: Basic {token}", f"Authorization: bearer {token}", "Accept: text/html",
    ]  # fmt: skip
    place = f"{rng.choice(PATHS)}?token={quote(token)}&token={quote(token)}"
    answer = server.head(f"GET {place}", *rng.choices(ways, k=2), token=token)
    return answer


def _half_bodies(server: Server, rng: random.Random) -> bytes:
    most = rng.choice([10, 50_000, 2**26, 2**40])
    return server.head(f"POST {_place(server)}", f"Content-Length: {most}") + picture(3)[: rng.randint(0, 9)]


def _large_bodies(server: Server, rng: random.Random) -> bytes:
    size = rng.choice([2**20, 2**24, 2**26])
    kind = rng.choice(["application/json", "application/x-www-form-urlencoded", "text/plain", "image/png"])
    return server.head(f"POST {_place(server)}", f"Content-Type: {kind}", f"Content-Length: {size}") + bytes(
        size
    )


def _rows_of_requests(server: Server, rng: random.Random) -> bytes:
    one = server.head(
        f"GET {rng.choice(PATHS)}", rng.choice(["X: y", "Content-Length: 3", "Transfer-Encoding: chunked"])
    )
    return one * rng.choice([2, 20, 2000]) + rng.randbytes(20)


def _noise(server: Server, rng: random.Random) -> bytes:
    good = server.head("POST /predict", f"Content-Length: {len(picture(3))}") + picture(3)
    tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500)
    h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(100)
    return rng.choice([mutate_bytes(rng, good), rng.randbytes(rng.choice([1, 300, 70_000])), tls, h2])


def _websockets(server: Server, rng: random.Random) -> bytes:
    place = "/_nicegui_ws/socket.io/?EIO=" + rng.choice(
        ["4&transport=websocket", "3", "x&transport=y", "4&sid=../x"]
    )
    wanted = [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: " + rng.choice(["13", "13", "8",
        "x"]),
        "Sec-WebSocket-Key: " + rng.choice(["dGhlIHNhbXBsZSBub25jZQ==", "", "x" * 5000]),
        rng.choice(["X: y", f"Origin: http://127.0.0.1:{server.port}", "Origin: http://evil.example"]),
        rng.choice(["X: y", "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: " + "x;" * 999]),
    ]  # fmt: skip
    frames = b""
    for _ in range(rng.randint(0, 5)):
        said = rng.choice(
            [b"40", b"42[" + b'"event",' * 5000, mutate_text(rng, '42["event",{"id":1,"args":[]}]'), b"2"]
        )
        length = rng.choice([len(said), len(said), 2**40])
        size = bytes([0x80 | length]) if length < 126 else b"\xff" + struct.pack(">Q", length)
        frames += bytes([rng.choice([0x81, 0x82, 0x01, 0x89, 0xFF, 0xC1])]) + size + bytes(4) + said
    return server.head(f"GET {place}", *wanted) + frames


def _polls(server: Server, rng: random.Random) -> bytes:
    sid = rng.choice(["", "&sid=x", "&sid=" + "a" * 3000])
    body = rng.choice(
        [b"", b"40", b"99:4", mutate_text(rng, '42["handshake",{"client_id":"x"}]'), b"\x1e" * 5000]
    )
    place = f"/_nicegui_ws/socket.io/?EIO=4&transport=polling{sid}"
    return server.head(f"{rng.choice(['GET', 'POST'])} {place}", f"Content-Length: {len(body)}") + body


def _place(server: Server) -> str:
    return "/models/upload/x?at=0" if server.log.name == "dashboard.log" else "/predict"


_ON_BOTH = [
    _request_lines, _headers, _chunks, _forms, _documents, _parameters, _paths, _tokens, _half_bodies,
    _large_bodies,
    _rows_of_requests, _noise,
]  # fmt: skip
ON_MODELS = [*_ON_BOTH, _images, _images, _annotated]
ON_PAGES = [*_ON_BOTH, _websockets, _polls]
