"""What the U-Net plugin's training costs beside the loop that one would write in plain PyTorch.

    python benchmarks/training.py PROJECT [--model UNet] [--device auto] [--precision auto] [--rounds 20]
    python benchmarks/training.py PROJECT --only steps|speed|augmentation

Three measurements, each side in a process of its own that trains four epochs a turn (training_sides.py):

- ``speed``: the whole plugin (medium augmentation, events, checkpoints each epoch) beside a bare loop with
  the same network, precision, memory format and augmentation, all images in memory: at least 0.97 of its
  images/s.  Where the precision is bfloat16, also beside the plain float32 loop: at least 1.1 times as fast,
  with AMX 3 times (``LinkNet34``: 2 times); with ``--compile``, the plugin with that option too.
- ``steps``: what is added to each step, seen with a network that costs next to nothing: at most 1 ms.  Beside
  it what Lightning's default Trainer adds, where the package ``pytorch-lightning`` is installed.
- ``augmentation``: the share of a training step that augmentation takes, for each template and network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from paired import interleave, load, median_ratio, report, waiting_process

from ravenml.data.demo import write_demo
from ravenml.data.project import Project
from ravenml.data.split import default_split

MEDIUM = "colour+rotate+crop"  # the third of the five templates
TURN = 4  # epochs of one side before it is another one's turn; its last checkpoint is waited for
ENOUGH, STEP_LIMIT = 0.97, 0.001
BF16_FASTER = 1.1  # what is chosen because it is faster must be
BF16_FASTER_WITH_AMX = {"UNet": 3.0, "LinkNet34": 2.0}
NETWORKS = ("UNet", "UNet11", "UNet16", "AlbuNet", "LinkNet34")


def sides(names: list[str], project: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The processes of these sides; ``compiled`` is the plugin with ``--compile``."""
    script = str(Path(__file__).with_name("training_sides.py"))
    started = {}
    for name in names:
        side, its = ("plugin", settings | {"compile": True}) if name == "compiled" else (name, settings)
        started[name] = waiting_process(
            [sys.executable, script, side, str(project), str(TURN), json.dumps(its)]
        )
    return started


def training_images(project: Path) -> int:
    """How many images an epoch has."""
    return len(default_split(Project.open(project), notice=lambda text: None).train)


def measure_speed(project: Path, settings: dict[str, Any], bf16: bool, compiled: bool, rounds: int) -> bool:
    """Compare images/s; False where they are too few."""
    images = training_images(project)
    names = ["bare", "plugin", *(["plain"] if bf16 else []), *(["compiled"] if compiled else [])]
    print(f"\nspeed: {settings['model']}, {images} images an epoch, {rounds} turns of {TURN} epochs")
    print(f"before: {load()}")
    seconds = interleave(sides(names, project, settings), rounds)
    print(f"after: {load()}")
    report(seconds, "bare")
    for name, values in seconds.items():
        print(f"{name}: {TURN * images / statistics.median(values):.2f} images/s")
    share = 1 / median_ratio(seconds["plugin"], seconds["bare"])
    kept = share >= ENOUGH
    print(f"The plugin has {share:.3f} of the bare loop's images/s ({verdict(kept)}: {ENOUGH}).")
    if bf16:
        import torch

        amx = BF16_FASTER_WITH_AMX if torch.cpu._is_amx_tile_supported() else {}
        wanted = amx.get(settings["model"], BF16_FASTER)
        times = median_ratio(seconds["plain"], seconds["plugin"])
        print(f"In bfloat16 it is {times:.2f} times as fast as the plain float32 loop", end=" ")
        print(f"({verdict(times >= wanted)}: {wanted:g}).")
        kept &= times >= wanted
    if compiled:
        times = median_ratio(seconds["plugin"], seconds["compiled"])
        print(f"With --compile it is {times:.2f} times as fast as without.")
    return kept


