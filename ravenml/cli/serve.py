"""``raven serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from socket import socket

    from ravenml.common.io import JsonObject
    from ravenml.serve.access import Access

from ravenml.cli.options import engine_options
from ravenml.cli.remote_options import processes_option
from ravenml.common.defaults import DEFAULT_PORT
from ravenml.train.options import TRUST_CODE


@click.command()
@click.argument("model", metavar="MODEL")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port; 0 picks a free one.  Default: {DEFAULT_PORT}, or the next free one.",
)
@processes_option("processes", default=1, show_default=True, help="Number of server processes.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device: auto, cpu, cuda, mps; for several processes cuda:0,cuda:1.",
)
@engine_options
@click.option(
    "--fold",
    type=click.IntRange(0),
    help="Use only this fold of a k-fold run.  Default: the mean of all folds.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="JSON or YAML file with default inference settings, as for `raven infer`.",
)
@click.option("--force", is_flag=True, help="Allow a model that was exported for transfer learning only.")
@click.option("--trust-code", is_flag=True, help=TRUST_CODE)
@click.option("--no-token", is_flag=True, help="Disable authentication.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="File that holds the access token.")
@click.option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    help="Also accept requests for this host name, such as a proxy's; repeatable.",
)
@click.option(
    "--allow-url",
    metavar="PREFIX",
    multiple=True,
    help="Allow fetching images from URLs with this prefix; repeatable.",
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False),
    multiple=True,
    help="Allow reading images below this folder of this machine; repeatable.",
)
@click.option("--max-batch", type=click.IntRange(1), help="Images per batch.  Default: chosen by the model.")
@click.option(
    "--max-wait",
    type=click.FloatRange(0, 10),
    default=0.005,
    show_default=True,
    help="Seconds to wait for more images before a batch is computed.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Images in progress per process; more are refused with 503.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(0.01),
    default=30.0,
    show_default=True,
    help="Time limit of a request, in seconds.",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(0.001),
    default=67.2,
    show_default=True,
    help="Refuse larger images.",
)
@click.pass_context
def serve(
    context: click.Context,
    model: str,
    host: str,
    port: int | None,
    processes: int,
    no_token: bool,
    token_file: str | None,
    allow_host: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve a trained model over HTTP: a demo page, and POST /predict for programs.

    MODEL is a model-state.tar, a run or a stored model (any unique prefix of its ID), the folder of a
    training in Supervisely's U-Net app, or an .onnx or .xml file.

    On a terminal, the printed address includes an access token; elsewhere, a line says in which file it is.
    The token stays the same when the server restarts; set your own with RAVENML_TOKEN or --token-file.  The
    server is reachable from this machine only, unless --host says otherwise.
    """
    from pathlib import Path

    from ravenml.serve.access import Access, choose_token, hide_token, listen, token_source
    from ravenml.serve.server import inherited_socket, need_extra

    need_extra()
    opened = inherited_socket()
    inherited = opened is not None
    file = Path(token_file) if token_file and not inherited else None  # a worker's token is its parent's
    token, given = choose_token(no_token, file, "serve"), token_source(no_token, file, "serve")
    hide_token()
    if opened is None:
        opened = listen(host, port, DEFAULT_PORT)
    access = Access(token, host, opened.getsockname()[1], allow_host, given)
    try:
        if processes > 1 and not inherited:
            _serve_in_processes(context, model, processes, access, opened, options)
        else:
            _serve_here(model, access, opened, inherited, options)
    finally:
        if not inherited:
            access.forget_token()


def _serve_here(model: str, access: Access, opened: socket, quiet: bool, options: dict[str, Any]) -> None:
    """Serve in this process."""
    import os
    from pathlib import Path

    from ravenml.runs.launcher import PARENT_PID, end_with_parent
    from ravenml.serve.admission import Limits
    from ravenml.serve.allowed_paths import AllowedPaths
    from ravenml.serve.app import Serving, make_app
    from ravenml.serve.loaded_model import ServedModel
    from ravenml.serve.server import DEVICE, serve_app
    from ravenml.serve.urls import AllowedUrls

    if PARENT_PID in os.environ:
        end_with_parent()
    urls = AllowedUrls(options["allow_url"])
    config = options["config"]
    served = ServedModel.load(
        model,
        os.environ.pop(DEVICE, options["device"]),
        fold=options["fold"],
        force=options["force"],
        config=Path(config) if config else None,
        batch_size=options["max_batch"],
        trust_code=options["trust_code"],
        engine=options["engine"],
        precision=options["engine_precision"],
        tell=lambda line: click.echo(line, err=True),
    )
    limits = Limits(options["queue"], options["deadline"], max_pixels=round(options["max_megapixels"] * 1e6))
    roots = AllowedPaths(Path(root) for root in options["root"]) if options["root"] else None
    app = make_app(Serving(served, access, limits, urls, roots, options["max_batch"], options["max_wait"]))

    def ready() -> None:
        if not quiet:
            for line in _describe(served.describe(), access):
                click.echo(line)

    serve_app(app, opened, ready, limits.deadline)
    if not quiet:
        click.echo("Stopped; all accepted requests were answered.")


def _serve_in_processes(
    context: click.Context,
    model: str,
    processes: int,
    access: Access,
    opened: socket,
    options: dict[str, Any],
) -> None:
    """Serve in processes of their own, which run this very command line on this process's socket."""
    import os

    from ravenml.cli import ARGV
    from ravenml.infer.model_resolver import find_source
    from ravenml.infer.predictor import find_maker
    from ravenml.serve.access import TOKEN_FILE_VARIABLE
    from ravenml.serve.server import DEVICE, Workers, worker_command
    from ravenml.serve.urls import AllowedUrls

    source = find_source(
        model, options["fold"]
    )  # what is wrong with it is told once, and not by every worker
    source.check_use(options["force"])
    find_maker(source.paths[0])
    AllowedUrls(options["allow_url"])
    environment = {}
    if access.token is not None:
        access.write_token()
        environment[TOKEN_FILE_VARIABLE] = str(access.token_file)
    if not os.environ.get("OMP_NUM_THREADS"):
        environment["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // processes, 1))
    devices = [one.strip() for one in options["device"].split(",")]
    arguments = context.find_root().meta[ARGV]
    for line in _address_lines(access):
        click.echo(line)
    Workers(
        lambda number: worker_command(arguments),
        opened,
        processes,
        lambda number: {**environment, DEVICE: devices[number % len(devices)]},
        lambda line: click.echo(line, err=True),
    ).run()
    click.echo("Stopped; all accepted requests were answered.")


def _describe(model: JsonObject, access: Access) -> list[str]:
    size = f"{model['input']['width']}×{model['input']['height']}"
    classes = len(model["classes"])
    folds = f", mean of {model['folds']} folds" if model["folds"] > 1 else ""
    engine = f" with {model['engine']}" if model["engine"] != "torch" else ""
    where = f"on {model['device']}{engine}{folds}"
    words = f"{model['task']}, {classes} class{'es' if classes != 1 else ''}, {size}, {where}"
    return [f"Model: {model['name']} ({words})", *_address_lines(access)]


def _address_lines(access: Access) -> list[str]:
    import sys

    return [
        *access.announce("Open:", sys.stdout.isatty()),
        "Docs:  /docs for the API; press Ctrl-C to stop.",
    ]
