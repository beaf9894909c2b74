"""32 clients at once get right answers from `raven serve`, also while its workers are killed.

A trial is 100 requests of each client, each with a picture of its own.  What a killed worker was computing
is lost, at most one request a client; whoever lost one asks again, and is answered.  Memory must not grow.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

from as_user import wait_for

from torture.servers import TOKEN, WIDTH, picture, reds, serving

TRIALS = 20  # of 3,200 requests: 64,000
SECONDS_PER_TRIAL = 120
CLIENTS, REQUESTS, WORKERS = 32, 100, 2
GROWTH = 48 << 20  # bytes that a worker may have more than after its first trial


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    pictures = [picture(red, seed=red) for red in range(WIDTH + 1)]
    settled: dict[int, int] = {}  # bytes of each worker after its first trial
    with serving(folder, "--processes", str(WORKERS), "--queue", "64") as server:
        wait_for(lambda: len(server.workers) == WORKERS)

        def trial(rng: random.Random) -> str:
            kills = rng.random() < 0.3
            chosen = [[rng.randrange(WIDTH + 1) for _ in range(REQUESTS)] for _ in range(CLIENTS)]
            before = server.workers
            if kills:
                victim, seconds = rng.choice(before), rng.uniform(0.1, 2.0)
                timer = Timer(seconds, os.kill, (victim, signal.SIGKILL))
                timer.start()
            try:
                with ThreadPoolExecutor(CLIENTS) as pool:
                    lost = sum(pool.map(lambda numbers: _client(server.port, pictures, numbers), chosen))
            finally:
                if kills:
                    timer.cancel()
                    timer.join()
            assert lost <= (CLIENTS if kills else 0), f"{lost} requests were lost"
            wait_for(lambda: len(server.workers) == WORKERS, 30)
            for worker in server.workers:
                if worker in before:
                    now = _resident(worker)
                    grown = now - settled.setdefault(worker, now)
                    assert grown < GROWTH, f"a worker grew by {grown >> 20} MiB"
            return "answered while a worker was killed" if kills else "answered"

        yield trial


def _client(port: int, pictures: list[bytes], numbers: list[int]) -> int:
    """Ask for each picture until it is answered; how many requests were lost with their connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers, lost = {"Authorization": f"Bearer {TOKEN}"}, 0
    for red in numbers:
        for _ in range(20):
            try:
                connection.request("POST", "/predict?answer=mask", pictures[red], headers)
                answer = connection.getresponse()
                content = answer.read()
            except (ConnectionError, http.client.HTTPException):
                lost += 1
                connection.close()
                continue
            if answer.status != 503:
                break
            time.sleep(min(int(answer.headers["Retry-After"]), 2))
        else:
            raise AssertionError("a request was never answered")
        assert answer.status == 200, f"{answer.status} {content[:200]!r}"
        assert reds(content) == red, f"{red} red columns were answered as {reds(content)}"
    connection.close()
    return lost


def _resident(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
