"""How well LinkNet34 learns camvid_small: the plugin beside a plain loop, and what raises the score.

Every training is 40 epochs at 192×144 from random weights.  A side is a set of options of `raven train
unet train`, or `plain`: a loop of some thirty lines in bare PyTorch with the settings of ``BASE``.
What counts is the mean IoU on the images tagged `val` after the last epoch, so that nothing is
chosen by looking at them.

    python benchmarks/quality.py ../shared/data/camvid_small --log scores.jsonl --sides base plain --seeds 5

Finished trainings are lines of the log, and are not done again; the table is made from all of them.  It ends
with an error where `bfloat16` differs from `base`, float32, by more than 0.02 on average.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import load

MODEL, WIDTH, HEIGHT, EPOCHS, BATCH, LR, DECAY, NORM = "LinkNet34", 192, 144, 40, 8, 1e-3, 1e-4, 1.0
PRECISION_LIMIT = 0.02  # of mean IoU, which bfloat16 may differ by from float32
ALL_BUT_FLIPUD = "colour+rotate+crop+fliplr"

# What is said explicitly, so that a change of the plugin's defaults does not change a side.
BASE = {
    "--batch-size": str(BATCH),
    "--lr": str(LR),
    "--optimizer": "AdamW",
    "--weight-decay": str(DECAY),
    "--max-grad-norm": str(NORM),
    "--lr-schedule": "none",
    "--warmup-epochs": "0",
    "--jaccard-weight": "0",
    "--augmentations": "none",
    "--precision": "32",
}
COSINE = {"--lr-schedule": "cosine", "--warmup-epochs": "1"}
BALANCED = {"--class-weights": "balanced"}
AUGMENTED = {"--augmentations": ALL_BUT_FLIPUD}
SMALL = {"--batch-size": "4"}
SIDES: dict[str, dict[str, str] | None] = {
    "plain": None,
    "base": {},
    "bfloat16": {"--precision": "bf16"},
    "cosine": COSINE,
    "batch 4": SMALL,
    "augmented": AUGMENTED,
    "fliplr": {"--augmentations": "FLIPLR"},
    "balanced": BALANCED,
    "jaccard 0.1": {"--jaccard-weight": "0.1"},
    "jaccard 0.3": {"--jaccard-weight": "0.3"},
    "lr 0.0003": {"--lr": "0.0003"},
    "lr 0.003": {"--lr": "0.003"},
    "no clipping": {"--max-grad-norm": "0"},
    "cosine, batch 4": COSINE | SMALL,
    "cosine, batch 4, augmented": COSINE | SMALL | AUGMENTED,
    "cosine, batch 4, fliplr": COSINE | SMALL | {"--augmentations": "FLIPLR"},
    "cosine, batch 4, balanced": COSINE | SMALL | BALANCED,
    "cosine, batch 4, jaccard 0.1": COSINE | SMALL | {"--jaccard-weight": "0.1"},
    "cosine, batch 2": COSINE | {"--batch-size": "2"},
}


def through_raven(dataset: Path, options: dict[str, str], seed: int) -> dict[str, float]:
    """The scores of the last validation of one training through the command line."""
    with tempfile.TemporaryDirectory() as home:
        flip = Path(home) / "fliplr.yaml"
        flip.write_text("pipeline:\n  - {name: flip_lr, p: 0.5}\n")
        head = f"train --dataset {shlex.quote(str(dataset))} --local {home}/out unet train --model {MODEL}"
        size = f"--epochs {EPOCHS} --input-width {WIDTH} --input-height {HEIGHT} --seed {seed} --previews 0"
        given = " ".join(f"{name} {value}" for name, value in (BASE | options).items())
        words = shlex.split(f"{head} {size} {given.replace('FLIPLR', str(flip))}")
        command = [sys.executable, "-m", "ravenml", *words]
        environment = os.environ | {"RAVENML_STORAGE_PATH": home}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        (events,) = Path(home).glob("runs/*/events.jsonl")
        told = [json.loads(line) for line in events.read_text().splitlines()]
    validations = [event["metrics"] for event in told if event.get("type") == "val"]
    return {"miou": validations[-1]["miou"], "best": max(metrics["miou"] for metrics in validations)}


def plain(dataset: Path, seed: int) -> dict[str, float]:
    """The same training as people write it themselves: no augmentation, no schedule, everything in memory."""
    import cv2
    import numpy as np
    import torch
    from torch.nn import functional as F

    from ravenml.data.classes import class_order
    from ravenml.data.project import Project
    from ravenml.data.samples import Samples
    from ravenml.data.split import default_split
    from ravenml.infer.metrics import confusion_matrix, segmentation_metrics
    from ravenml_unet.models.registry import create_model

    project = Project.open(dataset)
    titles = [known.title for known in class_order(project)]
    split = default_split(project)

    def tensors(items: list) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = [Samples(project, items, titles, cache=None)[i] for i in range(len(items))]
        images = np.stack([cv2.resize(image, (WIDTH, HEIGHT)) for image, _ in pairs])
        nearest = cv2.INTER_NEAREST_EXACT
        labels = np.stack([cv2.resize(label, (WIDTH, HEIGHT), interpolation=nearest) for _, label in pairs])
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        return (x - mean[:, None, None]) / std[:, None, None], torch.from_numpy(labels).long()

    images, labels = tensors(split.train)
    val_images, val_labels = tensors(split.val)
    torch.manual_seed(seed)
    model = create_model(MODEL, len(titles))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    scores = []
    for _ in range(EPOCHS):
        model.train()
        for batch in torch.randperm(len(images)).split(BATCH):
            loss = F.nll_loss(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), NORM)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            predicted = torch.cat([model(part).argmax(1) for part in val_images.split(BATCH)])
        confusion = confusion_matrix(val_labels.numpy(), predicted.numpy(), len(titles))
        scores.append(segmentation_metrics(confusion, titles)["miou"])
    return {"miou": scores[-1], "best": max(scores)}


def show(log: Path) -> bool:
    """Print the table: mean and standard deviation over seeds, and the paired difference to `base`.

    Returns:
        Whether the limit is kept.
    """
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found: dict[str, dict[int, dict[str, float]]] = {}
    for line in lines:
        found.setdefault(line["side"], {})[line["seed"]] = line
    base, kept = found.get("base", {}), True
    print("| settings | seeds | mean IoU | ± | best epoch's | beside base, same seeds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in [side for side in SIDES if side in found]:
        values = [one["miou"] for one in found[name].values()]
        spread = f"{statistics.stdev(values):.3f}" if len(values) > 1 else "-"
        best = statistics.mean(one["best"] for one in found[name].values())
        both = sorted(set(found[name]) & set(base))
        differences = [found[name][seed]["miou"] - base[seed]["miou"] for seed in both]
        beside = f"{statistics.mean(differences):+.3f}" if differences and name != "base" else "-"
        if name == "bfloat16" and differences:
            kept = abs(statistics.mean(differences)) <= PRECISION_LIMIT
        mean = statistics.mean(values)
        print(f"| {name} | {len(values)} | {mean:.3f} | {spread} | {best:.3f} | {beside} |")
    if not kept:
        print(f"bfloat16 differs from float32 by more than {PRECISION_LIMIT}.")
    return kept


def main() -> int:
    """Train what the log does not have yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--log", type=Path, required=True, help="finished trainings, a line of JSON each")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=["base", "plain"], metavar="SIDE")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    given = parser.parse_args()
    given.log.touch()
    done = {(one["side"], one["seed"]) for one in map(json.loads, given.log.read_text().splitlines())}
    for seed in range(given.seeds):
        for side in given.sides:
            if (side, seed) in done:
                continue
            begin, options = time.monotonic(), SIDES[side]
            scores = (
                plain(given.dataset, seed)
                if options is None
                else through_raven(given.dataset.absolute(), options, seed)
            )
            seconds = time.monotonic() - begin
            line = {"side": side, "seed": seed, **scores, "seconds": round(seconds, 1)}
            with given.log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), load(), flush=True)
    return 0 if show(given.log) else 1


if __name__ == "__main__":
    sys.exit(main())
