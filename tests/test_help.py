"""What ``--help`` shows: groups and words; and names that commands and options had."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from as_user import Raven

from ravenml.cli import COMMANDS, raven


def commands(command: click.Command, context: click.Context) -> list[click.Context]:
    """A context for the command and for each below it."""
    found = [context]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            if not below.hidden:
                found += commands(below, click.Context(below, info_name=name, parent=context))
    return found


def test_every_group_says_in_a_line_what_its_own_help_begins_with() -> None:
    context = click.Context(raven, info_name="raven")
    for name, line in COMMANDS.items():
        command = raven.get_command(context, name)
        assert command is not None and command.name == name
        assert line.endswith(".") and len(line) <= 70


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_option_is_broken_at_a_hyphen(width: int) -> None:
    for context in commands(raven, click.Context(raven, info_name="raven", terminal_width=width)):
        broken = re.findall(r"(?<![\w|])--?\w[\w-]*-\n", context.get_help())
        assert not broken, (context.command_path, broken)


def test_a_training_s_options_stand_under_headings_the_common_ones_first(raven: Raven, learner: Path) -> None:
    said = raven.ok("train", "learner", "train", "--help")
    headings = re.findall(r"^(\S.*):$", said, re.MULTILINE)
    assert headings == ["Options", "Common", "Data", "Model", "k-fold", "Storage"]
    common = said[said.index("Common:") : said.index("Model:")]
    assert common.index("--config") < common.index("--dataset") < common.index("--lr")
    assert "--folds" in said[said.index("k-fold:") : said.index("Storage:")]


def test_a_former_option_works_and_says_what_it_is_called_now(
    raven: Raven, learner: Path, project: Path
) -> None:
    for name in ("--workers", "--processes"):
        refused = raven("run", name, "2", "--", "true")
        assert refused.returncode == 2 and "--processes belongs to --remote" in refused.stderr
        assert ("--workers is now called --processes" in refused.stderr) == (name == "--workers")
        refused = raven("train", name, "2", "--dataset", project, "learner", "train")
        assert refused.returncode == 2 and "--processes belongs to --remote" in refused.stderr
    assert "--workers" not in raven.ok("run", "--help") + raven.ok("serve", "--help")


def test_a_former_command_works_and_says_what_it_is_called_now(raven: Raven) -> None:
    called = raven("remote", "bring", "20261121")
    assert "Use `pull`" in called.stderr and "in the stores of the queues" in called.stderr
    assert "bring" not in raven.ok("remote", "--help")


def test_every_status_that_the_list_shows_can_be_asked_for(raven: Raven) -> None:
    for status in ("running", "waiting", "completed", "failed", "interrupted", "lost", "broken"):
        raven.ok("runs", "list", "--status", status)
