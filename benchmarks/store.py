"""How fast files go into a bucket and out of it, beside `aws s3 cp`, boto3 and an older checkout of ravenML.

    python benchmarks/store.py [--aws PATH] [--before PATH] [--rclone PATH] [--rounds 3] [--large MIB]

Starts moto's S3 server on loopback, or with --rclone that of `rclone serve s3`, and moves the same files with
each side in turn, every side in a process of its own, start-up included:

- 500 files of 20 KB by the store alone, beside `aws s3 cp --recursive`: at least 1.7 times as fast;
- the same as a user does it, beside `aws s3 cp --recursive`: `raven data push` and `pull` of a project of 501
  files and `raven models pull`, at least 1.5 times as fast up and 1.6 times down;
- one file of 512 MiB beside `aws s3 cp` and boto3: not slower, and at least 1.1 times as fast as aws up.

With --before, nothing may be slower than that checkout, or take more than half of its CPU time.

moto is a single Python process and so the ceiling for every side: its CPU time is shown beside the
client's, and with moto the large file is also sent by no client at all (`bare`: the kernel sends the parts,
nothing is computed or checked), which is as fast as parts could be.  rclone's is a program in Go, which uses
both cores and keeps the objects as files.  Every object is uploaded under a name of its own and removed
afterwards.  What ravenML does is what `raven models` and `raven data` do, checksums included.  Without --aws
(or an `aws` on the PATH), boto3's `upload_file` and `download_file` in ten threads stand in for it.
`--files 0` and `--large 0` leave a part out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from paired import load, median_ratio

ROOT = Path(__file__).resolve().parent.parent
BUCKET = "benchmark"
KEYS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
MIB = 1 << 20
Times = tuple[float, float, float]  # seconds: wall, CPU of the client, CPU of the server


# What runs in a process of its own: python benchmarks/store.py --side NAME WHAT ENDPOINT FOLDER PREFIX


def ravenml_side(what: str, endpoint: str, folder: Path, prefix: str) -> None:
    """ravenML's transfers."""
    from ravenml.store.address import parse_address
    from ravenml.store.s3 import S3Store
    from ravenml.store.transfer import download, upload

    try:
        from ravenml.store.s3 import Connection
    except ImportError:  # --before
        from ravenml.store.s3_client import Connection  # type: ignore[import-not-found,no-redef]

    address = parse_address(f"s3://{endpoint.removeprefix('http://')}/{BUCKET}", "the benchmark")
    store = S3Store(address, Connection(endpoint, "us-east-1", "path"))
    if what == "up":
        upload(store, {f"{prefix}/{path.name}": path for path in folder.iterdir()}, f"{prefix}/", "up")
    else:
        entries = {entry.key: entry for entry in store.list(f"{prefix}/")}
        download(store, {key: folder / Path(key).name for key in entries}, entries, "down")


def result_side(what: str, endpoint: str, folder: Path, prefix: str) -> None:
    """What a training does with its result in the end."""
    from ravenml.config.config import load_config
    from ravenml.store.factory import bucket
    from ravenml.store.results import store_result

    store = bucket("models", load_config(), f"s3://{endpoint.removeprefix('http://')}/{BUCKET}")
    assert store is not None
    model, extras = folder / "model.tar", {p.name: p for p in folder.iterdir() if p.name != "model.tar"}
    metadata = {"v": 1, "id": prefix, "plugin": "unet"}
    store_result(store, prefix, "unet", {"": model}, extras, metadata, folder.parent / "metadata.json")


def boto3_side(what: str, endpoint: str, folder: Path, prefix: str) -> None:
    """boto3's own transfers, ten files at a time."""
    from concurrent.futures import ThreadPoolExecutor

    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    with ThreadPoolExecutor(10) as pool:
        if what == "up":
            files = list(folder.iterdir())
            jobs = [pool.submit(client.upload_file, str(f), BUCKET, f"{prefix}/{f.name}") for f in files]
        else:
            found = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
            keys = [one["Key"] for page in found for one in page["Contents"]]
            jobs = [
                pool.submit(client.download_file, BUCKET, key, str(folder / Path(key).name)) for key in keys
            ]
        for job in jobs:
            job.result()


