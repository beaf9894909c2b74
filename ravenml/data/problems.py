"""What can be wrong with a project: one sentence that names the file, the field and the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ravenml.errors import InputError


class Fault(InputError):
    """Something in a project's files that keeps an image from being used.

    Reading a project raises the first fault; ``raven data inspect`` collects them all, by handing the
    readers a function that notes the fault instead of raising it (their argument ``report``).
    """

    def __init__(self, file: Path, field: str, problem: str, mend: str) -> None:
        self.file = file
        self.field = field
        self.problem = problem
        self.mend = mend
        super().__init__(f"{file}{f', {field}' if field else ''}: {problem}; {mend}.")

    def __reduce__(self) -> tuple[type[Fault], tuple[Path, str, str, str]]:
        # Exceptions pickle by their message alone, which would not survive a data loader's worker.
        return (Fault, (self.file, self.field, self.problem, self.mend))


Report = Callable[[Fault], None]


def raise_fault(fault: Fault) -> NoReturn:
    """The usual ``report``: stop at the first fault."""
    raise fault


def suggestion(word: str, known: list[str]) -> str:
    """``did you mean "car"?`` where a known word is near, else the known words."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"there is {shown}" if known else "there is none at all"
