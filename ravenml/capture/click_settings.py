"""The settings of a program that parses its command line with Click, and so with Typer."""

from __future__ import annotations

import functools
import sys
from typing import Any

from .reporting import guarded, is_of_the_program, report_settings


def watch_click(click: Any) -> None:
    """Report the parameters of each command that is invoked, a subcommand's with its groups'."""
    original = click.Command.invoke

    @functools.wraps(original)
    def invoke(self: Any, ctx: Any) -> Any:
        _report(self, ctx)
        return original(self, ctx)

    click.Command.invoke = invoke


@guarded
def _report(command: Any, context: Any) -> None:
    function = getattr(command.callback, "__wrapped__", command.callback)
    place = sys.modules.get(getattr(function, "__module__", ""))
    if place is None or is_of_the_program(vars(place)):
        report_settings(context.params, "click")