def bare_side(what: str, endpoint: str, folder: Path, prefix: str) -> None:
    """No client at all, but how fast one could be: the kernel sends the parts, and nothing is computed.

    Nothing is signed either, so that only a server that does not mind takes it.  Down it is boto3's.
    """
    import http.client
    import re
    from concurrent.futures import ThreadPoolExecutor

    if what == "down":
        boto3_side(what, endpoint, folder, prefix)
        return
    server = endpoint.removeprefix("http://")
    scope = "benchmark/20260101/us-east-1/s3/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    headers["x-amz-checksum-algorithm"] = "CRC32"  # what costs moto least when it puts parts together

    def ask(method: str, path: str, found: bytes, body: bytes = b"") -> str:
        line = http.client.HTTPConnection(server)
        line.request(method, path, body, headers)
        return re.findall(found, line.getresponse().read())[0].decode()

    def part(file: int, begin: int, length: int, path: str) -> str:
        line = http.client.HTTPConnection(server)
        line.putrequest("PUT", path)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            line.putheader(name, value)
        line.endheaders()
        while length:
            sent = os.sendfile(line.sock.fileno(), file, begin, length)
            begin, length = begin + sent, length - sent
        answer = line.getresponse()
        answer.read()
        return answer.headers["ETag"].strip('"')

    for source in folder.iterdir():
        path, size, step = f"/{BUCKET}/{prefix}/{source.name}", source.stat().st_size, 8 * MIB
        number = ask("POST", f"{path}?uploads", b"<UploadId>(.*?)<")
        with source.open("rb") as file, ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(
                    *(part, file.fileno(), begin, min(step, size - begin)),
                    f"{path}?uploadId={number}&partNumber={begin // step + 1}",
                )
                for begin in range(0, size, step)
            ]
            tags = [job.result() for job in jobs]
        parts = "".join(
            f"<Part><ETag>{tag}</ETag><PartNumber>{n + 1}</PartNumber></Part>" for n, tag in enumerate(tags)
        )
        together = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        ask("POST", f"{path}?uploadId={number}", b"<ETag>(.*?)<", together)


SIDES = {
    "ravenml": ravenml_side,
    "before": ravenml_side,
    "result": result_side,
    "boto3": boto3_side,
    "bare": bare_side,
}


# What measures them.


