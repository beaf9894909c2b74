"""Uploads, fetches and mirrors over a faulty line, killed at random, lose nothing and list nothing half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simple_project import write_simple_project
from store.buckets import KEYS, ask, free_port
from store.faults import GARBLED_ANSWERS, GARBLED_LISTINGS, Fault, FaultProxy, never

from ravenml.data.remote import pull_dataset, push_dataset
from ravenml.errors import RavenError
from ravenml.remote import restore
from ravenml.remote.layout import RemoteRun
from ravenml.remote.mirror import Mirror
from ravenml.store import checksums
from ravenml.store.address import parse_address
from ravenml.store.checksums import MIB
from ravenml.store.models import pull_model, read_metadata
from ravenml.store.results import METADATA, store_result
from ravenml.store.s3 import Connection, S3Store
from ravenml.store.s3 import client as s3_client
from ravenml.store.s3 import transfer as s3_transfer
from ravenml.store.s3.errors import ChecksumMismatch
from ravenml.store.transfer import download, upload
from torture.runner import Missing

TRIALS = 300
SECONDS_PER_TRIAL = 120
BROKEN_LINES = (
    "refuse", "cut", "lost", "slow down", "error", "corrupt", "truncate", "corrupt answer", "drip", "sign in",
    "no HTTP", "too long", "too short", "TooManyRequests 429", "Bad Gateway 502", "wrong checksum",
    *GARBLED_ANSWERS,
)  # fmt: skip
Tree = dict[str, bytes]


def faults(rng: random.Random) -> Fault:
    """Faults at random, or bursts of one fault."""
    share, burst, between = rng.choice([0.1, 0.3, 0.5]), rng.randint(3, 40), rng.randint(5, 40)
    bursts, lock = rng.random() < 0.4, threading.Lock()
    kind = rng.choice(["slow down", "error", "refuse", "TooManyRequests 429"])

    def fault(method: str, path: str, number: int) -> str | None:
        if bursts:
            return kind if number % (burst + between) < burst else None
        with lock:
            if rng.random() > share:
                return None
            kinds = set(GARBLED_LISTINGS) if "list-type=2" in path else set()
            if "prefix=" not in path:
                kinds.discard("other keys")  # of all keys, none is another than those asked for
            return rng.choice([*BROKEN_LINES, *sorted(kinds)])

    return fault


def tree(rng: random.Random) -> Tree:
    """Files, of which one may go in parts."""
    found = {f"d{n % 3}/{n:02d}.bin": rng.randbytes(rng.choice([0, 1, 500, 90_000])) for n in range(9)}
    if rng.random() < 0.5:
        found["large.bin"] = rng.randbytes(6 * MIB + rng.randrange(MIB))
    return found


def write(folder: Path, files: Tree) -> dict[str, Path]:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def read(folder: Path) -> Tree:
    """Every file; what is hidden too."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def visible(files: Tree) -> Tree:
    return {name: content for name, content in files.items() if not Path(name).name.startswith(".")}


class Watcher(S3Store):
    """The parent's store: its children are forked, and could not use obstore if the parent had."""

    def _through_obstore(self, key: str) -> bool:
        return False


class Action:
    """Something that is done with a bucket: what it begins with, does, and must never show."""

    def __init__(self, rng: random.Random, folder: Path, store: S3Store) -> None:
        self.folder, self.store = folder, store
        self.files = tree(rng)
        self.paths = write(folder / "here", self.files)

    def do(self, store: S3Store) -> None:
        """Do it; it is killed at any moment, and done again."""
        raise NotImplementedError

    def check(self, done: bool) -> None:
        """Nothing wrong is to be seen; when it is ``done``, nothing is missing."""
        raise NotImplementedError

    def in_bucket(self, done: bool) -> Tree:
        """What can be read.

        A line may corrupt what is sent, and this server takes it (S3 itself refuses it): whoever is killed
        before he looks leaves an object of which every reader says that it is corrupt.
        """
        found = {}
        allowed = () if done else (ChecksumMismatch,)
        for entry in self.store.list():
            with suppress(*allowed):
                found[entry.key] = self.store.read(entry.key)
        return found


