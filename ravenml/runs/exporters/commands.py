"""``raven runs sync``: what a reader has missed."""

from __future__ import annotations

import click


@click.command(short_help="Bring a run's events to a tracker.")
@click.argument("run", metavar="ID", required=False)
@click.option(
    "--to", "names", multiple=True, metavar="READER", help="Only to this one; may be given several times."
)
def sync(run: str | None, names: tuple[str, ...]) -> None:
    """Bring to TensorBoard, MLflow, ClearML … what they have not got of a run's events; without ID, of the
    newest run.

    The readers that are configured (`raven config update --track tensorboard,mlflow`) do so by themselves
    while a run is going on; this is for those that were not, or could not.
    """
    from ravenml.config.config import load_config
    from ravenml.runs.exporters.registry import chosen_readers
    from ravenml.runs.exporters.sync import sync_run
    from ravenml.runs.layout import find_run

    config = load_config()
    readers = list(names) or chosen_readers(config)
    if not readers:
        raise click.UsageError("No reader is configured; name one, such as --to mlflow.")
    for line in sync_run(find_run(run), readers, config):
        click.echo(line)
