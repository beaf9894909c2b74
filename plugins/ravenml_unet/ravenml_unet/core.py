"""The command ``raven train unet train``.  torch is imported only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ravenml.train.options import TRUST_CODE, evaluate_options, kfold_opt, pass_train, show_metrics

if TYPE_CHECKING:
    from ravenml.data.project import Project
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
    help="Evaluate MODEL (a run, a model-state.tar, or a folder of Supervisely's U-Net app) on a dataset."
)
@evaluate_options
def evaluate(
    model: Path, project: Project, out: Path, items: Path | None, batch_size: int, device: str
) -> None:
    """Write ``evaluation.json`` and pictures, and print the scores over all pixels."""
    from ravenml.infer.metrics import MEANS, with_undefined
    from ravenml_unet.evaluating import FILE, evaluate_model

    found = evaluate_model(model, project, out, items, device, batch_size).metrics()
    show_metrics(with_undefined(found, MEANS))
    click.echo(f"Evaluation: {out / FILE}")


@unet.command(help="Write the weights of MODEL (as `evaluate` takes it) as a .safetensors file.")
@click.argument("model")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--trust-code", is_flag=True, help=TRUST_CODE)
def export(model: str, file: Path, trust_code: bool) -> None:
    """Any framework can read them, and they can hold no code."""
    from ravenml.infer.model_resolver import find_one_model
    from ravenml_unet.loading import load_model
    from ravenml_unet.weights import SAFETENSORS, bare_state, save_safetensors

    if file.suffix != SAFETENSORS:
        raise click.UsageError(f"FILE must end in {SAFETENSORS}, unlike {file}.")
    predictor = load_model(find_one_model(model), "cpu", trust_code)
    click.echo(f"Exported: {save_safetensors(file.expanduser().absolute(), bare_state(predictor.model))}")


@unet.command(help="List the networks for --model.")
def models() -> None:
    """A line each: name and description; piped, names and descriptions are divided by a tab."""
    import sys

    from ravenml_unet.models.registry import model_descriptions

    for name, description in model_descriptions().items():
        click.echo(f"{name:12}  {description}" if sys.stdout.isatty() else f"{name}\t{description}")