class Upload(Action):
    def do(self, store: S3Store) -> None:
        upload(store, self.paths, "", "up")

    def check(self, done: bool) -> None:
        there = self.in_bucket(done)
        assert there.items() <= self.files.items(), "a wrong object"
        assert not done or there == self.files, "an object is missing"


class Fetch(Action):
    def __init__(self, rng: random.Random, folder: Path, store: S3Store) -> None:
        super().__init__(rng, folder, store)
        upload(store, self.paths, "", "up")

    def do(self, store: S3Store) -> None:
        entries = {entry.key: entry for entry in store.list()}
        assert entries.keys() == self.files.keys(), "half a listing"
        download(store, {key: self.folder / "back" / key for key in entries}, entries, "down")

    def check(self, done: bool) -> None:
        found = read(self.folder / "back")
        assert visible(found).items() <= self.files.items(), "a wrong file"
        assert not done or found == self.files, f"left behind: {found.keys() - self.files.keys()}"


class Publish(Action):
    def do(self, store: S3Store) -> None:
        first, *rest = self.paths
        extras = {name: self.paths[name] for name in rest}
        noted = self.folder / "metadata.json"
        store_result(store, "m1", "net", {"": self.paths[first]}, extras, {"v": 1, "id": "m1"}, noted)

    def check(self, done: bool) -> None:
        there = self.in_bucket(done)
        if any(key.startswith(METADATA) for key in there):
            pull_model(self.store, "m1", back := self.folder / "pulled")
            listed = read_metadata(self.store, "m1")["files"]
            assert sorted(read(back)[key] for key in listed) == sorted(self.files.values()), "half a model"
        else:
            assert not done, "it is not listed"


class PullModel(Publish):
    def __init__(self, rng: random.Random, folder: Path, store: S3Store) -> None:
        super().__init__(rng, folder, store)
        super().do(store)

    def do(self, store: S3Store) -> None:
        pull_model(store, "m1", self.folder / "back")

    def check(self, done: bool) -> None:
        found, there = read(self.folder / "back"), self.in_bucket(done=True)
        assert visible(found).items() <= there.items(), "a wrong file"
        whole = any(name.startswith(METADATA) for name in found)
        assert not (done or whole) or visible(found) == there, "half a model"
        assert not done or found == there, f"left behind: {found.keys() - there.keys()}"


class PushDataset(Action):
    def __init__(self, rng: random.Random, folder: Path, store: S3Store) -> None:
        self.folder, self.store = folder, store
        write_simple_project(folder / "meadows", images=rng.randint(1, 8), val=1)
        self.files = read(folder / "meadows")

    def do(self, store: S3Store) -> None:
        push_dataset(store, self.folder / "meadows")

    def check(self, done: bool) -> None:
        there = {key.removeprefix("meadows/"): content for key, content in self.in_bucket(done).items()}
        mine = {name: content for name, content in there.items() if name in self.files}
        assert mine.items() <= self.files.items(), "a wrong object"
        assert not (done or "meta.json" in mine) or mine == self.files, "half a dataset is listed"


class PullDataset(PushDataset):
    def __init__(self, rng: random.Random, folder: Path, store: S3Store) -> None:
        super().__init__(rng, folder, store)
        super().do(store)

    def do(self, store: S3Store) -> None:
        pull_dataset(store, "meadows", self.folder / "back")

    def check(self, done: bool) -> None:
        found = read(self.folder / "back")
        assert visible(found).items() <= self.files.items(), "a wrong file"
        assert not (done or "meta.json" in found) or visible(found) == self.files, "half a dataset"
        assert not done or found == self.files, f"left behind: {found.keys() - self.files.keys()}"


