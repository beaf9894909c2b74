"""The commands ``raven train tf-bbox …``.  TensorFlow is imported only when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ravenml.train.options import evaluate_options, kfold_opt, pass_train, show_metrics

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml.train.interfaces import TrainInput, TrainOutput


@click.group(help="Bounding boxes with RetinaNet (TensorFlow, Keras).")
@click.pass_context
@kfold_opt
def tf_bbox(ctx: click.Context, kfold: bool) -> None:
    """The plugin's group; ``--kfold`` is read by the core."""


@tf_bbox.command(help="Train a detector on a Supervisely project.")
@pass_train
@click.pass_context
def train(ctx: click.Context, train: TrainInput) -> TrainOutput | None:
    """Train one detector on one split."""
    from ravenml_tf_bbox.training import run_training

    return run_training(train)


@tf_bbox.command(help="Evaluate MODEL (a run, its folder or a model-state.tar) on a dataset.")
@evaluate_options
def evaluate(
    model: Path, project: Project, out: Path, items: Path | None, batch_size: int, device: str
) -> None:
    """Write ``evaluation.json`` and pictures, and print COCO's scores over all images."""
    from ravenml.infer.metrics import with_undefined
    from ravenml_tf_bbox.evaluating import FILE, evaluate_model
    from ravenml_tf_bbox.metrics import FIRST

    found = evaluate_model(model, project, out, items, device, batch_size).metrics()
    show_metrics(with_undefined(found, FIRST))
    click.echo(f"Evaluation: {out / FILE}")


@tf_bbox.command(help="Export MODEL (a run, its folder or a model-state.tar) as SavedModel and TFLite.")
@click.argument("model")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("exported"),
    show_default=True,
    help="Folder for saved_model/, model.tflite and classes.json.",
)
@click.option("--score", type=click.FloatRange(0, 1), help="Minimum score of a box.  Default: 0.3.")
@click.option(
    "--iou", type=click.FloatRange(0, 1), help="IoU threshold of non-maximum suppression.  Default: 0.5."
)
@click.option("--most", type=click.IntRange(1, 10_000), help="Maximum boxes per image.  Default: 300.")
def export(model: str, out: Path, score: float | None, iou: float | None, most: int | None) -> None:
    """Write both, and check that they predict the same as the model."""
    from ravenml.infer.model_resolver import find_one_model
    from ravenml_tf_bbox.exporting import export_model

    for line in export_model(find_one_model(model), out, {"score": score, "iou": iou, "most": most}):
        click.echo(line)


@tf_bbox.command(help="List the networks for --model.")
def models() -> None:
    """A line each: name and description; piped, they are divided by a tab."""
    import sys

    from ravenml_tf_bbox.models import ARCHITECTURES

    for name, its in ARCHITECTURES.items():
        click.echo(f"{name:16}{its.description}" if sys.stdout.isatty() else f"{name}\t{its.description}")
