"""What the command ``evaluate`` of every plugin takes: a model, a dataset, and where the results go."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click


def evaluate_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments of an evaluation.

    The function is called with ``model`` (the path of what was named, which may be a run's id), ``project``
    (the opened dataset), ``out`` (the folder for the results), ``items`` (a file that lists images, or None),
    ``batch_size`` and ``device``.
    """

    @click.argument("model")
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
    @click.option(
        "--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Images per step."
    )
    @click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        help="Where to compute.",
    )
    @click.pass_context
    @functools.wraps(function)
    def with_project(context: click.Context, /, model: str, dataset: str | None, **given: Any) -> Any:
        from ravenml.infer.model_resolver import one_model

        return function(model=one_model(model), project=_project(context, dataset), **given)

    return with_project


def _project(context: click.Context, dataset: str | None) -> Any:
    from ravenml.config.config import load_config
    from ravenml.data.project import Project
    from ravenml.data.registry import resolve_dataset
    from ravenml.errors import InputError
    from ravenml.train.cli_options import given_options

    named = dataset or given_options(context).get("dataset") or load_config().dataset
    if named is None:
        raise InputError("No dataset is named; name one with `--dataset DIR`.")
    return Project.open(resolve_dataset(named))


def show_metrics(metrics: Mapping[str, float]) -> None:
    """Print the scores over everything, a line each; those of single classes are left out."""
    for name, value in metrics.items():
        if "/" not in name:
            click.echo(f"{name:16} {value:.4f}")
