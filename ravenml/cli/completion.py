"""Tab in a shell: what Click finds, and else the names of files.

Most arguments may be a path or a name (of a dataset, a model, a run).  For these Click, which goes by an
argument's type, finds nothing.
"""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)


class _OrPaths(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        found = super().get_completions(args, incomplete)
        if found or incomplete.startswith("-"):
            return found
        return [CompletionItem(incomplete, type="file")]  # the shell itself looks for them


class _Bash(_OrPaths, BashComplete):
    pass


class _Zsh(_OrPaths, ZshComplete):
    pass


class _Fish(_OrPaths, FishComplete):
    pass


def prepare_completion(asked: str) -> None:
    """Let bash, zsh and fish complete paths too, and print nothing into the line that is being typed.

    Args:
        asked: the value of ``_RAVEN_COMPLETE``: ``bash_source``, or ``bash_complete`` at every Tab.
    """
    for kind in (_Bash, _Zsh, _Fish):
        add_completion_class(kind)
    if asked.endswith("_complete"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
