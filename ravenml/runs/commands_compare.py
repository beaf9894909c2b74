"""``raven runs compare`` and ``reproduce``: does it agree?"""

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


@click.command()
@click.argument("run", metavar="ID")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where all of it goes; by default reproduce-ID in this folder.",
)
@click.option("--here", is_flag=True, help="Use this Python and its packages; make no environment.")
@click.option("--dataset", metavar="DIR", help="Where the data are now, if not where they were.")
@click.option("--anyway", is_flag=True, help="Go on with data that are not the recorded ones.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A secret, which was not recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def reproduce(
    run: str,
    into: Path | None,
    here: bool,
    dataset: str | None,
    anyway: bool,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Do a recorded run once more, and say how well it agrees.

    In a folder of its own, the recorded commits are checked out with their recorded changes, and an
    environment is made with the recorded versions; then the recorded command runs on the recorded data,
    verified by their hash. What could not be restored is listed, and each metric is identical, close (within
    1 %) or different. The exit code is 0 only if none is different.
    """
    import sys

    from ravenml.common.io import read_json
    from ravenml.runs.layout import find_run
    from ravenml.runs.reproduce.repeat import REPORT
    from ravenml.runs.reproduce.repeat import reproduce as repeat

    folder = find_run(run)
    target = (into or Path(f"reproduce-{folder.name}")).absolute()
    done = repeat(
        folder,
        target,
        in_this_environment=here,
        dataset=dataset,
        anyway=anyway,
        sets=sets,
        output=sys.stderr.fileno() if as_json else None,
        say=lambda text: click.echo(text, err=True),
    )
    if as_json:
        import json

        click.echo(json.dumps(read_json(target / REPORT), indent=2))
    else:
        click.echo("")
        for line in done.lines():
            click.echo(line)
        click.echo(f"All of it: {target}")
    if done.exit_code:
        click.echo(f"Note: the command ended with {done.exit_code}.", err=True)
    sys.exit(0 if done.agrees and not done.exit_code else 1)
