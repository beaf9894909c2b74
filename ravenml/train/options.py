"""What plugin authors put on their commands, and how a training is read from a command line.

``@pass_train`` marks a command; the core's options and those of the plugin's settings are added to it when
the plugin is loaded.  This is the one module of ``train`` that knows Click: what it reads becomes
:class:`~ravenml.train.request.TrainArguments`.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import click
from click.core import ParameterSource

from ravenml.common.formatting import describe_error
from ravenml.common.secret_patterns import is_secret
from ravenml.errors import InputError, RavenError

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml.plugin.discovery import Plugin
    from ravenml.train.request import Request, TrainArguments
    from ravenml.train.settings import Leaf

Function = TypeVar("Function", bound=Callable[..., Any])

# What travels in Click's context, and under which key.
ARGV = "ravenml.argv"  # list[str]: all that was typed behind `raven`
PLUGIN = "ravenml.plugin"  # ravenml.plugin.discovery.Plugin: the plugin that was called
SESSION = "ravenml.session"  # ravenml.train.session.Session: the training of this command line
_OPTIONS = "ravenml.options"  # the core's options that were given, with their rank
_SETTINGS = "ravenml.settings"  # the plugin's settings that were given

_MARK = "__ravenml_pass_train__"
_SETTING = "setting_"  # begins the parameter's name of a plugin's setting
TRUST_CODE = "Allow the model to name code that is not part of a plugin, which is run."
_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)

kfold_opt = click.option("--kfold", is_flag=True, help="Train with k-fold cross-validation.")


def pass_train(function: Function) -> Function:
    """Give a command the context's ``TrainInput`` as its first argument, and the core's options.

    The ``TrainOutput`` that the command returns is stored; a command that returns nothing stores
    nothing.  With ``--kfold`` the command is not called here but once per fold, in processes of their
    own.
    """

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> object:
        context = click.get_current_context()
        return _run_command(context, lambda train: context.invoke(function, train, *args, **kwargs))

    setattr(command, _MARK, True)
    return command  # type: ignore[return-value]


def _run_command(context: click.Context, function: Callable[..., object]) -> object:
    """Call a plugin's training command, with the trust in files' code that ``--trust-code`` says."""
    from ravenml.plugin.user_code import trusting_code

    with trusting_code(bool(explicit_options(context).get("trust_code"))):
        return _train(context, function)


def _train(context: click.Context, function: Callable[..., object]) -> object:
    """Call a plugin's training command with its ``TrainInput``; finish and store what it did.

    A command called by another command with ``@pass_train``, or inside a group that has it, shares the
    outer ``TrainInput``; the outermost command stores.

    Returns:
        What the command returned; None where k-fold called it in other processes.
    """
    from ravenml.runs.launcher import PARENT, end_with_parent
    from ravenml.train.kfold import run_folds
    from ravenml.train.request import make_request
    from ravenml.train.session import Session
    from ravenml.train.submit import submit_if_remote

    if os.environ.get(PARENT):
        end_with_parent()
    outer: Session | None = context.meta.get(SESSION)
    if outer is not None and outer.calling:
        return function(outer.input)
    request = outer.request if outer is not None else make_request(train_arguments(context))
    if outer is None and (file := explicit_options(context).get("write_config")) is not None:
        _write_config(request, file)
        context.exit(0)
    if outer is None and (submitted := submit_if_remote(request)) is not None:
        click.echo(f"Sent:      {submitted} to the queue {request.remote}")
        click.echo(f"Follow it: raven runs logs -f {submitted}")
        context.exit(0)
    is_group = isinstance(context.command, click.Group)
    wants_folds = request.wants_folds and not is_group
    session = context.meta[SESSION] = Session(request) if outer is None or wants_folds else outer
    call = _translated(function)
    try:
        if wants_folds:
            run_folds(session, call)
            return None
        if is_group:  # its commands continue with what it does to the input
            context.call_on_close(session.close)
            return session.call(call)
        return session.run_whole(call)
    except _CommandFailed as failed:
        raise failed.error from None


def _write_config(request: Request, file: str) -> None:
    """Write the training's config to ``file``, or to the standard output where that is ``-``.

    Raises:
        InputError: the file exists, and nobody at a terminal says that it may be replaced.
    """
    from ravenml.common.io import write_bytes
    from ravenml.train.config_template import render_config

    config = request.config
    if request.default_dataset:  # the file must not pin what is configured today
        config = config.model_copy(update={"dataset": None})
    model = type(request.settings) if request.settings is not None else None
    text = render_config(config, request.plugin_name, model, _heading, _ordered_headings)
    if file == "-":
        click.echo(text, nl=False)
        return
    path = Path(file).expanduser()
    if path.exists() and not (sys.stdin.isatty() and click.confirm(f"{path} exists; overwrite it?")):
        raise InputError(f"--write-config: {path} exists; name another file, or delete it first.")
    write_bytes(path, text.encode())
    click.echo(f"Config: {path}", err=True)


class _CommandFailed(RavenError):
    """Carries Click's own error through the session, which needs its words alone."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(error.format_message())
        self.error = error


