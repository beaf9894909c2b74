"""What a plugin's training command really does when it is called."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from ravenml.context import SESSION
from ravenml.runs.launcher import PARENT, end_with_parent
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.kfold import run_folds
from ravenml.train.request import make_request
from ravenml.train.session import Session
from ravenml.train.submit import send_if_wanted


def run_command(context: click.Context, call: Callable[[TrainInput], Any]) -> Any:
    """Call a plugin's training command with its ``TrainInput``; seal and store what it did.

    A command that is called by another one with ``@pass_train``, or that stands in a group that has it,
    shares that one's ``TrainInput``; the outermost stores.

    Args:
        context: the command's context.
        call: the command itself.

    Returns:
        What the command returned; None where k-fold called it in other processes.
    """
    if os.environ.get(PARENT):
        end_with_parent()
    outer: Session | None = context.meta.get(SESSION)
    if outer is not None and outer.calling:
        return call(outer.input)
    request = outer.request if outer is not None else make_request(context)
    if outer is None and send_if_wanted(context, request):
        context.exit(0)
    if request.wants_folds and not isinstance(context.command, click.Group):
        run_folds(request, call)
        return None
    session = context.meta[SESSION] = outer or Session(request)
    if isinstance(context.command, click.Group):  # its commands go on with what it does to the input
        context.call_on_close(session.close)
        return session.call(call)
    return session.run_whole(call)


def store_unclaimed(context: click.Context, result: Any) -> None:
    """Store the ``TrainOutput`` of a command that has no ``@pass_train``."""
    if isinstance(result, TrainOutput) and SESSION not in context.meta:
        Session(make_request(context)).run_whole(lambda train: result)
