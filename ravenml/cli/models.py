"""``raven models``: trained models, on this machine and in the bucket."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ravenml.cli.options import confirm, local_only_if_unreachable, print_table, store_option
from ravenml.train.options import TRUST_CODE

if TYPE_CHECKING:
    from datetime import datetime

    from ravenml.store.base import Store

Command = Callable[..., None]
FORMATS = ("onnx", "openvino", "torchscript")


@click.group()
def models() -> None:
    """List, show, fetch, store and remove trained models, on this machine and in the bucket."""


def _places(command: Command) -> Command:
    """The options that choose where to look."""
    for option in (
        store_option,
        click.option("--remote", is_flag=True, help="Only in the bucket."),
        click.option("--local", is_flag=True, help="Only on this machine."),
    ):
        command = option(command)
    return command


def _stores(local: bool, remote: bool, address: str | None) -> list[tuple[str, Store]]:
    """The stores that were asked for, this machine's first."""
    from ravenml.store.factory import bucket, local_models

    if local and (remote or address):
        raise click.UsageError("--local cannot be combined with --remote or --store.")
    found = None if local else bucket("models", address=address)
    if remote and found is None:
        raise click.UsageError(
            "No bucket is configured; `raven config update --model-bucket-name NAME` sets one."
        )
    here: list[tuple[str, Store]] = [] if remote or address else [("local", local_models())]
    return here + ([("remote", found)] if found is not None else [])


@models.command("list")
@_places
@click.option("--plugin", help="Only models of this plugin.")
@click.option("--architecture", help="Only models with this network.")
@click.option("--dataset", help="Only models trained on this dataset.")
@click.option("--by", "created_by", help="Only models trained by this person.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Only models since this day, such as 2026-11-01.",
)
@click.option("-n", "limit", type=int, metavar="N", help="Only the newest N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(
    local: bool,
    remote: bool,
    address: str | None,
    since: datetime | None,
    limit: int | None,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """List the models, newest first.

    If the bucket cannot be read, models on this machine are listed all the same, with a note on stderr.

    In a pipe, columns are separated by tabs.
    """
    from dataclasses import asdict

    from ravenml.store.models import ModelRow, list_models, merge_models

    listed: list[list[ModelRow]] = []
    for where, store in _stores(local, remote, address):
        with local_only_if_unreachable(where == "remote" and any(listed)):
            listed.append(list_models(store, where))
    found = merge_models(*listed)
    everything = bool(found)
    for name, value in wanted.items():
        if value is not None:
            found = [one for one in found if str(getattr(one, name) or "").lower() == value.lower()]
    if since is not None:
        found = [one for one in found if one.date >= since.strftime("%Y-%m-%d")]
    found = found[:limit]
    if as_json:
        import json

        click.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    if not found:
        none_yet = "No models yet; `raven train` makes one, `raven models push FILE.tar` adds one."
        click.echo("No models match." if everything else none_yet, err=True)
        return
    from ravenml.store.models_view import rows

    print_table(rows(found))


@models.command()
@click.argument("model", metavar="ID")
@_places
@click.option("--json", "as_json", is_flag=True, help="Print the stored metadata as JSON.")
def show(model: str, local: bool, remote: bool, address: str | None, as_json: bool) -> None:
    """Show a model; any unique prefix of its ID will do."""
    from ravenml.store.models import find_model, read_metadata

    store, model_id = find_model((store for _, store in _stores(local, remote, address)), model)
    metadata = read_metadata(store, model_id)
    if as_json:
        import json

        click.echo(json.dumps({**metadata, "store": store.name}, indent=2))
        return
    from ravenml.store.models import model_entries
    from ravenml.store.models_view import details

    for line in details(store, model_id, metadata, model_entries(store, model_id, metadata)):
        click.echo(line)


@models.command()
@click.argument("model", metavar="ID")
@store_option
@click.option(
    "--to", type=click.Path(file_okay=False), help="Fetch into this folder instead of ravenML's own."
)
@click.option(
    "--extras/--no-extras", default=True, help="Also fetch checkpoints, previews and events (default)."
)
def pull(model: str, address: str | None, to: str | None, extras: bool) -> None:
    """Fetch a model from the bucket.

    Every file is verified by its checksum; files that are complete are not fetched again.
    """
    from ravenml.errors import Interrupted
    from ravenml.store.factory import local_models
    from ravenml.store.models import find_model, pull_model

    store, model_id = find_model([one for _, one in _stores(False, True, address)], model)
    folder = Path(to) if to else local_models().root
    try:
        done = pull_model(store, model_id, folder, extras)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; resume with: raven models pull {model_id}") from None
    click.echo(f"Fetched {model_id} to {folder}: {done.sent} files, {done.kept} were there; {done.summary}.")


@models.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Output file.  Default: DIR.tar in this folder.",
)
def pack(folder: str, to: str | None) -> None:
    """Pack a folder with config.json and weights into a model file, an uncompressed tar."""
    from ravenml.errors import InputError
    from ravenml.store.model_state import pack_folder

    source = Path(folder).absolute()
    target = Path(to).absolute() if to else Path.cwd() / f"{source.name}.tar"
    if target.exists():
        raise InputError(f"{target} already exists; name another file with --to.")
    names = pack_folder(source, target)
    click.echo(f"Packed {len(names)} files: {target}")


