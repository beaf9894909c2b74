"""The command ``raven train unet train``.  torch is imported only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ravenml.train.options import kfold_opt, pass_train

if TYPE_CHECKING:
    from ravenml.train.interfaces import TrainInput, TrainOutput


@click.group(help="Semantic segmentation with U-Nets (PyTorch).")
@click.pass_context
@kfold_opt
def unet(ctx: click.Context, kfold: bool) -> None:
    """The plugin's group; ``--kfold`` is read by the core."""


@unet.command(help="Train a U-Net on a Supervisely project.")
@pass_train
@click.pass_context
def train(ctx: click.Context, train: TrainInput) -> TrainOutput | None:
    """Train one network on one split."""
    from ravenml_unet.training import run_training

    return run_training(train)


@unet.command(
    help="Measure MODEL on a dataset: a model-state.tar, a run's folder, or one of Supervisely's U-Net app."
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", help="The dataset: a folder or a name.  Default: the configured one.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("evaluation"),
    show_default=True,
    help="The folder for evaluation.json and the pictures.",
)
@click.option(
    "--items",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Measure only the images that this file lists, such as a run's info/val_set.json.",
)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Images per step.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to compute."
)
@click.pass_context
def evaluate(
    context: click.Context,
    model: Path,
    dataset: str | None,
    out: Path,
    items: Path | None,
    batch_size: int,
    device: str,
) -> None:
    """Write ``evaluation.json`` and pictures, and print the scores over all pixels."""
    from ravenml.config.config import load_config
    from ravenml.data.known import resolve_dataset
    from ravenml.data.project import Project
    from ravenml.errors import InputError
    from ravenml.train.given import given_options

    named = dataset or given_options(context).get("dataset") or load_config().dataset
    if named is None:
        raise InputError("No dataset is named; name one with `--dataset DIR`.")
    project = Project.open(resolve_dataset(named))
    from ravenml_unet.evaluating import FILE, evaluate_model

    evaluation = evaluate_model(model, project, out, items, device, batch_size)
    for name, value in evaluation.metrics().items():
        if "/" not in name:
            click.echo(f"{name:16} {value:.4f}")
    click.echo(f"Evaluation: {out / FILE}")


@unet.command(help="List the networks that --model knows by name.")
def models() -> None:
    """A line each: name and description; piped, names and descriptions are divided by a tab."""
    import sys

    from ravenml_unet.models.registry import model_descriptions

    for name, description in model_descriptions().items():
        click.echo(f"{name:12}  {description}" if sys.stdout.isatty() else f"{name}\t{description}")
