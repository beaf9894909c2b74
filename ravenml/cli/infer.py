"""``raven infer``."""

from __future__ import annotations

from typing import Any

import click

from ravenml.cli.options import engine_options
from ravenml.train.options import TRUST_CODE

MODES = ("full_image", "roi", "bboxes", "sliding_window", "sliding_window_det")
SAVED = ("masks", "overlays", "probabilities")


class _Size(click.ParamType):
    """``256`` or ``320x240`` (width x height)."""

    name = "PIXELS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().replace("×", "x").split("x")
        if len(parts) > 2 or not all(part.strip().isdigit() for part in parts):
            self.fail(f"{value!r} is not a size; write 256, or 320x240 for width x height.", param, ctx)
        return int(parts[0]), int(parts[-1])


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--data",
    required=True,
    metavar="PATH",
    help="Project (folder or dataset name), folder of images, or image.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="Use only the project's images with this tag.",
)
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False), help="Folder for the results."
)
@click.option("--mode", type=click.Choice(MODES), help="Inference mode.  Default: the whole image.")
@click.option(
    "--window",
    type=_Size(),
    help="Size of the sliding window: 256, or 320x240.  Default: the network's input size.",
)
@click.option("--overlap", type=_Size(), help="Overlap of the windows.  Default: an eighth of the window.")
@click.option("--suffix", help="Suffix of the class names.  Default: _ and the plugin's name.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="JSON or YAML file with the inference settings.",
)
@click.option("--preset", metavar="TITLE", help="Use this inference preset of the plugin.")
@click.option("--replace", is_flag=True, help="Replace existing objects instead of adding to them.")
@click.option(
    "--save",
    metavar="|".join(SAVED),
    multiple=True,
    help="Also write these into a folder beside img; repeatable, or separated by commas.",
)
@click.option(
    "--fold",
    type=click.IntRange(0),
    help="Use only this fold of a k-fold run.  Default: the mean of all folds.",
)
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, mps.")
@engine_options
@click.option(
    "--batch-size", type=click.IntRange(1), help="Images per batch.  Default: chosen for the device."
)
@click.option("--link", is_flag=True, help="Link images instead of copying them.")
@click.option(
    "--overwrite", is_flag=True, help="Overwrite results in --out that were made with other settings."
)
@click.option("--force", is_flag=True, help="Allow a model that was exported for transfer learning only.")
@click.option("--trust-code", is_flag=True, help=TRUST_CODE)
def infer(
    model: str,
    data: str,
    split: str | None,
    out: str,
    mode: str | None,
    window: tuple[int, int] | None,
    overlap: tuple[int, int] | None,
    suffix: str | None,
    config: str | None,
    preset: str | None,
    replace: bool,
    save: tuple[str, ...],
    fold: int | None,
    device: str,
    engine: str,
    engine_precision: str,
    batch_size: int | None,
    link: bool,
    overwrite: bool,
    force: bool,
    trust_code: bool,
) -> None:
    """Annotate images with a trained model, and write the result as a project.

    MODEL is a model-state.tar, a run or a stored model (any unique prefix of its ID), the folder of a
    training in Supervisely's U-Net app, or an .onnx or .xml file.

    Results are added to the annotations under suffixed class names.  Run the same command again to
    process only what is missing.

    Exit code: 0 if every image was processed, 1 if some could not be read, 2 if nothing was started.
    """
    if config and preset:
        raise click.UsageError("--config and --preset cannot be combined; give one of them.")
    from pathlib import Path

    from ravenml.errors import Interrupted, RavenError
    from ravenml.infer.inputs import open_inputs
    from ravenml.infer.job import InferenceJob, run_job
    from ravenml.infer.model_resolver import find_source
    from ravenml.infer.output import Output
    from ravenml.infer.predictor import find_maker
    from ravenml.infer.settings import read_request

    saved = _saved(save)
    source = find_source(model, fold)
    source.check_use(force)
    inputs = open_inputs(data, split)
    options = _options(mode, window, overlap, suffix, "probabilities" in saved)
    request = read_request(Path(config) if config else None, preset, options, find_maker(source.paths[0]))
    output = Output(Path(out).expanduser().absolute(), saved, link)
    job = InferenceJob(
        source,
        inputs,
        output,
        request,
        replace,
        device,
        batch_size,
        overwrite,
        trust_code,
        engine,
        engine_precision,
        lambda line: click.echo(line, err=True),
    )
    try:
        done = run_job(job)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; run the same command again to resume.") from None
    there = f"; {done.kept} were there" if done.kept else ""
    if done.made or done.broken:
        click.echo(f"{done.made} images: {output.root} ({done.took}){there}.")
    else:
        click.echo(f"All {done.kept} images have their results: {output.root}")
    if done.broken:
        count = len(done.broken)
        raise RavenError(f"{count} image{'s' if count > 1 else ''} could not be used; see above.")


def _saved(given: tuple[str, ...]) -> list[str]:
    names = [name.strip() for value in given for name in value.split(",") if name.strip()]
    wrong = next((name for name in names if name not in SAVED), None)
    if wrong is not None:
        raise click.UsageError(f"--save: {wrong!r} is not one of {', '.join(SAVED)}.")
    return sorted(set(names))


def _options(
    mode: str | None,
    window: tuple[int, int] | None,
    overlap: tuple[int, int] | None,
    suffix: str | None,
    probabilities: bool,
) -> dict[tuple[str, ...], tuple[str, Any]]:
    """What the options say about the config, by the field's path."""
    found: dict[tuple[str, ...], tuple[str, Any]] = {}
    if mode is not None:
        found["mode", "name"] = ("--mode", mode)
    for option, given, field, names in (
        ("--window", window, "window", ("width", "height")),
        ("--overlap", overlap, "min_overlap", ("x", "y")),
    ):
        for name, value in zip(names, given or (), strict=False):
            found["mode", field, name] = (option, value)
    if suffix is not None:
        found["mode", "model_classes", "add_suffix"] = ("--suffix", suffix)
    if probabilities:
        found["mode", "save_probabilities"] = ("--save probabilities", True)
    return found