def _translated(function: Callable[..., object]) -> Callable[..., object]:
    """The function, with Click's exceptions as those of Python."""

    def call(*args: object) -> object:
        try:
            return function(*args)
        except click.Abort:
            raise KeyboardInterrupt from None
        except click.exceptions.Exit as done:
            raise SystemExit(done.exit_code) from None
        except click.ClickException as error:
            raise _CommandFailed(error) from error

    return call


def store_unclaimed(context: click.Context, result: object) -> None:
    """Store the ``TrainOutput`` of a command that has no ``@pass_train``; warn of what is none."""
    if result is None or isinstance(result, bool | int):  # an exit code is no result
        return
    from ravenml.train.interfaces import TrainOutput
    from ravenml.train.request import make_request
    from ravenml.train.session import Session

    if not isinstance(result, TrainOutput):
        click.echo(
            f"Note: the command returned a {type(result).__name__}, not a TrainOutput; nothing is stored.",
            err=True,
        )
    if isinstance(result, TrainOutput) and SESSION not in context.meta:
        session = context.meta[SESSION] = Session(make_request(train_arguments(context)))
        session.run_whole(lambda train: result)


def train_arguments(context: click.Context) -> TrainArguments:
    """All that the command line in ``context``, and the environment, say about a training."""
    from ravenml.train.request import TrainArguments

    return TrainArguments(
        plugin=context.meta.get(PLUGIN),
        command=context.command_path,
        arguments=list(context.meta.get(ARGV, sys.argv[1:])),
        options=explicit_options(context),
        defaults=plugin_defaults(context),
        settings=dict(context.meta.get(_SETTINGS, {})),
        own_options={opt for p in context.command.params if p.callback is not remember for opt in p.opts},
        secret_options=secret_options(context),
        choose_dataset=_ask_for_dataset if sys.stdin.isatty() and sys.stdout.isatty() else None,
    )


def _ask_for_dataset(known: Mapping[str, Path]) -> str:
    click.echo("Which dataset?")
    for name, path in known.items():
        click.echo(f"  {name:20s} {path}")
    return str(click.prompt("Dataset", type=click.Choice(list(known)), default=next(iter(known))))


def plugin_command(plugin: Plugin) -> click.Command:
    """A plugin's command, with the core's and its settings' options on all that are marked.

    Raises:
        PluginError: it cannot be imported, or is not a Click command.
    """
    command = plugin.load()
    try:
        if not isinstance(command, click.Command):
            kind = type(command).__name__
            raise plugin.load_error(f"{plugin.entry_point.value} is not a Click command but a {kind}")
        add_core_options(command, lambda: settings_options(plugin))
    except RavenError:
        raise
    except Exception as error:  # of an object that only looks like a command
        raise plugin.load_error(describe_error(error)) from error
    return command


