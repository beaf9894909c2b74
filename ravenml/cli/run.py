"""``raven run``: run any program and record it, here or on a queue."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ravenml.cli.remote_options import remote_options
from ravenml.common.defaults import DEFAULT_KEPT_GIB
from ravenml.common.io import SCRATCH
from ravenml.remote.demands import Demands


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    short_help="Run any program and record it.",
)
@remote_options("Run it")
@click.option("--image", help="With --remote: container image, instead of the queue's.")
@click.option("--project", help="Project that the run belongs to.")
@click.option("--name", help="Name of the run.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Keep files that the program writes into this folder; repeatable.",
)
@click.option("--resume", metavar="ID", help="Continue this run with one more attempt, instead of a new run.")
@click.option(
    "--keep-new",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Keep new and changed files of the working folder, up to N GiB in all "
    f"(default 0: none; on a queue {DEFAULT_KEPT_GIB:g}).",
)
@click.option(
    "--no-capture",
    is_flag=True,
    help="Leave Python programs alone: no settings, figures and models are captured from within.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]...")
def run(
    remote: str | None,
    image: str | None,
    project: str | None,
    name: str | None,
    outputs: tuple[str, ...],
    resume: str | None,
    keep_new: float | None,
    no_capture: bool,
    program: tuple[str, ...],
    **demanded: object,
) -> None:
    """Run any program, unchanged, and record it.

    \b
    raven run -- python train.py --lr 0.01
    raven run --project roads --name baseline --output weights -- ./train.sh

    Of a program that is started again with --resume ID, steps that are reported again count once.

    Records its output, command, git state, packages, resource usage and exit code, the scalars and images
    that it writes for TensorBoard, and the events that it prints.  Exits with the program's exit code.
    """
    demands = Demands.from_options(demanded)
    if remote is None:
        demands.refuse_without_queue()
        if image is not None:
            raise click.UsageError("--image belongs to --remote; name a queue, or leave it out.")
        from ravenml.runs.process.program import Program, find_resumable, run_program

        folders = [Path(place) for place in outputs]
        resumed = find_resumable(resume) if resume is not None else None
        kept = keep_new if keep_new is not None else DEFAULT_KEPT_GIB if os.environ.get(SCRATCH) else 0
        asked = Program(program, name, project, folders, capture=not no_capture, keep_new=kept)
        exit_code, folder = run_program(asked, resumed)
        if sys.stderr.isatty():
            click.echo(f"Run:       {folder}", err=True)
        sys.exit(exit_code)
    if resume is not None:
        raise click.UsageError("--resume continues a run on this machine; leave --remote out.")
    from ravenml.remote.client.submit import submit_program

    run_id = submit_program(
        program,
        remote,
        project=project,
        name=name,
        outputs=outputs,
        image=image,
        keep_new=keep_new,
        capture=not no_capture,
        resources=demands.resources,
        workers=demands.processes or 1,
        retries=demands.retries_or_default,
    )
    click.echo(f"Sent:      {run_id} to the queue {remote}")
    click.echo(f"Follow it: raven runs logs -f {run_id}")
