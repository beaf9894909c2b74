"""``raven plugin``: create, check and list plugins."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from ravenml.cli.options import print_table, report_problems


@click.group()
def plugin() -> None:
    """Write and check plugins; list installed ones."""


@plugin.command()
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(["minimal", "segmentation"]),
    default="minimal",
    show_default=True,
    help="Template: a few lines without a framework, or segmentation with PyTorch.",
)
@click.option("--into", type=click.Path(file_okay=False), default=".", help="Parent folder.")
def new(name: str, template: str, into: str) -> None:
    """Write the plugin NAME: a complete package that can be installed and trained right away."""
    from ravenml.plugin.scaffold import write_plugin

    folder = write_plugin(name, template, Path(into))
    short = folder.name.removeprefix("ravenml_").replace("_", "-")
    click.echo(
        f"Wrote {folder}. Next:\n"
        f"  {shlex.quote(str(folder / 'install.sh'))}\n"
        f"  raven data demo my_demo\n"
        f"  raven train --dataset my_demo {short} train"
    )


@plugin.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
def check(folder: str) -> None:
    """Check the plugin in DIR and list its problems.

    Plugins for `raven train` and plugins for Supervisely are accepted; what a plugin of one kind lacks to be
    one of the other is a note.
    """
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.errors import RavenError
    from ravenml.plugin.check import find_problems, is_contract_plugin, missing_files

    place = Path(os.path.abspath(Path(folder).expanduser()))  # ".." would say nothing
    for_train, for_agent = missing_files(place)
    contract = is_contract_plugin(place)
    faults = []
    if "setup.py" not in for_train or not contract:
        faults += find_problems(place)
    elif for_train:
        click.echo(f"Note: for `raven train`, it lacks {', '.join(for_train)}.")
    if contract:
        try:
            PluginFolder.open(place)
        except RavenError as error:
            faults.append(str(error))
    if for_agent and not faults:
        click.echo(f"Note: for `raven agent run` and Supervisely, it lacks {', '.join(for_agent)}.")
    report_problems(faults, place)


@plugin.command("compile", short_help="Compile a plugin's requirements.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--gpu", is_flag=True, help="Only requirements-gpu.in.  Default: both files.")
@click.option("--recompile", is_flag=True, help="Compile even what is up to date, for newer versions.")
def compile_(folder: Path, gpu: bool, recompile: bool) -> None:
    """Compile requirements.in and requirements-gpu.in of the plugin in DIR into pinned .txt files.

    No GPU is needed, and nothing is installed.
    """
    from ravenml.plugin.requirements import compile_plugin

    place = Path(os.path.abspath(folder.expanduser()))
    for mode in [True] if gpu else [False, True]:
        compiled = compile_plugin(place, mode, recompile)
        for file in compiled:
            click.echo(f"Compiled {file}.")
        if not compiled:
            click.echo(f"{place / ('requirements-gpu.txt' if mode else 'requirements.txt')} is up to date.")


@plugin.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the installed plugins, their source, and whether they are for CPU or GPU."""
    from ravenml.plugin.inventory import interrupted_install, inventory

    rows = inventory()
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("No training plugin is installed; `./install_all.sh` installs those of a checkout.")
    else:
        titles = ("name", "distribution", "version", "for", "from")
        header = ("PLUGIN", *(title.upper() for title in titles[1:]))
        print_table([header, *([row[title] for title in titles] for row in rows)], tabs_in_pipe=False)
    half = interrupted_install()
    if half:
        click.echo(
            f"Note: an installation of {half} was interrupted; its install.sh completes it, "
            f"`install_all.sh -u {half}` undoes it.",
            err=True,
        )


@plugin.command(short_help="Build a plugin's Docker image for Supervisely.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--push", is_flag=True, help="Also push it to its registry.")
@click.option(
    "--context",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.tar",
    help="Write only the build context, for `docker build -t NAME:TAG - < FILE.tar` on another machine.",
)
@click.option(
    "--registry", metavar="NAME", help="Registry of the image, and of the base that its Dockerfile names."
)
@click.option(
    "--lib",
    metavar="DIR",
    help="The supervisely_lib that its Dockerfile copies.  Default: one beside the folder, else ravenML's.",
)
def image(folder: Path, push: bool, context: Path | None, registry: str | None, lib: str | None) -> None:
    """Build the image that the file VERSION names, with plugin_info, README and run configs as labels.

    Supervisely's build arguments MODULE_PATH, REGISTRY and TAG get their values.
    """
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.agent.plugin_image import ImageRequest, build, write_context

    request = ImageRequest(PluginFolder.open(folder), registry, lib)
    if context is not None:
        if push:
            raise click.UsageError("--context builds nothing that could be pushed; leave --push out.")
        write_context(request, context.expanduser().absolute())
        click.echo(f"Wrote {context}. Build it with: docker build -t {request.name} - < {context}")
        return
    build(request, push)
    click.echo(f"Built {request.name}{' and pushed it' if push else ''}.")