@models.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--to",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Output folder.  Default: FILE without .tar, in this folder.",
)
def unpack(file: str, to: str | None) -> None:
    """Unpack a model file into a new folder.

    Files with members that leave the folder, links or devices are refused.
    """
    from ravenml.errors import InputError
    from ravenml.store.model_state import read_config, unpack_model

    source = Path(file).absolute()
    target = Path(to).absolute() if to else Path.cwd() / source.stem
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise InputError(f"{target} already exists, and is not empty; name a new folder with --to.")
    read_config(source)
    click.echo(f"Unpacked: {unpack_model(source, target)}")


@models.command(short_help="Write a model as one file for other engines.")
@click.argument("model", metavar="MODEL")
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="File format.")
@click.option("--dynamic", is_flag=True, help="Accept images of any size, and any number at once.")
@click.option("--half", is_flag=True, help="Write 16-bit weights: half the size, slightly different results.")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Output file.  Default: named after the model, in this folder.",
)
@click.option(
    "--images",
    metavar="PATH",
    help="Images to compare on.  Default: the model's validation images, or synthetic ones.",
)
@click.option(
    "--fold",
    type=click.IntRange(0),
    help="Export only this fold of a k-fold run.  Default: the mean of all folds.",
)
@click.option("--force", is_flag=True, help="Allow a model that was exported for transfer learning only.")
@click.option("--trust-code", is_flag=True, help=TRUST_CODE)
def export(
    model: str,
    kind: str,
    dynamic: bool,
    half: bool,
    output: Path | None,
    images: str | None,
    fold: int | None,
    force: bool,
    trust_code: bool,
) -> None:
    """Write a model as one file that runs without ravenML and PyTorch.

    MODEL is a model-state.tar, a run or a stored model (any unique prefix of its ID), or a folder.  The file
    takes uint8 RGB images of the network's input size, and gives probabilities.  It is compared with the
    model on images first, and written only if both predict the same.
    """
    from ravenml.infer.engines.export import default_path, export_model
    from ravenml.infer.model_resolver import find_source

    source = find_source(model, fold)
    source.check_use(force)
    path = (output or default_path(source, kind)).expanduser().absolute()
    done = export_model(source, kind, path, dynamic=dynamic, half=half, images=images, trust_code=trust_code)
    click.echo(f"Compared on {done.images}: {done.agreement}.")
    click.echo(f"Exported: {done.path}")


