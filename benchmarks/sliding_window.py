"""Blended sliding windows: ravenML's beside MONAI's `sliding_window_inference`.

    python benchmarks/sliding_window.py --python PYTHON            20 images of 1920×1440
    python benchmarks/sliding_window.py --python PYTHON --images 2 --rounds 1 --batch-sizes 1

Both run the same network with the same weights over the same images, windows and overlap, and end with the
same thing: a map of the likeliest class, uint8, for every image.  Both see uint8 RGB, and both give windows
weights that fall off to their edges.  MONAI is tried with several batch sizes and counts with its fastest;
ravenML uses what it chooses for the device.  Each measurement is a process of its own, whose peak of
resident memory is reported; the sides take turns.

``--engine openvino`` (or ``onnxruntime``) lets ravenML run the network with an inference engine, in the
engine's default precision.  It must then be twice as fast as MONAI's fastest.

MONAI is not among ravenML's dependencies.  ``PYTHON`` has it, and ravenML, the U-Net plugin and PyTorch of
the same version; without it, the one that runs this is used.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 12


def main() -> None:
    """Measure, and say whether ravenML is fast and small enough."""
    options = _parser().parse_args()
    if options.side == "export":
        return _export(options)
    if options.side:
        print(json.dumps(run(options)))
        return
    from paired import load

    batches = [int(size) for size in options.batch_sizes.split(",")]
    print(
        f"{options.images} images of {options.width}×{options.height}, {options.network}, {CLASSES} classes, "
        f"windows of {options.window}, overlap {options.overlap}; {load()}"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        options.exports = folder
        if options.engine != "torch":
            _start(options, "export")
        for number in range(options.rounds):
            sides = ["raven", *(f"monai {size}" for size in batches)]
            for side in sides if number % 2 == 0 else reversed(sides):
                found.setdefault(side, []).append(_apart(options, side))
    kept = _report(found, 1 if options.engine == "torch" else 2)
    print(load())
    sys.exit(0 if kept else 1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One side over all images: seconds without loading, and a few numbers to compare the results by."""
    side, _, batch = options.side.partition(" ")
    predict = _raven(options) if side == "raven" else _monai(int(batch), options)
    images = _images(options)
    first = next(images)
    predict(first[: options.window, : options.window])  # warm up
    base = _peak()
    seconds, counts = 0.0, np.zeros(CLASSES + 1, np.int64)
    for image in [first, *images] if options.images <= 1 else _chain(first, images):
        begin = time.perf_counter()
        labels = predict(image)
        seconds += time.perf_counter() - begin
        counts += np.bincount(labels.ravel(), minlength=CLASSES + 1)
    return {
        "seconds": seconds,
        "peak": _peak(),
        "before": base,
        "counts": counts.tolist(),
    }


def _raven(options: argparse.Namespace) -> Any:
    from ravenml.infer.modes.blending import blend, most_likely
    from ravenml.infer.modes.grid import Grid
    from ravenml.infer.network import default_batch_size

    predictor = _predictor(options)
    batch = default_batch_size(predictor)

    def predict(image: np.ndarray) -> np.ndarray:
        window = (options.window, options.window)
        grid = Grid.over(image.shape[:2], window, (options.overlap, options.overlap))
        numbers = np.zeros(image.shape[:2], np.uint8)
        said = lambda tiles: predictor.predict(tiles, want="probabilities")  # noqa: E731

        def take(top: int, band: np.ndarray) -> None:
            numbers[top : top + band.shape[1]] = most_likely(band)

        blend(grid, image, CLASSES, said, take, batch)
        return numbers - 1

    return predict


def _predictor(options: argparse.Namespace) -> Any:
    """The network behind ravenML's interface: PyTorch's, or an engine's, which imports no PyTorch."""
    if options.engine != "torch":
        from ravenml.infer.engines.predictor import open_graph

        return open_graph(_exported(options), options.engine)
    from ravenml.data.meta import ObjClass
    from ravenml_unet.predict import UNetPredictor

    model, device = _network(options.network)
    classes = [ObjClass(f"class {number}", "bitmap", "#000000") for number in range(CLASSES)]
    return UNetPredictor(model, classes, (options.window, options.window), device, options.network)


