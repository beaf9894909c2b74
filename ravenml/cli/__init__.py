"""The command ``raven``: loads a command group only when it is called, and words every error."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import click

from ravenml.errors import RavenError

ARGV = "ravenml.cli.argv"  # in Click's context: all that was typed behind `raven`

# Each is the command of its name in the module of its name, which is imported only when it is called.
COMMANDS = {
    "train": "Train a model with an installed plugin.",
    "run": "Run any program and record it.",
    "infer": "Annotate images with a trained model.",
    "serve": "Serve a trained model over HTTP, with a demo page.",
    "runs": "List, compare, repeat and manage runs.",
    "remote": "Manage Ray queues and the runs submitted to them.",
    "models": "List, show, fetch, store and remove trained models.",
    "data": "Inspect, import, fetch and store datasets; write a demo dataset.",
    "agent": "Run plugins written for Supervisely's contract.",
    "dashboard": "Train, watch and compare in a browser.",
    "plugin": "Write and check plugins; list installed ones.",
    "config": "Show or change default settings; test storage access.",
}
# Commands before which the state of runs on clusters is brought up to date.
SYNCED = ("runs", "dashboard")


_CONTROLS = re.compile(r"(?!\x1b\[[\d;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Formatter(click.HelpFormatter):
    """Click's own, but no option's name is broken at a hyphen, and only colours control the terminal."""

    def write(self, string: str) -> None:
        super().write(_CONTROLS.sub("", string.replace("\N{NON-BREAKING HYPHEN}", "-")))

    def write_text(self, text: str) -> None:
        super().write_text(_unbroken(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(_unbroken(name), _unbroken(text)) for name, text in rows], col_max, col_spacing)


def _unbroken(text: str) -> str:
    return text.replace("-", "\N{NON-BREAKING HYPHEN}")


click.Context.formatter_class = Formatter  # of every command, a plugin's too


class Commands(click.Group):
    """A group that knows its commands by name and imports a module when its command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        import importlib

        command = getattr(importlib.import_module(f"ravenml.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if close and "mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from None
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] and args[0] in SYNCED and not ctx.resilient_parsing and "--help" not in args:
            from ravenml.config.home import home

            if (home() / "remote" / "following").is_dir():  # something was sent to a cluster from here
                from ravenml.remote.client.sync import sync_in_background

                sync_in_background()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        command_line = list(args)
        context = super().make_context(info_name, args, *more, **extra)
        context.meta[ARGV] = command_line
        return context

    def invoke(self, ctx: click.Context) -> Any:
        from ravenml.common.permissions import close_home

        close_home(lambda text: click.echo(text, err=True))
        try:
            return super().invoke(ctx)
        except click.exceptions.Exit as done:
            # Without Click's standalone mode an exit code would come back as if a command had returned it.
            raise SystemExit(done.exit_code) from None


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from ravenml import __version__

        click.echo(f"raven {__version__}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def raven() -> None:
    """Train vision models: from a folder of annotated images to a trained, scored, stored model.

    \b
    New here?    raven data demo my_demo                    writes a small dataset
                 raven train --dataset my_demo unet train   trains on it
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run ``raven`` and exit: 0 done, 1 failed, 2 unusable input, 130 interrupted.

    Errors are one sentence on stderr; ``RAVENML_DEBUG=1`` shows the traceback.
    """
    debug = os.environ.get("RAVENML_DEBUG", "") not in ("", "0")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our letters is no reason to fail
    if asked := os.environ.get("_RAVEN_COMPLETE"):
        from ravenml.cli.completion import prepare_completion

        prepare_completion(asked)
    try:
        raven.main(args=None if argv is None else list(argv), prog_name="raven", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RavenError as error:
        _show(error, debug)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; say nothing
        sys.exit(141)
    except Exception as error:
        if debug:
            _show_traceback(error)
        else:
            _say(
                f"Error: {type(error).__name__}: {error}\n"
                "This is a bug in ravenML; RAVENML_DEBUG=1 shows the traceback."
            )
        sys.exit(1)
    sys.exit(0)


def _show(error: RavenError, debug: bool) -> None:
    if debug:
        _show_traceback(error)
    prefix = "" if error.exit_code >= 128 else "Error: "
    _say(f"{prefix}{error}")


def _show_traceback(error: BaseException) -> None:
    import traceback

    _say("".join(traceback.format_exception(error)).rstrip("\n"))


def _say(text: str) -> None:
    """Print to stderr; logs of jobs and of CI are read by many, so secrets are masked."""
    from ravenml.common.formatting import terminal_safe
    from ravenml.common.secrets import redact_text

    # It may quote text that somebody else wrote.
    click.echo(terminal_safe(redact_text(text), newlines=True), err=True)
