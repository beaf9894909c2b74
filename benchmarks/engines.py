"""Whole images: inference engines beside PyTorch's best way, packed weights with a thread for each image.

    python benchmarks/engines.py                                  LinkNet34 and UNet, untrained, 12 classes
    python benchmarks/engines.py --models RUN MODEL.tar --data ../shared/data/camvid_small

All sides predict the labels of the same images of the network's size, as many at a time as there are cores,
in turns in one process.  What is compared is a batch's time: the median of the rounds' own ratios.  With
``--models`` and ``--data``, the labels of all images are compared as well, at the images' own sizes.

It ends with an error where an engine is not as many times as fast as the limits below say, or where too few
labels are the same.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from paired import interleave, load, median_ratio

# Times as fast as PyTorch: OpenVINO in float32, and where the processor has bfloat16 or VNNI.
LIMITS = {"LinkNet34": (1.3, 2.0), "UNet": (1.05, 2.0)}
AGREEMENT = {"32": 0.9999, "bf16": 0.999}
SIDES = [("openvino", "bf16"), ("openvino", "32"), ("onnxruntime", "32")]
CLASSES, SIZE = 12, 256


def main() -> None:
    """Measure, and say whether the engines are fast and close enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", help="trained models instead of untrained networks")
    parser.add_argument("--networks", nargs="*", default=list(LIMITS))
    parser.add_argument("--data", help="project whose images' labels are compared")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, default=10, help="of one measurement")
    options = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RAVENML_STORAGE_PATH"] = os.environ.get("RAVENML_STORAGE_PATH", folder)
        models = options.models or [_untrained(name, Path(folder)) for name in options.networks]
        print(load())
        for model in models:
            kept &= _measure(str(model), options)
        print(load())
    sys.exit(0 if kept else 1)


def _measure(model: str, options: argparse.Namespace) -> bool:
    from ravenml.infer.engines.cache import cached_export
    from ravenml.infer.engines.predictor import open_graph
    from ravenml.infer.model_resolver import find_source
    from ravenml.infer.predictor import load_predictor

    source = find_source(model)
    torch = load_predictor(source.paths[0], "cpu")
    path = cached_export(source)
    sides: dict[str, Any] = {"torch": torch}
    sides |= {f"{name} {precision}": open_graph(path, name, precision) for name, precision in SIDES}
    width, height = torch.input_size
    count = sides["openvino 32"].batch_size
    random = np.random.default_rng(0)
    batch = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)

    def work(predictor: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in range(options.batches):
                predictor.predict(batch)

        return run

    architecture = str(getattr(torch, "architecture", "?"))
    print(f"\n{architecture}, {len(torch.classes)} classes, {width}×{height}, {count} images at a time")
    seconds = interleave({name: work(one) for name, one in sides.items()}, options.rounds)
    ratios = {name: 1 / median_ratio(taken, seconds["torch"]) for name, taken in seconds.items()}
    kept = True
    for name, taken in seconds.items():
        each = 1000 * float(np.median(taken)) / options.batches / count
        print(f"  {name:15} {each:7.2f} ms an image   {ratios[name]:5.2f} times as fast as PyTorch")
    for name, limit in zip(("openvino 32", "openvino bf16"), LIMITS.get(architecture, ()), strict=False):
        if name == "openvino bf16" and not _has_bfloat16():
            print("  This processor has no bfloat16.")
        elif ratios[name] < limit:
            kept = False
            print(f"  TOO SLOW: {name} should be {limit:g} times as fast.")
    if options.data:
        kept &= _compare(sides, options.data)
    return kept


def _compare(sides: dict[str, Any], data: str) -> bool:
    from ravenml.infer.inputs import open_inputs

    inputs, kept = open_inputs(data), True
    same = dict.fromkeys(sides, 0)
    pixels = 0
    for one in inputs.pictures:
        image = inputs.read(one)[0]
        labels = {name: predictor.predict(image[None])[0] for name, predictor in sides.items()}
        pixels += labels["torch"].size
        for name, found in labels.items():
            same[name] += int((found == labels["torch"]).sum())
    for name, predictor in sides.items():
        if name == "torch":
            continue
        share, least = same[name] / pixels, AGREEMENT[predictor.precision]
        kept &= share >= least
        verdict = "enough" if share >= least else f"TOO FEW; at least {least:.2%}"
        print(
            f"  {name:15} {share:.4%} of the labels in {len(inputs.pictures)} images are PyTorch's: {verdict}"
        )
    return kept


def _has_bfloat16() -> bool:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _untrained(name: str, folder: Path) -> Path:
    import torch

    from ravenml.data.meta import ObjClass
    from ravenml_unet.export import export_model
    from ravenml_unet.models.registry import create_model
    from ravenml_unet.settings import UNetSettings

    torch.manual_seed(0)
    settings = UNetSettings.model_validate({"model": name, "input_size": {"width": SIZE, "height": SIZE}})
    classes = [ObjClass(f"class {number}", "bitmap", "#808080") for number in range(CLASSES)]
    return export_model(folder / f"{name}.tar", create_model(name, CLASSES).eval(), settings, classes)


if __name__ == "__main__":
    main()