def call_plugin(plugin: Plugin, words: Sequence[str], outer: Mapping[str, str]) -> str | None:
    """Call a plugin's training command, as ``raven train`` does.

    Args:
        plugin: the plugin.
        words: what stands behind its name.
        outer: the options that stand before its name: ``config``, ``dataset`` and ``local``.

    Returns:
        The id of its run; None where it made none.

    Raises:
        InputError: Click refuses one of the words.
        RavenError: what the training raises; see :func:`ravenml.train.fit.fit`.
    """
    command = plugin_command(plugin)
    root = click.Context(click.Group("raven"), info_name="raven")
    above = click.Context(click.Group("train"), info_name="train", parent=root)
    before = [word for name, value in outer.items() for word in (f"--{name}", value)]
    above.meta[PLUGIN] = plugin
    above.meta[ARGV] = ["train", *before, plugin.name, *words]
    above.meta[_OPTIONS] = {name: (True, value) for name, value in outer.items()}
    try:
        with command.make_context(plugin.name, list(words), parent=above) as context:
            store_unclaimed(context, command.invoke(context))
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.Exit as done:
        if done.exit_code:
            raise RavenError(f"The plugin {plugin.name!r} ended with exit code {done.exit_code}.") from None
    except SystemExit as done:  # a library's call must not end the program
        if done.code:
            raise RavenError(f"The plugin {plugin.name!r} ended with: {done.code}") from None
    except click.UsageError as error:
        raise InputError(error.format_message()) from error
    except click.ClickException as error:
        raise RavenError(error.format_message()) from error
    session = above.meta.get(SESSION)
    return session.run.id if session is not None and session.run is not None else None


def add_core_options(command: click.Command, settings_options: Callable[[], list[click.Option]]) -> None:
    """Give every marked command at or below ``command`` the core's and the settings' options.

    A name or a parameter that the plugin has taken is left to it.  Calling twice changes nothing.

    Args:
        command: what a plugin's entry point names.
        settings_options: makes the options of the plugin's settings; called only where they are needed.
    """
    if isinstance(command, click.Group):
        for inner in list(command.commands.values()):
            add_core_options(inner, settings_options)
        return
    if not getattr(command.callback, _MARK, False) or getattr(command, "_ravenml_extended", False):
        return
    command._ravenml_extended = True  # type: ignore[attr-defined]
    command.format_options = functools.partial(_write_options, command)  # type: ignore[method-assign]
    taken = {
        spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)
    }
    names = {parameter.name for parameter in command.params}
    for option in [*settings_options(), *core_options()]:
        if option.name not in names and not taken.intersection([*option.opts, *option.secondary_opts]):
            command.params.append(option)
            taken.update([*option.opts, *option.secondary_opts])


_HEADINGS = (
    *("Options", "Common", "Data", "Model", "Optimisation", "Augmentation", "Checkpoints", "Logging"),
    *("System", "k-fold", "Storage"),
)
# Where a setting stands in `--help`, by what the plugin says of it: its role, else its group.
_BY_ROLE = {
    **dict.fromkeys(("architecture", "epochs", "batch_size", "device"), "Common"),
    **dict.fromkeys(("classes", "train_tag", "val_tag"), "Data"),
    **dict.fromkeys(("weights", "weights_mode"), "Model"),
    "augmentations": "Augmentation",
}
_BY_GROUP = {"optimizer": "Optimisation", "schedule": "Optimisation", "loss": "Optimisation"}


def _under(heading: str, *options: click.Option) -> list[click.Option]:
    for option in options:
        option.heading = heading  # type: ignore[attr-defined]
    return list(options)


