"""``raven runs compare``: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="ID ID...")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Draw this one; may be given several times."
)
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), help="Write the chart as a picture, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: settings that differ, and every metric.")
def compare(runs: tuple[str, ...], metrics: tuple[str, ...], png: Path | None, as_json: bool) -> None:
    """Set runs side by side: the settings that differ, the scores, and a chart of how they went."""
    import shutil
    import sys

    from ravenml.runs.chart import write_png
    from ravenml.runs.comparison import compare as compared_runs
    from ravenml.runs.comparison import report
    from ravenml.runs.layout import find_run

    folders = list(dict.fromkeys(find_run(run) for run in runs))
    if len(folders) < 2:
        raise click.UsageError("Name two runs or more; `raven runs list` shows them.")
    compared = compared_runs(folders)
    wanted = compared.charted(metrics)
    if as_json:
        import json

        click.echo(json.dumps(compared.as_json(), indent=2))
    else:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else 80
        bold = (lambda text: click.style(text, bold=True)) if terminal else str
        for line in report(compared, metrics, width, terminal, bold):
            click.echo(line)
    if png is not None:
        if not wanted:
            raise click.UsageError("None of the runs reported a metric over time; there is nothing to draw.")
        write_png(png, compared.ids, {name: compared.curve(name) for name in wanted})
        click.echo(f"Wrote {png}.", err=True)
