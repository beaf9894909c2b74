"""Questions that a plugin for ravenML 1 asks, and its spinners.

A question is asked on a terminal.  Elsewhere (a pipe, a fold, a worker on a cluster) the answer is the one
that the config file has under ``answers``, or the question's default; where there is neither, an error says
what to write.  An answer in the config file counts on a terminal too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

import click

from ravenml.errors import InputError

Result = TypeVar("Result")
# What plugins for ravenML 1 ask where the folder for artifacts exists.  Here, a new run's always does, and is
# empty.
OVERWRITE = "Artifact storage location contains old data. Overwrite?"
_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")

verbose_opt = click.option("-v", "--verbose", is_flag=True, help="Print more.")

_answers: ContextVar[Mapping[str, object]] = ContextVar("answers", default={})  # noqa: B039 - never changed


@contextmanager
def answering(answers: Mapping[str, object]) -> Iterator[None]:
    """Within the block, answer these questions without asking.

    Args:
        answers: an answer by question; capitals, and punctuation at the end, do not matter.
    """
    token = _answers.set({_key(question): answer for question, answer in answers.items()})
    try:
        yield
    finally:
        _answers.reset(token)


def may_ask() -> bool:
    """Whether a plugin in this process has imported these questions by their former name."""
    return "ravenml.utils.question" in sys.modules


def user_input(message: str, default: str = "", validator: object = None) -> str:
    """A line of text.

    Args:
        message: the question.
        default: the answer where nobody is at a terminal.
        validator: ignored; whoever asked sees what was answered.
    """
    given = _given(message)
    if given is not None:
        return str(given)
    if not _can_ask():
        return default
    return str(click.prompt(_asked(message), default=default, show_default=bool(default)))


def user_selects(
    message: str, choices: Iterable[str], selection_type: str = "list", sort_choices: bool = True
) -> Any:
    """One of some choices, or with ``selection_type="checkbox"`` a list of them.

    Raises:
        InputError: the answer is none of the choices; or there is neither an answer nor a terminal, and more
            than one choice.
    """
    known = [str(choice) for choice in choices]
    known = sorted(known) if sort_choices else known
    several = selection_type == "checkbox"
    given = _given(message)
    if given is None and not _can_ask():
        if len(known) == 1:
            return known if several else known[0]
        _fail(message, known)
    if given is None:
        click.echo(f"{_asked(message)}: {', '.join(known)}")
        kind = None if several else click.Choice(known)
        label = "Some of them, with commas" if several else "One of them"
        given = click.prompt(label, type=kind, show_choices=False)
    chosen = given if isinstance(given, list) else str(given).split(",") if several else [str(given)]
    chosen = [str(one).strip() for one in chosen]
    if wrong := [one for one in chosen if one not in known]:
        _fail(message, known, f" It has no {wrong[0]!r}.")
    return chosen if several else chosen[0]


def user_confirms(message: str, default: bool = False) -> bool:
    """Whether somebody agrees.

    Raises:
        InputError: the config file's answer is neither yes nor no.
    """
    given = _given(message)
    if given is None:
        return bool(click.confirm(_asked(message), default=default)) if _can_ask() else default
    text = str(given).strip().lower()
    if text not in (*_YES, *_NO):
        _fail(message, ["yes", "no"], f" It is not {text!r}.")
    return text in _YES


class Spinner:
    """Says what is under way; a line when it begins on a terminal, and one when it is done."""

    def __init__(self, text: str, text_color: str | None = None) -> None:
        self.text = text

    def start(self) -> None:
        if sys.stdout.isatty():
            click.echo(self.text)

    def succeed(self, text: str | None = None) -> None:
        click.echo(text or self.text)


def cli_spinner(text: str, func: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call ``func``, and print ``text`` with what came of it.

    ``sys.stdout`` and ``sys.stderr`` are put back: those plugins replace them to silence a framework, and an
    error would otherwise be lost.
    """
    streams = sys.stdout, sys.stderr
    spinner = Spinner(text)
    spinner.start()
    outcome = "Failed."
    try:
        result = func(*args, **kwargs)
        outcome = "Complete."
    finally:
        sys.stdout, sys.stderr = streams
        spinner.succeed(f"{text}{outcome}")
    return result


def raise_parameter_error(option: object, hint: str) -> NoReturn:
    """End the command with exit code 2: ``option`` is not a usable value of what ``hint`` names."""
    raise click.BadParameter(str(option), param_hint=hint)


def _key(question: str) -> str:
    return _bare(question).casefold()


def _bare(question: str) -> str:
    return question.strip(" \t?:.!")


def _asked(message: str) -> str:
    return message.strip().rstrip(":").strip()


def _given(message: str) -> object:
    given = _answers.get().get(_key(message))
    if given is not None:
        click.echo(f"{_asked(message)}: {given}")
    return given


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _fail(message: str, choices: list[str], why: str = "") -> NoReturn:
    question = _asked(message)
    raise InputError(
        f"The plugin asks {question!r}, which has to be one of {', '.join(choices)}.{why} "
        f"Without a terminal, answer with --set 'answers.{_bare(message)}={choices[0]}', or in the config "
        f"file (--config) under `answers`."
    )
