"""How long `raven models list` takes for a bucket of many models, when nothing is known of them and again.

    python benchmarks/listing.py [--models 10000] [--rounds 3]

Starts moto's S3 server on loopback, stores the metadata of that many models, and runs the command, start-up
and output included: *cold* with nothing remembered, and *warm*, when only the listing has to be asked for,
because metadata is remembered by its ETag.  The server is a single Python process; its CPU time is shown as
well.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from paired import load
from store import BUCKET, KEYS, ROOT, server


def fill(endpoint: str, count: int, folder: Path) -> None:
    """Store the metadata of ``count`` models, each as a training leaves it."""
    os.environ.update(KEYS)
    from ravenml.store.address import parse_address
    from ravenml.store.s3 import Connection, S3Store
    from ravenml.store.transfer import upload

    files = {}
    for number in range(count):
        model = f"20260101-{number:06d}-abcdef"
        key = f"models/unet_{model}.tar"
        metadata = {
            "v": 1,
            "id": model,
            "architecture": "unet",
            "plugin": "unet",
            "created_by": "Ada",
            "dataset": {"name": "camvid"},
            "finished": f"2026-01-01T00:00:{number % 60:02d}.000Z",
            "models": {"": key},
            "files": {key: {"size": 100_000_000 + number, "crc32": f"{number:08x}"}},
            "metrics": {
                "val/miou": 0.5,
                "val/loss": 0.4,
                **{f"val/iou/class{one}": 0.5 for one in range(12)},
            },
        }
        path = folder / f"{number}.json"
        path.write_text(json.dumps(metadata))
        files[f"models/metadata_{model}.json"] = path
    address = parse_address(f"s3://{endpoint.removeprefix('http://')}/{BUCKET}", "the benchmark")
    upload(S3Store(address, Connection(endpoint, "us-east-1", "path")), files, "models/", "Storing")


def timed(endpoint: str, home: Path, process: psutil.Process, count: int) -> str:
    """One call of the command, in words."""
    environment = {**os.environ, **KEYS, "PYTHONPATH": str(ROOT), "RAVENML_STORAGE_PATH": str(home)}
    address = f"s3://{endpoint.removeprefix('http://')}/{BUCKET}"
    run = [sys.executable, "-m", "ravenml", "models", "list", "--store", address, "--json"]
    begin, before, served = time.perf_counter(), os.times(), process.cpu_times()
    done = subprocess.run(run, check=True, env=environment, capture_output=True)
    wall, after, server = time.perf_counter() - begin, os.times(), process.cpu_times()
    if len(json.loads(done.stdout)) != count:
        sys.exit("The list is not complete; the measurement is worth nothing.")
    client = after.children_user + after.children_system - before.children_user - before.children_system
    served_for = server.user + server.system - served.user - served.system
    return f"{wall:6.2f} s wall  {client:6.2f} s CPU of the client  {served_for:6.2f} s CPU of the server"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=10_000, help="how many models (10000)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (3)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as name:
        place = Path(name)
        (place / "metadata").mkdir()
        with server(place) as (endpoint, process):
            fill(endpoint, chosen.models, place / "metadata")
            print(f"{chosen.models} models; before: {load()}")
            for _ in range(chosen.rounds):
                shutil.rmtree(place / "home", ignore_errors=True)
                print("cold ", timed(endpoint, place / "home", process, chosen.models), flush=True)
                print("warm ", timed(endpoint, place / "home", process, chosen.models), flush=True)
            print(f"after: {load()}")


if __name__ == "__main__":
    main()
