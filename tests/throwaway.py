"""Throwaway plugins for tests: a module and the metadata of a distribution, in a folder on the path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

GROUP = """
import click
from ravenml.train.options import kfold_opt, pass_train
from ravenml.train.interfaces import TrainInput, TrainOutput

@click.group(help='A plugin as its authors write it today.')
@click.pass_context
@kfold_opt
def my_plugin(ctx, kfold): pass
"""

AS_WRITTEN_TODAY = (
    GROUP
    + """
@my_plugin.command()
@pass_train
@click.pass_context
def train(ctx, train: TrainInput):
    return TrainOutput()
"""
)

LEARNS = (
    GROUP
    + """
@my_plugin.command()
@pass_train
@click.pass_context
def train(ctx, train: TrainInput):
    import os, time
    import numpy as np
    from ravenml.train.scores import Scores
    run, s = train.run, train.settings
    start = 1
    if train.resume_from is not None and (run.path / "checkpoints" / "state_epoch.txt").exists():
        start = int((run.path / "checkpoints" / "state_epoch.txt").read_text()) + 1
        run.resumed(step=start - 1, epoch=start - 1)
    print("training on", len(train.split.train), "images")
    run.progress("Epoch", start - 1, s.epochs)
    for epoch in range(start, s.epochs + 1):
        if str(train.fold) == os.environ.get("FAIL_FOLD"):
            raise ValueError("the fold broke")
        for _ in range(int(float(os.environ.get("SECONDS", s.seconds)) * 50)):
            if s.polite and run.should_stop() and not s.stubborn:
                return None
            time.sleep(0.02)
        state = run.path / "checkpoints" / "state_epoch.txt"
        state.write_text(str(epoch))
        run.checkpoint(epoch, [state], epoch=epoch)
        run.metrics("train", epoch, {"loss": 1 / epoch}, step=epoch)
        run.metrics("val", epoch, {"loss": 1 / epoch, "miou": epoch / 10}, step=epoch)
        run.progress("Epoch", epoch, s.epochs)
    (run.path / "threads.txt").write_text(os.environ.get("OMP_NUM_THREADS", "free"))
    items = [item.key for item in train.split.val]
    # Every image counts a different number of pixels, so that a mean of means differs from the whole.
    counts = np.array([[[len(key), 1], [2, sum(map(ord, key)) % 50]] for key in items])
    if s.without_scores:
        return TrainOutput()
    scores = Scores.segmentation(items, counts, ["__bg__", "thing"])
    return TrainOutput(scores=scores, metadata={"note": "learned"})
"""
)

SETTINGS = """
from typing import Literal
from pydantic import BaseModel, Field
from ravenml.train.settings import TrainSettings

class Size(BaseModel):
    width: int = Field(64, gt=0, json_schema_extra={"option": "--input-width"})
    height: int = Field(48, gt=0, json_schema_extra={"option": "--input-height"})

class Settings(TrainSettings):
    epochs: int = Field(2, ge=1, description="How many epochs.")
    lr: float = Field(0.1, gt=0, description="Learning rate.")
    optimizer: Literal["sgd", "adam"] = "sgd"
    input_size: Size = Size()
    classes: list[str] = []
    seconds: float = 0.0
    polite: bool = True
    stubborn: bool = False
    without_scores: bool = False
    api_token: str = ""
"""


def write_plugin(
    folder: Path,
    name: str,
    source: str,
    *,
    distribution: str | None = None,
    version: str = "1.2",
    target: str = "my_plugin",
    settings: str | None = None,
    files: Mapping[str, str] | None = None,
    more_entry_points: str = "",
) -> None:
    """Write what pip would have installed for a plugin called ``name``.

    Args:
        folder: a folder on the path.
        name: the entry point's name.
        source: the module's code.
        distribution: the distribution's name; by default ``ravenml_<name>``.
        target: the object that the entry point names; a dotted module may stand before a colon.
        settings: the code of a module whose ``Settings`` is published.
        files: further files of the package, by name.
        more_entry_points: further lines of ``entry_points.txt``.
    """
    distribution = distribution or f"ravenml_{name}"
    package = folder / distribution
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "core.py").write_text(dedent(source))
    lines = [
        "[ravenml.plugins.train]",
        f"{name} = {target if ':' in target else f'{distribution}.core:{target}'}",
    ]
    if settings is not None:
        (package / "settings.py").write_text(dedent(settings))
        lines += ["[ravenml.plugins.settings]", f"{name} = {distribution}.settings:Settings"]
    for file, content in (files or {}).items():
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text(dedent(content))
    info = folder / f"{distribution}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("\n".join([*lines, dedent(more_entry_points)]) + "\n")
