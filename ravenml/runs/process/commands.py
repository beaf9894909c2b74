"""``raven run``: any program, recorded."""

from __future__ import annotations

import click


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    short_help="Run any program, and record what it does.",
)
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
def run(project: str | None, name: str | None, outputs: tuple[str, ...], program: tuple[str, ...]) -> None:
    """Run any program, untouched, and record what it prints, measures and leaves.

    \b
    raven run -- python train.py --lr 0.01
    raven run --project roads --name baseline --output weights -- ./train.sh

    Recorded are its output, command, git state, packages, use of resources and exit code, scalars and
    pictures that it writes for TensorBoard, and events that it prints. Its exit code is passed on.
    """
    import sys
    from pathlib import Path

    from ravenml.runs.process.program import Program, run_program

    wanted = Program(program, name, project, [Path(place) for place in outputs])
    exit_code, folder = run_program(wanted)
    if sys.stderr.isatty():
        click.echo(f"Run:       {folder}", err=True)
    sys.exit(exit_code)
