"""`raven serve` beside the bare predictor, with many clients at once; then many requests, and the memory.

    python benchmarks/serving.py                                  trains LinkNet34 on the demo project first
    python benchmarks/serving.py --model MODEL --rounds 9
    python benchmarks/serving.py --model MODEL --rounds 2 --count 64 --requests 200          a small trial

Two sides take turns over the same images, and each has its own process that waits while the other works:

- *bare*: `predictor.predict` on batches of images that were decoded beforehand, and nothing else: no
  decoding, no objects, no encoding, no connection.
- *served*: `--clients` threads of one more process, each with a connection of its own, send the same images
  as JPEG and read annotations.  So the server decodes, makes objects and JSON, and speaks HTTP; and the
  clients need processors, too, on the same machine.

With `--engine openvino` (or `onnxruntime`), the sides are two servers instead, PyTorch's and that engine's,
and the engine's throughput must be at least 1.8 times the other's.

Both use the same batch, which is the model's own unless `--batch` names another.  Reported are the median
over the rounds of the paired ratio of throughputs (at least 0.9 is asked for), the 50th and 99th percentile
of all requests' times, and the load.  Then `--requests` go through the server, and its resident memory is
told after the first tenth and at the end; an answer that is no 200 is an error.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKEN = "the-token-of-the-benchmark"
SIDE = 256  # pixels
IMAGES = 32


def main() -> None:
    """Measure, and say whether the server is fast, and steady, enough."""
    options = _parser().parse_args()
    if options.side == "bare":
        return _bare(options)
    if options.side == "clients":
        return _clients(options)
    with tempfile.TemporaryDirectory(prefix="raven-serving-") as folder:
        os.environ["RAVENML_TOKEN"] = TOKEN
        model = options.model or _trained(Path(folder))
        images = _write_images(Path(folder))
        with _server(model, options.batch) as (server, port):
            if options.engine == "torch":
                kept = _measure(options, model, images, server, port, Path(folder))
            else:
                with _server(model, options.batch, options.engine) as (_, other):
                    kept = _measure_engine(options, images, port, other, Path(folder))
        sys.exit(0 if kept else 1)


def _measure(
    options: argparse.Namespace, model: str, images: Path, server: int, port: int, folder: Path
) -> bool:
    from paired import interleave, load, median_ratio, waiting_process

    told = folder / "seconds.txt"
    common = ["--images", str(images), "--count", str(options.count), "--clients", str(options.clients)]
    here = [sys.executable, __file__, "--side"]
    batch = options.batch or _model(port)["batch_size"]
    print(
        f"{options.count} images of {SIDE}×{SIDE}, batches of {batch}, {options.clients} clients, on "
        f"{_model(port)['device']}; {load()}"
    )
    sides: dict[str, Callable[[], object]] = {
        "bare": waiting_process([*here, "bare", "--model", model, "--batch", str(batch), *common]),
        "served": waiting_process([*here, "clients", "--port", str(port), "--told", str(told), *common]),
    }
    seconds = interleave(sides, options.rounds)
    for name, values in seconds.items():
        print(f"{name:8s} {options.count / statistics.median(values):8.1f} images/s (median)")
    ratio = median_ratio(seconds["bare"], seconds["served"])
    times = sorted(float(line) for line in told.read_text().split())
    print(
        f"throughput, served / bare: {ratio:.3f} (median of {options.rounds} paired ratios; asked for: 0.9)"
    )
    print(
        f"a request: median {1000 * _at(times, 0.5):.0f} ms, p99 {1000 * _at(times, 0.99):.0f} ms; {load()}"
    )
    steady = _soak(sides["served"], told, options, server) if options.requests else True
    return ratio >= 0.9 and steady


def _measure_engine(options: argparse.Namespace, images: Path, torch: int, engine: int, folder: Path) -> bool:
    """Two servers in turns; the clients are the same."""
    from paired import interleave, load, median_ratio, waiting_process

    common = ["--images", str(images), "--count", str(options.count), "--clients", str(options.clients)]
    print(f"{options.count} images of {SIDE}×{SIDE}, {options.clients} clients; {load()}")
    sides: dict[str, Callable[[], object]] = {}
    for port in (torch, engine):
        told = ["--told", str(folder / f"{port}.txt")]
        clients = [sys.executable, __file__, "--side", "clients", "--port", str(port), *told, *common]
        sides[str(_model(port)["engine"])] = waiting_process(clients)
    seconds = interleave(sides, options.rounds)
    for name, values in seconds.items():
        print(f"{name:16s} {options.count / statistics.median(values):8.1f} images/s (median)")
    first, second = seconds.values()
    ratio = median_ratio(first, second)
    print(f"throughput: {ratio:.3f} times PyTorch's (asked for: 1.8); {load()}")
    return ratio >= 1.8


def _soak(send: Any, told: Path, options: argparse.Namespace, server: int) -> bool:
    """Many requests, and what the server's memory does; errors end the clients' process, and so this one."""
    from paired import load

    told.write_text("")
    done, after_a_tenth = 0, 0
    while done < options.requests:
        send()
        done += options.count
        if not after_a_tenth and done >= options.requests / 10:
            after_a_tenth = _resident(server)
    last = _resident(server)
    growth = last / after_a_tenth - 1
    print(
        f"{done} requests without an error; resident memory {after_a_tenth >> 20} MiB after the first tenth, "
        f"{last >> 20} MiB at the end ({growth:+.1%}; asked for: below 2 %); {load()}"
    )
    return growth < 0.02


def _bare(options: argparse.Namespace) -> None:
    """Predict when asked to."""
    import numpy as np

    from ravenml.data.images import read_image
    from ravenml.infer.model_resolver import find_source
    from ravenml.infer.predictor import load_predictor

    predictor = load_predictor(find_source(options.model).paths[0])
    images = [read_image(path) for path in sorted(Path(options.images).iterdir())]
    chosen = [images[number % len(images)] for number in range(options.count)]
    batches = [np.stack(chosen[at : at + options.batch]) for at in range(0, len(chosen), options.batch)]

    def work() -> None:
        for batch in batches:
            predictor.predict(batch)

    _wait(work)


def _clients(options: argparse.Namespace) -> None:
    """Send images when asked to, from threads with a connection each; note how long each request took."""
    bodies = [path.read_bytes() for path in sorted(Path(options.images).iterdir())]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg"}
    connections = [
        http.client.HTTPConnection("127.0.0.1", options.port, timeout=120) for _ in range(options.clients)
    ]

    def work() -> None:
        for one in connections:
            one.close()  # the server ends those that were idle while the other side worked; they open again
        numbers = iter(range(options.count))
        lock = threading.Lock()
        seconds: list[float] = []
        wrong: list[str] = []

        def client(connection: http.client.HTTPConnection) -> None:
            while not wrong:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                began = time.perf_counter()
                try:
                    connection.request("POST", "/predict", bodies[number % len(bodies)], headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    wrong.append(repr(error))
                    return
                seconds.append(time.perf_counter() - began)
                if answer.status != 200 or b'"objects"' not in content:
                    wrong.append(f"{answer.status} {content[:200]!r}")

        threads = [threading.Thread(target=client, args=(one,)) for one in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            sys.exit(f"The server failed: {wrong[0]}")
        with open(options.told, "a") as file:
            file.writelines(f"{one}\n" for one in seconds)

    _wait(work)


def _wait(work: Any) -> None:
    """The other end of `paired.waiting_process`."""
    print("ready", flush=True)
    for _ in sys.stdin:
        work()
        print("done", flush=True)


@contextmanager
def _server(model: str, batch: int | None, engine: str = "torch") -> Iterator[tuple[int, int]]:
    """`raven serve` as a process: its number, and its port."""
    command = [sys.executable, "-m", "ravenml", "serve", model, "--port", "0", "--engine", engine]
    command += ["--max-batch", str(batch)] if batch else []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        found = next(
            filter(None, (re.match(r"Open: +http://[^:]+:(\d+)", line) for line in process.stdout)), None
        )
        if found is None:
            sys.exit("raven serve has not started; its words are above.")
        yield process.pid, int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _model(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/model", headers={"Authorization": f"Bearer {TOKEN}"})
    told: dict[str, Any] = json.loads(connection.getresponse().read())
    return told


def _trained(folder: Path) -> str:
    """LinkNet34, trained for a moment on the demo project: its masks are as a model's are, and no noise."""
    os.environ["RAVENML_STORAGE_PATH"] = str(folder / "home")
    raven = [sys.executable, "-m", "ravenml"]
    subprocess.run([*raven, "data", "demo", str(folder / "demo")], check=True, stdout=subprocess.DEVNULL)
    settings = ["--model", "LinkNet34", "--input-width", str(SIDE), "--input-height", str(SIDE)]
    train = ["train", "--dataset", str(folder / "demo"), "unet", "train", *settings, "--epochs", "3"]
    subprocess.run([*raven, *train, "--batch-size", "4"], check=True, stdout=subprocess.DEVNULL)
    (run,) = (folder / "home" / "runs").iterdir()
    return str(run / "model-state.tar")


def _write_images(folder: Path) -> Path:
    """Photographs as the demo project paints them, as JPEG of the network's size."""
    import cv2

    from ravenml.data.demo import write_demo

    write_demo(folder / "painted", images=IMAGES)
    target = folder / "images"
    target.mkdir()
    for number, path in enumerate(sorted((folder / "painted").glob("*/img/*"))):
        image = cv2.imread(str(path))
        assert image is not None
        cv2.imwrite(str(target / f"{number:03d}.jpg"), cv2.resize(image, (SIDE, SIDE)))
    return target


def _resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="as raven serve takes it")
    parser.add_argument("--engine", choices=("torch", "onnxruntime", "openvino"), default="torch")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--count", type=int, default=256, help="images in each measurement")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--batch", type=int, help="images at once on both sides; by default the model decides"
    )
    parser.add_argument("--requests", type=int, default=10_000, help="then so many more; 0 leaves them out")
    for name in ("--side", "--images", "--told"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