def measure_steps(settings: dict[str, Any], rounds: int) -> bool:
    """See what is added to each step; False where it is too much."""
    tiny = settings | {
        "model": "training_sides:Tiny",
        "input_size": {"width": 32, "height": 32},
        "augmentations": "none",
    }
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as folder:
        project = Path(folder) / "demo"
        write_demo(project, images=400)
        steps = -(-training_images(project) // tiny["batch_size"]["train"])
        names = ["bare", "plugin"]
        if find_spec("pytorch_lightning"):
            names.append("lightning")
        else:
            print("\nLightning is left out: install pytorch-lightning to see what its Trainer adds.")
        print(f"\nsteps: a tiny network, {steps} steps an epoch, {rounds} turns of {TURN} epochs")
        print(f"before: {load()}")
        seconds = interleave(sides(names, project, tiny), rounds)
    print(f"after: {load()}")
    report(seconds, "bare")
    added = {}
    for name in names[1:]:
        pairs = zip(seconds[name], seconds["bare"], strict=True)
        added[name] = statistics.median(side - bare for side, bare in pairs) / (TURN * steps)
        print(f"{name}: {1000 * added[name]:.3f} ms added to each step")
    kept = added["plugin"] <= STEP_LIMIT
    print(f"The plugin's part is {verdict(kept)}: {1000 * STEP_LIMIT:g} ms.")
    return kept


def measure_augmentation(settings: dict[str, Any], project: Path, rounds: int) -> None:
    """Print the share of augmentation in a step, for each template and network."""
    from training_sides import Bare

    from ravenml.toolkit.augmentation.templates import TEMPLATES
    from ravenml_unet.settings import UNetSettings

    def bare(**changes: Any) -> Bare:
        return Bare(Project.open(project), UNetSettings(**settings | {"augmentations": "none"} | changes))

    print(f"\naugmentation: its share of a step, {rounds} batches of each; before: {load()}")
    # Each seed changes other images, so that many are needed.
    cost = [statistics.mean(bare(augmentations=name).augmenting(8 * rounds)) for name in TEMPLATES]
    print(f"{'':10}  {'without':>10}  " + "  ".join(f"{'+' + name.split('+')[-1]:>8}" for name in TEMPLATES))
    for model in NETWORKS:
        step = statistics.median(bare(model=model).stepping(rounds))
        shares = "  ".join(f"{100 * one / (one + step):7.1f}%" for one in cost)
        print(f"{model:10}  {1000 * step:7.1f} ms  {shares}")
    print(f"{'alone':10}  {'':>10}  " + "  ".join(f"{1000 * one:5.1f} ms" for one in cost))
    print(f"after: {load()}")


def verdict(kept: bool) -> str:
    """In words."""
    return "within the limit" if kept else "NOT within the limit"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--only", choices=["speed", "steps", "augmentation"])
    parser.add_argument("--model", default="UNet")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action="store_true", help="time the plugin with --compile too")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()

    import torch
    from training_sides import step_shape

    from ravenml_unet.autotune import describe_measurements
    from ravenml_unet.device import choose_device, choose_execution
    from ravenml_unet.settings import UNetSettings

    device = choose_device(given.device)
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    settings = {
        "model": given.model,
        "input_size": {"width": 128, "height": 96},
        "batch_size": {"train": 8, "val": 8},
        "augmentations": MEDIUM,
        "device": device,
        "precision": given.precision,
        "previews": 0,
    }
    shape = step_shape(Project.open(given.project), UNetSettings(**settings))
    execution = choose_execution(given.precision, device, shape)
    precision = settings["precision"] = execution.precision
    print(f"torch {torch.__version__}, {device}, {where}; precision {given.precision} is {precision}")
    print(*describe_measurements(execution), sep="\n")
    kept = True
    if given.only in (None, "steps"):
        kept &= measure_steps(settings, given.rounds)
    if given.only in (None, "speed"):
        kept &= measure_speed(given.project, settings, precision == "bf16", given.compile, given.rounds)
    if given.only in (None, "augmentation"):
        measure_augmentation(settings, given.project, given.rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