def _export(options: argparse.Namespace) -> None:
    """Write the network as a file for engines."""
    from ravenml.data.meta import ObjClass
    from ravenml.infer.engines.export import export_model
    from ravenml.infer.model_resolver import ModelSource
    from ravenml_unet.export import export_model as pack
    from ravenml_unet.settings import UNetSettings

    model, _ = _network(options.network)
    size = {"width": options.window, "height": options.window}
    settings = UNetSettings.model_validate({"model": options.network, "input_size": size})
    classes = [ObjClass(f"class {number}", "bitmap", "#000000") for number in range(CLASSES)]
    path = _exported(options)
    tar = pack(path.with_suffix(".tar"), model, settings, classes)
    export_model(ModelSource("model", (tar,)), "onnx", path)


def _exported(options: argparse.Namespace) -> Path:
    return Path(options.exports) / "model.onnx"


def _monai(batch: int, options: argparse.Namespace) -> Any:
    import torch
    from monai.inferers import sliding_window_inference

    model, _ = _network(options.network)
    mean = torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)

    @torch.inference_mode()
    def predict(image: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(image)[None].permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(deviation)
        said = sliding_window_inference(
            x,
            (options.window, options.window),
            batch,
            lambda tiles: model(tiles.contiguous(memory_format=torch.channels_last)).exp(),
            overlap=options.overlap / options.window,
            mode="gaussian",
        )
        return said.argmax(dim=1)[0].to(torch.uint8).numpy()

    return predict


def _network(name: str) -> tuple[Any, Any]:
    import torch

    from ravenml_unet.models.registry import create_model

    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return create_model(name, CLASSES).eval().to(device, memory_format=torch.channels_last), device


def _images(options: argparse.Namespace) -> Iterator[np.ndarray]:
    """Made-up pictures: soft shapes and noise, the same for every side."""
    import cv2

    for number in range(options.images):
        random = np.random.default_rng(number)
        rough = random.integers(0, 256, (options.height // 40, options.width // 40, 3), np.uint8)
        soft = cv2.resize(rough, (options.width, options.height), interpolation=cv2.INTER_CUBIC)
        yield np.ascontiguousarray(cv2.add(soft, random.integers(0, 20, soft.shape, np.uint8)))


def _chain(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others


def _apart(options: argparse.Namespace, side: str) -> dict[str, Any]:
    """One side in a process of its own."""
    result: dict[str, Any] = json.loads(_start(options, side).splitlines()[-1])
    print(f"  {side:9}  {result['seconds']:7.2f} s   peak {result['peak'] / 2**20:5.0f} MiB", flush=True)
    return result


def _start(options: argparse.Namespace, side: str) -> str:
    """Run this script for one side; what it prints."""
    passed = ["images", "width", "height", "window", "overlap", "network", "engine", "exports"]
    arguments = [part for name in passed for part in (f"--{name}", str(getattr(options, name)))]
    command = [options.python, os.path.abspath(__file__), "--side", side, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _report(found: dict[str, list[dict[str, Any]]], limit: float) -> bool:
    from paired import median_ratio

    walls = {side: [one["seconds"] for one in runs] for side, runs in found.items()}
    median = {side: float(np.median(seconds)) for side, seconds in walls.items()}
    peak = {side: max(one["peak"] for one in runs) / 2**20 for side, runs in found.items()}
    others = {side: seconds for side, seconds in median.items() if side != "raven"}
    best = min(others, key=lambda side: others[side])
    faster = median_ratio(walls[best], walls["raven"])
    print(
        f"\nMONAI is fastest with a batch of {best.split()[1]}: {others[best]:.2f} s.  "
        f"ravenML: {median['raven']:.2f} s: "
        f"{faster:.3f} times as fast, the median of the rounds' ratios."
    )
    if "monai 1" in peak:
        print(f"Peak: ravenML {peak['raven']:.0f} MiB, MONAI at batch 1 {peak['monai 1']:.0f} MiB.")
    ours, theirs = np.array(found["raven"][0]["counts"]), np.array(found[best][0]["counts"])
    print(
        f"Counts of classes differ by {np.abs(ours - theirs).sum() / 2 / ours.sum():.3%} of the pixels; "
        "the windows' weights do too."
    )
    return faster >= limit


def _peak() -> int:
    """The peak of resident memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1440)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--overlap", type=int, default=32)
    parser.add_argument("--network", default="LinkNet34")
    parser.add_argument("--batch-sizes", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--engine", choices=("torch", "onnxruntime", "openvino"), default="torch")
    parser.add_argument("--exports", help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
