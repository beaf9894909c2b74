"""The real ``raven serve`` and ``raven dashboard`` as processes, for the campaigns that attack them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from as_user import ROOT, address_in, wait_for
from predicting import pack, write_predicting_plugins

from torture.runner import Missing

TOKEN = "the-token-of-the-campaigns"
HEIGHT, WIDTH = 20, 30  # of pictures


@dataclass
class Server:
    """A server that listens on loopback.

    Attributes:
        process: the one that was started; with several workers, their parent.
        port: where it listens.
        log: what it printed.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def memory(self) -> int:
        """Resident bytes of it and of its workers."""
        return sum(_resident(process) for process in [self.process.pid, *self.workers])

    @property
    def workers(self) -> list[int]:
        """The processes that it has started."""
        try:
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except OSError:
            return []
        return [int(number) for number in text.split()]

    def connect(self, seconds: float = 10.0) -> socket.socket:
        """A plain connection; whatever is waited for on it is waited for this long at most."""
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def head(self, line: str, *headers: str, token: str = TOKEN) -> bytes:
        """A request's head, with the token."""
        own = [f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {token}"]
        return "\r\n".join([f"{line} HTTP/1.1", *own, *headers, "", ""]).encode("utf-8", "surrogatepass")

    def get(self, place: str, seconds: float = 10.0) -> tuple[int, bytes]:
        """Status and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("GET", place, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    """``raven serve`` with a tiny model: pixels are red, or they are not."""
    try:
        import fastapi  # noqa: F401
    except ImportError:
        raise Missing("the extra ravenml[serve] is not installed") from None
    write_predicting_plugins(folder / "site")
    model = pack(folder / "model.tar")
    with _started(folder, "Open:", "serve", str(model), "--port", "0", *arguments) as server:
        wait_for(lambda: server.get("/healthz")[0] == 200)
        yield server


@contextmanager
def dashboard(folder: Path) -> Iterator[Server]:
    """``raven dashboard`` on the campaign's home."""
    try:
        import nicegui  # noqa: F401
    except ImportError:
        raise Missing("the extra ravenml[dashboard] is not installed") from None
    (folder / "site").mkdir(exist_ok=True)
    with _started(folder, "Dashboard:", "dashboard", "--no-browser", "--port", "0") as server:
        wait_for(lambda: server.get("/runs")[0] == 200)
        yield server


def picture(red: int, seed: int = 0) -> bytes:
    """A PNG whose first ``red`` columns are red and the rest of which is dark noise."""
    image = np.random.default_rng(seed).integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[:, :red] = (10, 20, 250)  # OpenCV writes BGR
    return bytes(cv2.imencode(".png", image)[1])


def reds(answer: bytes) -> int:
    """How many columns an answered mask shows as red; -1 if it is not a mask of stripes."""
    mask = cv2.imdecode(np.frombuffer(answer, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.shape != (HEIGHT, WIDTH):
        return -1
    count = int((mask[0] == 1).sum())
    return count if (mask[:, :count] == 1).all() and (mask[:, count:] == 0).all() else -1


@contextmanager
def _started(folder: Path, label: str, *command: str) -> Iterator[Server]:
    log = folder / f"{command[0]}.log"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
        "RAVENML_TOKEN": TOKEN,
        "RAVENML_TRACK": "none",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ravenml", *command],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip

    def listens() -> str | None:
        assert process.poll() is None, log.read_text()
        return address_in(log.read_text(), label)

    try:
        address = wait_for(listens)
        yield Server(process, int(address.rstrip("/").rpartition(":")[2]), log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def patience(seconds: float) -> float:
    """So many seconds, more on a busy machine."""
    return seconds * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def predicts(server: Server, seconds: float) -> None:
    """Assert that a good request is answered within this time, and rightly."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        connection.request("POST", "/predict?answer=mask", picture(7), headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status == 200 and reds(content) == 7, f"a good request: {answer.status} {content[:200]!r}"
    took = time.monotonic() - began
    assert took < patience(seconds), f"a good request took {took:.1f} s"


def detail(content: bytes) -> str:
    """The sentence of a refusal."""
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return content[:300].decode(errors="replace")


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