class Bench:
    """A server, a folder, and how long everything took."""

    def __init__(
        self, endpoint: str, server: psutil.Process, place: Path, aws: str | None, before: Path | None
    ) -> None:
        self.endpoint, self.server, self.place, self.aws, self.before = endpoint, server, place, aws, before
        self.names = 0

    def command(self, kind: str, side: str, what: str, folder: Path, prefix: str) -> list[str]:
        """The command line of one side; ``kind``: the ``store`` alone, a user's ``data`` or ``model``."""
        if side == "aws s3 cp":
            there = f"s3://{BUCKET}/{prefix}/"
            ends = [str(folder), there] if what == "up" else [there, str(folder)]
            assert self.aws is not None
            return [self.aws, "--endpoint-url", self.endpoint, "s3", "cp", "--quiet", "--recursive", *ends]
        address = f"s3://{self.endpoint.removeprefix('http://')}/{BUCKET}"
        raven = [sys.executable, "-P", "-m", "ravenml"]
        if kind == "data" and what == "up":
            return [*raven, "data", "push", str(folder), "--name", prefix, "--store", address]
        if kind == "data":
            return [*raven, "data", "pull", prefix, "--to", str(folder), "--store", address]
        if kind == "model" and what == "down":
            return [*raven, "models", "pull", prefix, "--to", str(folder), "--store", address]
        if kind == "model":
            return [sys.executable, __file__, "--side", "result", what, self.endpoint, str(folder), prefix]
        return [sys.executable, __file__, "--side", side, what, self.endpoint, str(folder), prefix]

    def timed(self, kind: str, side: str, what: str, folder: Path, prefix: str) -> Times:
        """Of one transfer by one side: wall seconds, the client's CPU seconds, the server's."""
        checkout = self.before if side == "before" else ROOT
        environment = {**os.environ, **KEYS, "PYTHONPATH": str(checkout)}
        environment |= {"RAVENML_STORAGE_PATH": str(self.place / "home"), "AWS_CONFIG_FILE": "/nonexistent"}
        begin, before, served = time.perf_counter(), os.times(), self.server.cpu_times()
        subprocess.run(
            self.command(kind, side, what, folder, prefix),
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        wall, after, server = time.perf_counter() - begin, os.times(), self.server.cpu_times()
        client = after.children_user + after.children_system - before.children_user - before.children_system
        return wall, client, server.user + server.system - served.user - served.system

    def compare(
        self, sides: list[str], source: Path, rounds: int, kind: str = "store"
    ) -> dict[str, dict[str, list[Times]]]:
        """What every side takes ``up`` and ``down``, in turns."""
        taken: dict[str, dict[str, list[Times]]] = {side: {"up": [], "down": []} for side in sides}
        for number in range(-1, rounds):
            for side in sides if number % 2 else list(reversed(sides)):
                self.names += 1
                prefix, back = f"p{self.names}", self.place / "back"
                for what, folder in (("up", source), ("down", back)):
                    back.mkdir(exist_ok=True)
                    times = self.timed(kind, side, what, folder, prefix)
                    if number >= 0:
                        taken[side][what].append(times)
                check(source, back)
                shutil.rmtree(back)
                self.remove(prefix)
        return taken

    def remove(self, prefix: str) -> None:
        """Remove what a side has uploaded, so that the server does not grow."""
        import boto3

        bucket = boto3.resource(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        ).Bucket(BUCKET)
        bucket.objects.filter(Prefix=f"{prefix}/").delete()


def write_project(folder: Path, images: int) -> None:
    """A Supervisely project of images of 40 KB, which nobody decodes, with an annotation each."""
    (folder / "ds" / "img").mkdir(parents=True)
    (folder / "ds" / "ann").mkdir()
    classes = [{"title": "thing", "shape": "rectangle", "color": "#FF8800"}]
    (folder / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    box = {"exterior": [[2, 2], [9, 9]], "interior": []}
    thing = {"classTitle": "thing", "geometryType": "rectangle", "tags": [], "points": box}
    annotation = {"size": {"height": 24, "width": 32}, "tags": [], "objects": [thing]}
    for number in range(images):
        (folder / "ds" / "img" / f"{number:04d}.jpg").write_bytes(os.urandom(40_000))
        (folder / "ds" / "ann" / f"{number:04d}.jpg.json").write_text(json.dumps(annotation))


def check(source: Path, back: Path) -> None:
    """Every side must have brought back what was sent."""
    sent, came = (
        sorted(p.stat().st_size for p in place.rglob("*") if p.is_file()) for place in (source, back)
    )
    if Counter(sent) - Counter(came):
        sys.exit("Files came back with other sizes; the measurement is worth nothing.")


def show(title: str, taken: dict[str, dict[str, list[Times]]], limits: dict[tuple[str, str], float]) -> bool:
    """Print the figures, and say whether ravenML is as fast, and takes as little CPU time, as it should."""
    print(f"\n{title}; CPU time of the client and of the server")
    kept = True
    for what in ("up", "down"):
        ours, our_cpu, _ = zip(*taken["ravenml"][what], strict=True)
        for side, values in taken.items():
            walls, cpus, _ = zip(*values[what], strict=True)
            wall, client, server = (statistics.median(column) for column in zip(*values[what], strict=True))
            line = (
                f"  {what:4}  {side:10}  {wall:6.2f} s wall  {client:5.2f} s client  {server:5.2f} s server"
            )
            if side == "bare" and what == "up":
                other = [times[0] for times in taken[next(one for one in taken if one != "ravenml")][what]]
                line += (
                    "   nothing is computed: "
                    f"{median_ratio(other, list(walls)):.2f} times as fast as the other"
                )
            elif side not in ("ravenml", "bare"):
                figures = [("as fast", median_ratio(list(walls), list(ours)), limits.get((side, what)))]
                if side == "before":
                    figures.append(("the CPU time", 1 / median_ratio(list(cpus), list(our_cpu)), 0.5))
                for words, ratio, limit in figures:
                    line += f"   ravenML {ratio:.2f} times {words}"
                    if limit is not None:
                        enough = ratio <= limit if words == "the CPU time" else ratio >= limit
                        kept &= enough
                        line += f" ({'as it should be' if enough else 'NOT AS IT SHOULD BE'}: {limit:g})"
            print(line)
    return kept


@contextmanager
def server(folder: Path, rclone: str | None) -> Iterator[tuple[str, psutil.Process]]:
    """A server in a process of its own, with the bucket; its URL and that process."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    objects = folder / "objects"
    (objects / BUCKET).mkdir(parents=True)
    run = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    if rclone:
        run = [
            rclone,
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            "benchmark,benchmark-secret",
            str(objects),
        ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(run, stdout=log, stderr=log, env={**os.environ, **KEYS})
    try:
        wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        if not rclone:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
            urllib.request.urlopen(request)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def wait_for(ask: Callable[[], object]) -> None:
    """Until the server answers."""
    for _ in range(300):
        with suppress(OSError):
            ask()
            return
        time.sleep(0.1)
    sys.exit("The server does not answer; is `moto[s3,server]` installed?")


def main() -> int:
    if sys.argv[1:2] == ["--side"]:
        _, _, side, what, endpoint, folder, prefix = sys.argv
        SIDES[side](what, endpoint, Path(folder), prefix)
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--aws", default=shutil.which("aws"), help="the AWS command line (by default, the PATH's)"
    )
    parser.add_argument("--before", type=Path, metavar="PATH", help="an older checkout, measured as well")
    parser.add_argument("--rclone", metavar="PATH", help="rclone, whose server is used instead of moto's")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (3)")
    parser.add_argument("--large", type=int, default=512, metavar="MIB", help="size of the large file (512)")
    parser.add_argument("--files", type=int, default=500, help="how many small files (500)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as name:
        place = Path(name)
        small, large, project, result = (place / name for name in ("small", "large", "project", "result"))
        for folder in (small, large, result):
            folder.mkdir()
        for number in range(chosen.files):
            (small / f"{number:04d}.bin").write_bytes(os.urandom(20_000))
        with (large / "large.bin").open("wb") as file:
            for _ in range(chosen.large):
                file.write(os.urandom(MIB))
        write_project(project, chosen.files // 2)
        (result / "model.tar").write_bytes(os.urandom(12 * MIB))
        for number in range(chosen.files // 5):
            (result / f"preview{number:03d}.png").write_bytes(os.urandom(50_000))
        print(f"before: {load()}")
        kept = True
        with server(place, chosen.rclone) as (endpoint, process):
            bench = Bench(endpoint, process, place, chosen.aws, chosen.before)
            other = "aws s3 cp" if chosen.aws else "boto3"
            sides = ["ravenml", other, *(["before"] if chosen.before else [])]
            user = {(other, "up"): 1.5, (other, "down"): 1.6, ("before", "up"): 1.0, ("before", "down"): 1.0}
            if chosen.files:
                kept &= show(
                    f"{chosen.files} files of 20 KB, the store alone, {chosen.rounds} rounds",
                    bench.compare(sides, small, chosen.rounds),
                    user | {(other, "up"): 1.7, (other, "down"): 1.7},
                )
                kept &= show(
                    f"raven data push and pull of {chosen.files} files, {chosen.rounds} rounds",
                    bench.compare(sides, project, chosen.rounds, "data"),
                    user,
                )
                kept &= show(
                    f"a training's result of 12 MiB and {chosen.files // 5} files, and raven models pull",
                    bench.compare(sides, result, chosen.rounds, "model"),
                    user,
                )
            if chosen.large:
                sides += ["boto3", *([] if chosen.rclone else ["bare"])]
                kept &= show(
                    f"one file of {chosen.large} MiB, {chosen.rounds} rounds",
                    bench.compare(list(dict.fromkeys(sides)), large, chosen.rounds),
                    {(side, what): 1.0 for side in sides for what in ("up", "down")} | {(other, "up"): 1.1},
                )
        print(f"after: {load()}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