@models.command()
@click.argument("name")
@click.argument("model", metavar="[ID]", required=False)
@_places
@click.option("--remove", is_flag=True, help="Forget the alias; the model stays.")
def alias(name: str, model: str | None, local: bool, remote: bool, address: str | None, remove: bool) -> None:
    """Let NAME mean a model, such as `production`; without ID, print which one it means.

    Every command that takes a model takes its alias: `raven serve production`.  It is kept in the store, so
    everybody who uses the bucket means the same model.
    """
    from ravenml.errors import InputError
    from ravenml.store.aliases import remove_alias, set_alias
    from ravenml.store.models import ModelNotFound, find_model

    stores = [store for _, store in _stores(local, remote, address)]
    if remove:
        if model is not None:
            raise click.UsageError("Give an ID or --remove, not both.")
        if not [store for store in stores if remove_alias(store, name)]:
            raise InputError(f"There is no alias {name!r}.")
        click.echo(f"Removed the alias {name}.")
        return
    if model is None:
        click.echo(find_model(stores, name)[1])
        return
    model_id = find_model(stores, model)[1]
    having = []
    for store in stores:
        with suppress(ModelNotFound):
            having += [store] if find_model([store], model_id)[1] == model_id else []
    set_alias(having[-1], name, model_id)  # the bucket's, if it is there: others change it too
    for store in stores:
        if store is not having[-1]:
            remove_alias(store, name)
    click.echo(f"{name} is {model_id} in {having[-1].name}.")


@models.command()
@click.argument("model", metavar="ID")
@click.argument("name")
@_places
def rename(model: str, name: str, local: bool, remote: bool, address: str | None) -> None:
    """Give a model another name in lists; an empty one removes it."""
    from ravenml.store.models import find_model, rename_model

    store, model_id = find_model([store for _, store in _stores(local, remote, address)], model)
    rename_model(store, model_id, name)
    click.echo(
        f"{model_id} is called {name.strip()!r} now." if name.strip() else f"{model_id} has no name now."
    )


@models.command()
@click.argument("model", metavar="ID")
@_places
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def rm(model: str, local: bool, remote: bool, address: str | None, yes: bool) -> None:
    """Remove a model with its metadata and extras, here and in the bucket; runs are not touched."""
    from ravenml.errors import InputError
    from ravenml.store.models import find_model, remove_model

    found: list[tuple[Store, str]] = []
    stores = [store for _, store in _stores(local, remote, address)]
    for store in stores:
        try:
            found.append(find_model([store], model))
        except InputError:
            if len(model) >= 21:  # a whole ID: an interrupted removal may have left something
                found.append((store, model)) if _left(store, model) else None
    if not found:
        find_model(stores, model)
    confirm(f"Remove {found[0][1]} from {' and '.join(store.name for store, _ in found)}?", yes)
    for store, model_id in found:
        click.echo(f"Removed {model_id} ({remove_model(store, model_id)} files) from {store.name}.")


def _left(store: Store, model_id: str) -> bool:
    return next(iter(store.list(f"extras/{model_id}/")), None) is not None or any(
        f"_{model_id}." in entry.key for entry in store.list("models/")
    )


@models.command(short_help="Store a run's model, or a model file.")
@click.argument("what", metavar="RUN|FILE.tar")
@click.option("--plugin", help="Plugin that loads the model.  Default: the one that its config.json names.")
@click.option("--name", help="Name shown in lists.")
@click.option("--transfer-only", is_flag=True, help="Mark it for transfer learning only, not for prediction.")
@store_option
@click.pass_context
def push(
    context: click.Context,
    what: str,
    plugin: str | None,
    name: str | None,
    transfer_only: bool,
    address: str | None,
) -> None:
    """Store a completed run's model (any unique prefix of its ID), or a model-state.tar.

    It is stored in the configured bucket, or on this machine if there is none.
    """
    from ravenml.store.factory import bucket, models_store

    store = bucket("models", address=address) or models_store()
    if Path(what).is_file():
        from ravenml.store.models import push_file

        model_id = push_file(store, Path(what), plugin, name, transfer_only)
        click.echo(f"Stored {what} as {model_id} in {store.name}.")
        return
    if plugin or name or transfer_only:
        raise click.UsageError(
            "--plugin, --name and --transfer-only describe a FILE.tar; a run knows its own."
        )
    from ravenml.runs.layout import find_run
    from ravenml.runs.upload import store_run

    click.echo(f"Stored {find_run(what).name} as {store_run(find_run(what), store=store).where}.")