def _write_options(command: click.Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options under their headings, the core's first; a plugin's own follow the model's."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in sorted(command.get_params(context), key=lambda p: (p.name or "").startswith(_SETTING)):
        record = parameter.get_help_record(context)
        if record is not None:
            found.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
    for heading in _ordered_headings(found):
        if heading in found:
            with formatter.section(heading):
                formatter.write_dl(found[heading])


def _ordered_headings(found: Iterable[str]) -> list[str]:
    """All headings in the order of ``--help``; a plugin's own follow the model's."""
    after_model = _HEADINGS.index("Model") + 1
    own = [heading for heading in found if heading not in _HEADINGS]
    return [*_HEADINGS[:after_model], *own, *_HEADINGS[after_model:]]


def core_options() -> list[click.Option]:
    """New instances of the options that every marked command has."""

    def option(name: str, help: str, **more: Any) -> click.Option:
        variable = "RAVENML_" + name.removeprefix("--").upper().replace("-", "_")
        return click.Option([name], help=help, expose_value=False, callback=remember, envvar=variable, **more)

    return [
        *_under(
            "Common",
            click.Option(
                ["-c", "--config"],
                help="YAML file with values for options not given here.",
                metavar="FILE",
                expose_value=False,
                callback=remember,
            ),
            click.Option(
                ["--write-config"],
                help="Write all settings, with comments, as a file for --config, and exit; - prints them.",
                metavar="FILE",
                expose_value=False,
                callback=remember,
            ),
            option("--dataset", "Dataset: a folder or a name (see `raven data list`)."),
            option("--name", "Name of the run.", metavar="NAME"),
            option("--preset", "Use this preset of the plugin.", metavar="TITLE"),
            set_option(),
            option(
                "--resume",
                "Resume an interrupted run, or train a k-fold run's missing folds.",
                metavar="ID",
            ),
        ),
        *_under(
            "Data",
            option(
                "--untagged",
                "Where image tags divide: what untagged images do (default train, with a notice).",
                type=click.Choice(["train", "val", "ignore"]),
            ),
        ),
        *_under(
            "Model",
            click.Option(
                ["--trust-code"],
                help="Allow files (-c, --weights, --resume) to name code that is not part of a plugin.",
                is_flag=True,
                expose_value=False,
                callback=remember,
            ),
        ),
        *_under(
            "k-fold",
            option("--kfold", "Train with k-fold cross-validation.", is_flag=True),
            option("--folds", "Number of folds (default 5); implies --kfold.", type=int, metavar="N"),
            option("--fold-by", "How images are grouped: random, dataset, or a regular expression on names."),
            option(
                "--fold-seed", "Seed of the folds or of a random split (default 0).", type=int, metavar="SEED"
            ),
            option("--fold-from", "Use only images with this tag.", metavar="TAG"),
            option("--fold", "Train only this fold, counted from 0.", type=int, metavar="I", multiple=True),
            option("--jobs", "Folds to train in parallel (default: what is fastest).", type=int, metavar="N"),
            option("--in-process", "Run folds in this process, for a debugger.", is_flag=True, hidden=True),
        ),
        *_under(
            "Storage",
            option(
                "--local", "Store the result in this folder instead of the configured store.", metavar="PATH"
            ),
            option(
                "--upload-checkpoints",
                "Checkpoints to store with the model (default best).",
                type=click.Choice(["all", "best", "none"]),
            ),
        ),
    ]


def set_option() -> click.Option:
    """``--set``: every field of the config by its name; it may stand on both levels, and all of it counts."""
    return click.Option(
        ["--set", "set"],
        multiple=True,
        metavar="NAME=VALUE",
        help="Set any config field by its name (lr=0.1, kfold.folds=3); overrides all else; repeatable.",
        expose_value=False,
        callback=_remember_all,
    )


def _remember_all(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        given = context.meta.setdefault(_OPTIONS, {})
        outer = given["set"][1] if "set" in given else ()
        given["set"] = (True, (*outer, *value))


def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember an option's value with its source; a deeper command's wins over an outer one's."""
    name = parameter.name or ""
    source = context.get_parameter_source(name)
    if parameter.multiple:
        if len(value) > 1:
            raise click.UsageError(
                f"--{name} was given {len(value)} times, but one training has one {name}; give it once, or "
                "leave it out to train them all.",
                context,
            )
        value = value[0] if value else None
    if source in _GIVEN:
        given = context.meta.setdefault(_OPTIONS, {})
        rank = source == ParameterSource.COMMANDLINE
        if name not in given or given[name][0] <= rank:
            given[name] = (rank, value)


def explicit_options(context: click.Context) -> dict[str, Any]:
    """The core's options that were given, on whichever level, and whoever declared them.

    An option that the plugin declares itself under one of the core's spellings is read from the command
    that has it.  The command line beats the environment; deeper beats outer.
    """
    given: dict[str, tuple[bool, Any]] = dict(context.meta.get(_OPTIONS, {}))
    for name, level, parameter in _plugins_own(context):
        source = level.get_parameter_source(parameter)
        if source in _GIVEN:
            rank = source == ParameterSource.COMMANDLINE
            if name not in given or given[name][0] < rank:
                given[name] = (rank, level.params[parameter])
    return {name: value for name, (_, value) in given.items() if value is not None and value is not False}


def plugin_defaults(context: click.Context) -> dict[str, Any]:
    """What the plugin's own declarations of the core's options say where nothing was given."""
    defaults: dict[str, Any] = {}
    for name, level, parameter in _plugins_own(context):
        value = level.params[parameter]
        if level.get_parameter_source(parameter) == ParameterSource.DEFAULT and value not in (None, False):
            defaults.setdefault(name, value)
    return defaults


def _plugins_own(context: click.Context) -> Iterator[tuple[str, click.Context, str]]:
    """The plugin's options that are spelled like one of the core's: the core's name, where, its own name."""
    # A plugin's own --config, --name or --set is its own affair: the names are too common to mean ours.
    common = ("config", "name", "set")
    spellings = {option.opts[0]: str(option.name) for option in core_options() if option.name not in common}
    level: click.Context | None = context
    while level is not None:
        for parameter in level.command.params:
            name = next((spellings[opt] for opt in parameter.opts if opt in spellings), None)
            if name is not None and parameter.name in level.params:
                yield name, level, parameter.name
        level = level.parent


def secret_options(context: click.Context) -> list[str]:
    """The spellings, short ones too, of the options whose names look like secrets."""
    found: list[str] = []
    level: click.Context | None = context
    while level is not None:
        found += [
            opt for p in level.command.params if is_secret(f"{p.name} {' '.join(p.opts)}") for opt in p.opts
        ]
        level = level.parent
    return found


def settings_options(plugin: Plugin) -> list[click.Option]:
    """The options that a plugin's published settings become; none where it publishes none."""
    from ravenml.train.settings import default_of, leaves, settings_model

    model = settings_model(plugin)
    if model is None:
        return []
    options = []
    for leaf in leaves(model):
        options += _under(_heading(leaf), _setting_option(leaf, plugin.name, default_of(model, leaf)))
    return options


def _heading(leaf: Leaf) -> str:
    extra = leaf.field.json_schema_extra
    known = extra if isinstance(extra, dict) else {}
    role, group = str(known.get("role")), known.get("group")
    if role in _BY_ROLE:
        return _BY_ROLE[role]
    if leaf.path == ("lr",):
        return "Common"
    return "Model" if group in (None, "general") else _BY_GROUP.get(str(group), str(group).capitalize())


def _setting_option(leaf: Leaf, plugin: str, default: object) -> click.Option:
    from ravenml.train.settings import strip_optional

    annotation = strip_optional(leaf.field.annotation)
    kind: click.ParamType[Any] = click.STRING
    declaration = leaf.option
    is_list = leaf.is_list
    variable = f"RAVENML_{plugin}_{'_'.join(leaf.path)}".upper().replace("-", "_")
    if annotation is bool:
        kind, declaration = click.BOOL, f"{leaf.option}/--no-{leaf.option.removeprefix('--')}"
    elif get_origin(annotation) is Literal:
        kind = click.Choice([str(choice) for choice in get_args(annotation)])
        default = None if default is None else str(default)
    elif annotation in (int, float):
        kind = click.INT if annotation is int else click.FLOAT

    def remember_setting(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        source = context.get_parameter_source(parameter.name or "")
        if source in _GIVEN:
            typed = leaf.option if source == ParameterSource.COMMANDLINE else variable
            parsed = leaf.parse(value) if isinstance(value, str) else value
            context.meta.setdefault(_SETTINGS, {})[leaf.path] = (typed, parsed)

    shown = ",".join(map(str, default)) if isinstance(default, list | tuple) and default else default
    return click.Option(
        [declaration, _SETTING + "_".join(leaf.path)],
        type=kind,
        default=shown if shown != [] and shown != () else None,
        show_default=shown is not None and shown != [],
        expose_value=False,
        callback=remember_setting,
        envvar=variable,
        help=leaf.field.description,
        metavar="A,B,…" if is_list else None,
    )


def evaluate_options(function: Callable[..., object]) -> Callable[..., object]:
    """Give a command the arguments of an evaluation.

    The function is called with ``model`` (the path of what was named, which may be a run's id), ``project``
    (the opened dataset; with ``--split``, only its images with this tag), ``out`` (the folder for the
    results), ``items`` (a file that lists images, or None), ``batch_size`` and ``device``.  With
    ``--trust-code``, the model may name code of the user's own.
    """

    @click.argument("model")
    @click.option("--dataset", help="Dataset: a folder or a name.  Default: the configured one.")
    @click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("evaluation"),
        show_default=True,
        help="Folder for evaluation.json and the images.",
    )
    @click.option(
        "--items",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Evaluate only the images that this file lists, such as a run's info/val_set.json.",
    )
    @click.option(
        "--split",
        type=click.Choice(["train", "val", "test"]),
        help="Evaluate only the images with this tag.",
    )
    @click.option(
        "--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Images per batch."
    )
    @click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        help="Device.",
    )
    @click.option("--trust-code", is_flag=True, help=TRUST_CODE)
    @click.pass_context
    @functools.wraps(function)
    def with_project(
        context: click.Context,
        /,
        model: str,
        dataset: str | None,
        trust_code: bool,
        split: str | None,
        **given: object,
    ) -> object:
        from ravenml.infer.model_resolver import find_one_model
        from ravenml.plugin.user_code import trusting_code

        if split is not None and given["items"] is not None:
            raise click.UsageError("--split and --items exclude each other; give one of them.", context)
        with trusting_code(trust_code):
            path, project = find_one_model(model), _open_project(context, dataset)
            if split is not None:
                project = project.only(project.tagged(split))
            if split == "test":
                _warn_of_seen(path, project)
            return function(model=path, project=project, **given)

    return with_project


def _warn_of_seen(model: Path, project: Project) -> None:
    """Give notice of test images whose names the model's own run has trained on."""
    from ravenml.common.io import read_json
    from ravenml.data.problems import print_notice

    file = (model if model.is_dir() else model.parent) / "info" / "train_set.json"
    if not file.is_file():
        return
    listed = read_json(file)
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    seen = {f"{one.get('dataset_name')}/{one.get('item_name')}" for one in entries}
    count = sum(item.key in seen for item in project.items)
    if count:
        images = "1 image of the same name" if count == 1 else f"{count} images of the same names"
        print_notice(f"{model} was trained on {images}; if they are the same, scores come out too good.")


def _open_project(context: click.Context, dataset: str | None) -> Project:
    from ravenml.config.config import load_config
    from ravenml.data.project import Project
    from ravenml.data.registry import resolve_dataset

    named = dataset or explicit_options(context).get("dataset") or load_config().dataset
    if named is None:
        raise InputError("No dataset is named; name one with `--dataset DIR`.")
    return Project.open(resolve_dataset(named))


def show_metrics(metrics: Mapping[str, float]) -> None:
    """Print the scores over everything, a line each; those of single classes are left out."""
    for name, value in metrics.items():
        if "/" not in name:
            click.echo(f"{name:16} {'not defined' if math.isnan(value) else f'{value:.4f}'}")
