"""``raven run``: any program, recorded; here, or on a queue."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    short_help="Run any program, and record what it does.",
)
@click.option("--remote", "queue", metavar="QUEUE", help="Run it on the Ray cluster that this queue names.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --remote: start N of it, with torchrun's variables.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    help="With --remote: how often a lost worker, or a lost cluster, is made up for (default 3).",
)
@click.option("--image", help="With --remote: another container image than the queue's.")
@click.option("--project", help="What the run belongs to.")
@click.option("--name", help="What the run is called in lists.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Keep the files that appear in this folder; may be given several times.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]...")
def run(
    queue: str | None,
    workers: int | None,
    retries: int | None,
    image: str | None,
    project: str | None,
    name: str | None,
    outputs: tuple[str, ...],
    program: tuple[str, ...],
) -> None:
    """Run any program, untouched, and record what it prints, measures and leaves.

    \b
    raven run -- python train.py --lr 0.01
    raven run --project roads --name baseline --output weights -- ./train.sh

    Recorded are its output, command, git state, packages, use of resources and exit code, scalars and
    pictures that it writes for TensorBoard, and events that it prints. Its exit code is passed on.
    """
    if queue is None:
        for value, option in ((workers, "--workers"), (retries, "--retries"), (image, "--image")):
            if value is not None:
                raise click.UsageError(f"{option} belongs to --remote; name a queue, or leave it out.")
        from ravenml.runs.process.program import Program, run_program

        exit_code, folder = run_program(Program(program, name, project, [Path(place) for place in outputs]))
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
        workers=workers or 1,
        retries=3 if retries is None else retries,
    )
    click.echo(f"Sent:      {run_id} to the queue {queue}")
    click.echo(f"Follow it: raven runs logs -f {run_id}")
