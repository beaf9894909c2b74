"""``raven run``: run any program and record it, here or on a queue."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ravenml.common.defaults import DEFAULT_RETRIES
from ravenml.train.options import processes_option


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    short_help="Run any program and record it.",
)
@click.option("--remote", "queue", metavar="QUEUE", help="Run it on the Ray cluster of this queue.")
@processes_option(
    "processes", help="With --remote: start N processes, with the environment variables of torchrun."
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"With --remote: how often to replace a lost worker or cluster (default {DEFAULT_RETRIES}).",
)
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
@click.option(
    "--no-capture",
    is_flag=True,
    help="Leave Python programs alone: no settings, figures and models are captured from within.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]...")
def run(
    queue: str | None,
    processes: int | None,
    retries: int | None,
    image: str | None,
    project: str | None,
    name: str | None,
    outputs: tuple[str, ...],
    no_capture: bool,
    program: tuple[str, ...],
) -> None:
    """Run any program, unchanged, and record it.

    \b
    raven run -- python train.py --lr 0.01
    raven run --project roads --name baseline --output weights -- ./train.sh

    Records its output, command, git state, packages, resource usage and exit code, the scalars and images
    that it writes for TensorBoard, and the events that it prints.  Exits with the program's exit code.
    """
    if queue is None:
        for value, option in ((processes, "--processes"), (retries, "--retries"), (image, "--image")):
            if value is not None:
                raise click.UsageError(f"{option} belongs to --remote; name a queue, or leave it out.")
        from ravenml.runs.process.program import Program, run_program

        folders = [Path(place) for place in outputs]
        exit_code, folder = run_program(Program(program, name, project, folders, capture=not no_capture))
        if sys.stderr.isatty():
            click.echo(f"Run:       {folder}", err=True)
        sys.exit(exit_code)
    from ravenml.remote.client.submit import submit_program

    run_id = submit_program(
        program,
        queue,
        project=project,
        name=name,
        outputs=outputs,
        image=image,
        capture=not no_capture,
        workers=processes or 1,
        retries=DEFAULT_RETRIES if retries is None else retries,
    )
    click.echo(f"Sent:      {run_id} to the queue {queue}")
    click.echo(f"Follow it: raven runs logs -f {run_id}")
