"""``raven dashboard``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port; 0 picks a free one.  [default: 8420, or the next free one]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Accept paths below this folder; repeatable.  [default: this folder and raven's home]",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Also accept requests for this host name, such as a proxy's.",
)
@click.option(
    "--token-file", type=click.Path(dir_okay=False, path_type=Path), help="File that holds the access token."
)
@click.option("--no-token", is_flag=True, help="Disable authentication.")
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
def dashboard(
    port: int | None,
    host: str,
    roots: tuple[Path, ...],
    names: tuple[str, ...],
    token_file: Path | None,
    no_token: bool,
    no_browser: bool,
) -> None:
    """Train, watch and compare in a browser.

    Prints the address, on a terminal with an access token, which the browser keeps as a cookie; RAVENML_TOKEN
    sets your own.  Trainings continue when the browser or the dashboard is closed.
    """
    from ravenml.dashboard.app import serve

    serve(port, host, roots, names, token_file, token=not no_token, browser=not no_browser)
