"""What can be wrong with a project: one sentence that names the file, the field and the fix.

A notice is a sentence that a person should see although nothing is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ravenml.common.formatting import shortened, terminal_safe
from ravenml.common.parsing import ParseError
from ravenml.errors import InputError
from ravenml.renamed import former_names

__getattr__ = former_names(__name__, {"Fault": "DataProblem", "raise_fault": "raise_problem"})


class DataProblem(InputError):
    """Something in a project's files that keeps an image from being used.

    Reading a project raises the first problem; ``raven data inspect`` collects them all, by handing the
    readers a function that notes the problem instead of raising it (their argument ``report``).
    """

    def __init__(self, file: Path, field: str, problem: str, fix: str) -> None:
        self.file = file
        self.field = field
        self.problem = problem = shortened(problem)
        self.fix = fix
        super().__init__(terminal_safe(f"{file}{f', {field}' if field else ''}: {problem}; {fix}."))

    def __reduce__(self) -> tuple[type[DataProblem], tuple[Path, str, str, str]]:
        # Exceptions pickle by their message alone, which would not survive a data loader's worker.
        return (DataProblem, (self.file, self.field, self.problem, self.fix))


def from_parse_error(file: Path, error: ParseError, fix: str) -> DataProblem:
    """What is wrong with a file's JSON or YAML."""
    detail = f" ({error.detail})" if error.detail else ""
    return DataProblem(file, error.where, error.problem + detail, fix)


Report = Callable[[DataProblem], None]


def raise_problem(error: DataProblem) -> NoReturn:
    """The usual ``report``: stop at the first problem."""
    raise error


Notice = Callable[[str], None]


def print_notice(message: str) -> None:
    """Print a notice to stderr, so that piped output stays clean."""
    print(f"Note: {message}", file=sys.stderr, flush=True)


def suggestion(word: str, known: list[str]) -> str:
    """``did you mean "car"?`` where a known word is near, else the known words."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"there is {shown}" if known else "there is none at all"
