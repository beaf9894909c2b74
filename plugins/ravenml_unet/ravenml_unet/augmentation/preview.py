"""What a run keeps of its augmentations: the pipeline, and a script that shows what it does to an image."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ravenml.common.io import write_bytes, write_json
from ravenml.data.images import read_image
from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.augmentation.reading import read_pipeline
from ravenml_unet.augmentation.augmenter import Augmenter

COLUMNS, WIDTH = 4, 256

SCRIPT = '''"""Shows what this training's augmentations do to an image; needs the plugin ravenml_unet.

    python augs_preview.py IMAGE [--count 11] [--seed 0] [--out augs_preview.png]
"""

from pathlib import Path

from ravenml_unet.augmentation.preview import main

if __name__ == "__main__":
    main(Path(__file__).with_name("augs_config.json"))
'''


def record_augmentations(info: Path, pipeline: Pipeline) -> None:
    """Write ``augs_config.json``, which ``--augmentations`` reads, and the script that shows what it does."""
    write_json(info / "augs_config.json", pipeline.plain())
    if pipeline.pipeline:
        write_bytes(info / "augs_preview.py", SCRIPT.encode())


def main(config: Path, arguments: list[str] | None = None) -> None:
    """The command line of ``augs_preview.py``."""
    parser = argparse.ArgumentParser(description="Shows what a training's augmentations do to an image.")
    parser.add_argument("image", type=Path)
    parser.add_argument("--count", type=int, default=11, help="how many changed images to show")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("augs_preview.png"))
    given = parser.parse_args(arguments)
    picture = preview(read_pipeline(config), read_image(given.image), given.count, given.seed)
    write_bytes(given.out, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    print(given.out)


def augment_images(
    pipeline: Pipeline, image: NDArray[np.uint8], count: int, seed: int = 0
) -> list[NDArray[np.uint8]]:
    """``count`` images that training could see instead of ``image``; all uint8 RGB ``(H, W, 3)``."""
    nothing = np.zeros(image.shape[:2], np.uint8)
    return [changed for changed, _ in augment_pairs(pipeline, image, nothing, count, seed)]


def augment_pairs(
    pipeline: Pipeline, image: NDArray[np.uint8], mask: NDArray[np.uint8], count: int, seed: int = 0
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """``count`` pairs that training could see instead of an image and its mask, uint8 ``(H, W)``."""
    batch = torch.from_numpy(image).permute(2, 0, 1).float().div(255).repeat(count, 1, 1, 1)
    labels = torch.from_numpy(mask).long().repeat(count, 1, 1)
    seen, moved = Augmenter(pipeline, 0)(batch, labels, seed)
    images = seen.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return list(zip(images, moved.byte().numpy(), strict=True))


def preview(
    pipeline: Pipeline, image: NDArray[np.uint8], count: int = 11, seed: int = 0
) -> NDArray[np.uint8]:
    """The image itself, and ``count`` changed ones, as one picture.

    Args:
        image: uint8 RGB ``(H, W, 3)``.

    Returns:
        uint8 RGB, four images to a row, each at most 256 pixels wide.
    """
    scale = min(1.0, WIDTH / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    tiles = [small, *augment_images(pipeline, small, count, seed)]
    tiles += [np.full_like(small, 255)] * (-len(tiles) % COLUMNS)
    tiles = [np.pad(tile, ((0, 4), (0, 4), (0, 0)), constant_values=255) for tile in tiles]
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)