class MirrorRun(Action):
    def __init__(self, rng: random.Random, folder: Path, store: S3Store) -> None:
        super().__init__(rng, folder, store)
        lines = b"".join(b'{"message": "%d"}\n' % n for n in range(rng.randint(1, 30_000)))
        self.files |= {"events.jsonl": lines, "run.json": b"{}"}
        write(folder / "here", self.files)

    def do(self, store: S3Store) -> None:
        Mirror(RemoteRun(store, "r"), self.folder / "here").round(last=True)

    def check(self, done: bool) -> None:
        if done or any(key.endswith("run.json") for key in self.in_bucket(done)):
            restore.fetch(RemoteRun(self.store, "r"), self.folder / "back", {})
            assert read(self.folder / "back") == self.files, "the mirror is not the run"


ACTIONS = (Upload, Fetch, Publish, PullModel, PushDataset, PullDataset, MirrorRun)


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    os.environ.update(KEYS)
    checksums.PART, s3_transfer.RANGE_SIZE = 5 * MIB, MIB
    s3_client.LONGEST = 0.3
    numbers = iter(range(10**9))
    with _server(folder / "server.log") as server, FaultProxy(server) as proxy:

        def open_store(host: str, bucket: str, patience: float, kind: type[S3Store] = S3Store) -> S3Store:
            connection = Connection(f"http://{host}", "us-east-1", "path", patience=patience)
            return kind(parse_address(f"s3://{host}/{bucket}", "the test"), connection)

        def trial(rng: random.Random) -> str:
            urllib.request.urlopen(urllib.request.Request(f"http://{server}/moto-api/reset", method="POST"))
            bucket = f"trial-{next(numbers)}"
            direct = open_store(server, bucket, 60, Watcher)
            ask(direct, "create_bucket")
            place = folder / bucket
            action = rng.choice(ACTIONS)(rng, place, direct)
            kills = [rng.choice([0.02, 0.1, 0.3, 1.0]) * rng.random() for _ in range(rng.randrange(4))]
            proxy.fault = faults(rng)
            codes = []
            for kill_after in (*kills, None):
                codes.append(_attempt(action, open_store(proxy.address, bucket, 5), place, kill_after))
                action.check(done=codes[-1] == 0)
            proxy.fault = never
            assert _attempt(action, open_store(proxy.address, bucket, 30), place, None) == 0
            action.check(done=True)
            assert not ask(direct, "list_multipart_uploads").get("Uploads"), "parts were left behind"
            subprocess.run(["rm", "-r", str(place)], check=True)
            killed = codes.count(-signal.SIGKILL)
            first = "done" if codes[-1] == 0 else "done when repeated"
            return f"killed and {first}" if killed else first

        yield trial


def _attempt(action: Action, store: S3Store, place: Path, kill_after: float | None) -> int:
    """Do it in a process of its own; its exit code: 0 done, 1 given up with a sentence, -9 killed."""
    said = place / "said"
    child = os.fork()
    if child == 0:
        code = 70
        with suppress(BaseException), said.open("w") as output:
            sys.stderr = output
            try:
                action.do(store)
                code = 0
            except RavenError as error:
                print(error)
                output.write(str(error))
                code = 1
            except BaseException:
                import traceback

                traceback.print_exc()
        os._exit(code)
    end = time.monotonic() + (60 if kill_after is None else kill_after)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1) or kill_after is not None, f"exit code {code}: {said.read_text()}"
    assert code in (0, 1, -signal.SIGKILL), f"exit code {code}: {said.read_text()}"
    return code


@contextmanager
def _server(log: Path) -> Iterator[str]:
    try:
        import moto.server  # noqa: F401
    except ImportError:
        raise Missing("moto's S3 server; install it with: pip install 'moto[server]'") from None
    port = free_port()
    words = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        for _ in range(600):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5)
                break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
