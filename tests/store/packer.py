"""A throwaway plugin whose trainings leave what real ones do: a model, checkpoints, pictures."""

from __future__ import annotations

from pathlib import Path

from throwaway import GROUP, write_plugin

SOURCE = (
    GROUP
    + """
@my_plugin.command()
@pass_train
def train(train: TrainInput):
    import os
    from ravenml.store.model_state import pack_model
    run = train.run
    folder = run.path / "checkpoints"
    folder.mkdir(exist_ok=True)
    for step in (1, 2, 3):
        file = folder / (f"model_{step:03d}.pth" if step != 2 else "model_002_best.pth")
        file.write_bytes(os.urandom(20_000))
        run.checkpoint(step, [file], best_now=step == 2, epoch=step)
        run.metrics("val", step, {"miou": step / 10}, step=step)
    previews = run.path / "previews" / "deep"
    previews.mkdir(parents=True, exist_ok=True)
    for index in range(12):
        (previews / f"{index:02d}.png").write_bytes(os.urandom(30_000))
    weights = run.path / "weights.bin"
    weights.write_bytes(os.urandom(300_000))
    config = {"settings": {"plugin": "packer", "architecture": "Tiny"}, "out_classes": [{"title": "thing"}]}
    pack_model(run.path / "model-state.tar", config, [weights])
    weights.unlink()
    return TrainOutput(metadata={"note": "packed"})
"""
)


def write_packer(site: Path) -> None:
    """Install the plugin ``packer``."""
    write_plugin(site, "packer", SOURCE)
