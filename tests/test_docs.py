"""What stands on a page can be copied: every command is one that this version takes."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path

import click
import pytest
from as_user import ROOT, Raven

from ravenml.cli import COMMANDS
from ravenml.cli import raven as root
from ravenml.common.locks import exclusive_lock

PAGES = sorted(
    path
    for folder in (ROOT, ROOT / "docs", *ROOT.glob("plugins/*/"))
    for path in (folder.rglob("*.md") if folder.name == "docs" else folder.glob("*.md"))
    if "_build" not in path.parts and path.name != "CHANGELOG.md"  # which also names what is gone
)
# Names that a page gives to what its reader writes; the command line is the same for all plugins.
PLUGINS_TO_BE_WRITTEN = ("my-net", "my-plugin")
ELLIPSIS = "…"
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|<.*>")
OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "(", ")"}


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it, from the program's name on."""

    where: str
    words: tuple[str, ...]
    whole: bool  # in a block, to be copied; a command inside a sentence may stand for a family of them


def shown_in_blocks(path: Path) -> Iterator[Shown]:
    """The simple commands of the page's blocks for a shell; in ``console``, of the lines behind a prompt."""
    block = (
        r"^ *(?P<fence>[`:]{3,})\{?(?:code-block\} )?(console|bash|sh|shell)\b.*\n([\s\S]*?)^ *(?P=fence)$"
    )
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(block, text, re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        language, body = found[2], found[3].replace("\\\n", " ")
        for number, typed in enumerate(body.splitlines(), line + 1):
            typed = typed.strip()
            if language == "console":
                if not typed.startswith("$ "):
                    continue
                typed = typed[2:]
            yield from simple_commands(f"{path.relative_to(ROOT)}:{number}", typed)


def simple_commands(where: str, typed: str) -> Iterator[Shown]:
    lexer = shlex.shlex(typed, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    before = ""
    for word in [*lexer, ";"]:
        if word not in OPERATORS:
            if before not in {">", ">>", "<"}:
                words.append(word)
            before = word
            continue
        before = word
        if word in {">", ">>", "<"}:
            continue
        while words and re.fullmatch(r"\w+=.*", words[0]):  # variables that are set for the command
            words.pop(0)
        if words:
            yield Shown(where, tuple(words), whole=True)
        words = []


def shown_in_sentences(where: str, text: str) -> Iterator[Shown]:
    for found in re.finditer(r"(?<!`)`(raven [^`]+)`(?!`)", text):
        words = shlex.split(" ".join(found[1].split()))
        yield Shown(where, tuple(words), whole=False)


def commands_below(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands_below(below, click.Context(below, info_name=name, parent=context))


def shown_in_help() -> Iterator[Shown]:
    """The commands that help texts show: the lines after ``\\b``, and anything in backquotes."""
    for where, command in commands_below(root, click.Context(root, info_name="raven")):
        text = command.help or ""
        for line in re.findall(r"^ *(?:\$ |New here\? +)?(raven .*)$", text, re.MULTILINE):
            yield from simple_commands(f"{where} --help", re.split(r"  +", line)[0])
        yield from shown_in_sentences(f"{where} --help", text)
        for param in command.params:
            yield from shown_in_sentences(f"{where} --help", getattr(param, "help", None) or "")


SHOWN = [
    shown
    for path in PAGES
    for shown in (
        *shown_in_blocks(path),
        *shown_in_sentences(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")),
    )
]


def check(command: click.Command, words: list[str], whole: bool, parent: click.Context | None = None) -> None:
    """Parse a command line as ``raven`` does, but call nothing and open no file.

    Raises:
        click.UsageError: an option does not exist, a value is none of the choices, an argument is missing.
    """
    name = "raven" if parent is None else command.name
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.BadOptionUsage:  # a sentence may name an option without a value for it
        if whole or not words[-1].startswith("-"):
            raise
        given, rest, _ = command.make_parser(context).parse_args([*words, ELLIPSIS])
    for param in command.get_params(context):
        value = given.get(param.name)
        typed = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
        if whole and param.required and not typed:
            raise click.MissingParameter(ctx=context, param=param)
        if any(isinstance(one, str) and (PLACEHOLDER.fullmatch(one) or one == ELLIPSIS) for one in typed):
            continue
        if typed and not isinstance(param.type, (click.Path, click.File)):
            param.type_cast_value(context, value)
    if not isinstance(command, click.Group):
        if rest and rest[0] != ELLIPSIS:
            raise click.UsageError(f"{rest} is too much", context)
    elif rest and rest[0] != ELLIPSIS and not PLACEHOLDER.fullmatch(rest[0]):
        name = "unet" if rest[0] in PLUGINS_TO_BE_WRITTEN else rest[0]
        below = command.get_command(context, name)
        if below is None:
            raise click.UsageError(f"{command.name} has no command {rest[0]!r}", context)
        check(below, rest[1:], whole, context)
    elif (
        whole
        and parent is not None  # `raven` alone prints its help, or a shell's completion
        and not rest
        and not command.invoke_without_command
        and set(given).isdisjoint({"help", "version"})
    ):
        raise click.UsageError(f"{command.name} needs the name of a command", context)


def refusals(found: Iterable[Shown]) -> list[str]:
    refused = []
    for shown in found:
        try:
            check(root, list(shown.words[1:]), shown.whole)
        except click.UsageError as error:
            refused.append(f"{shown.where}: {shlex.join(shown.words)}: {error.format_message()}")
    return refused


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_on_a_page_is_one_that_raven_takes(path: Path) -> None:
    page = str(path.relative_to(ROOT))
    on_page = [one for one in SHOWN if one.where.split(":")[0] == page and one.words[0] == "raven"]
    assert refusals(on_page) == []


def test_every_command_in_a_help_text_is_one_that_raven_takes() -> None:
    assert refusals(shown_in_help()) == []


@pytest.mark.parametrize(
    "typed, why",
    [
        ("raven train –dataset demo unet train", "no command '–dataset'"),
        ("raven runs list --statis failed", "No such option"),
        ("raven runs list --status standing", "'standing' is not one of"),
        ("raven train unet train --epochs many", "'many' is not a valid integer"),
        ("raven serve", "Missing argument"),
        ("raven data", "needs the name of a command"),
        ("raven config show it", "is too much"),
        ("raven serve ID --port", "requires an argument"),
    ],
)
def test_a_command_that_raven_refuses_would_be_found(typed: str, why: str) -> None:
    (refused,) = refusals(simple_commands("a page", typed))
    assert why in refused


def test_every_command_group_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "commands").glob("*.rst")}
    assert pages == {*COMMANDS, "train-unet", "train-tf-bbox"}
    index = (ROOT / "docs" / "commands" / "index.md").read_text(encoding="utf-8")
    assert all(f"({page}.rst)" in index and f"\n{page}\n" in index for page in pages)


def test_make_s_targets_the_extras_and_the_scripts_that_pages_name_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    extras = set(metadata("ravenml").get_all("Provides-Extra") or [])
    for shown in SHOWN:
        program, *rest = shown.words
        if program == "make":
            named = {word for word in rest if "=" not in word}
            assert named <= targets, f"{shown.where}: make has no target {named - targets}"
        if program == "pip" and (found := re.search(r"\.\[([\w,-]+)\]", " ".join(rest))):
            assert set(found[1].split(",")) <= extras, f"{shown.where}: there is no extra {found[1]}"
        if program.endswith("install.sh") and "my_net" not in program:
            assert (ROOT / program).is_file(), f"{shown.where}: there is no {program}"


@pytest.mark.parametrize(
    "typed",
    ["raven config show", "raven data formats", "raven data list", "raven runs list", "raven train list"],
)
def test_what_pages_show_that_only_lists_works_on_a_new_machine(raven: Raven, typed: str) -> None:
    words = tuple(typed.split())
    assert any(shown.words == words for shown in SHOWN)
    raven.ok(*words[1:])


@pytest.fixture(scope="module")
def built() -> Path:
    """The pages, where `make docs` builds them: what has not changed is not built again."""
    folder = ROOT / "docs" / "_build" / "html"
    call = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", ROOT / "docs", folder]
    folder.parent.mkdir(exist_ok=True)
    with exclusive_lock(folder.parent / "building"):
        done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_no_option_has_a_typographic_dash_or_quotation_mark_in_the_built_pages(built: Path) -> None:
    pages = list(built.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        text = html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
        assert not re.findall(r"(?<!\w)[–—][A-Za-z][\w-]*|[“”‘’]-+\w+", text), page.name


def test_the_search_finds_every_option_of_every_command(built: Path) -> None:
    index = (built / "searchindex.js").read_text(encoding="utf-8")
    objects = json.loads(index[index.index("{") : index.rindex("}") + 1])["objects"]
    for where, command in commands_below(root, click.Context(root, info_name="raven")):
        if command is root or command.hidden:
            continue
        found = {entry[4] for entry in objects.get(where.replace(" ", "-"), ())}
        options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        assert {option.opts[-1] for option in options} <= found, where
