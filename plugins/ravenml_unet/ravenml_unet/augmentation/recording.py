"""What a run keeps of its augmentations."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.io import write_bytes, write_json
from ravenml.toolkit.augmentation.pipeline import Pipeline

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
