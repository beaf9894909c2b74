"""What an import leaves out: equal problems counted as one, and how much of the data they cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ravenml.common.formatting import shortened
from ravenml.data.problems import DataProblem

_EXAMPLES = 3
# What differs between problems of one kind: quoted values, and words with a digit, a slash, or a dot inside.
_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'|\S*(?:[\d/\\#]|\w\.\w)\S*")


def problem_kind(problem: DataProblem) -> tuple[str, str]:
    """What is equal in problems of one kind: their words, without numbers, quoted values and paths."""
    return _VALUE.sub("…", problem.problem), _VALUE.sub("…", problem.fix)


@dataclass
class Reason:
    """One kind of problem.

    Attributes:
        examples: the first three problems of the kind.
        count: how many there were.
        images: how many images they cost.
        objects: how many objects they cost.
    """

    examples: list[DataProblem] = field(default_factory=list)
    count: int = 0
    images: int = 0
    objects: int = 0

    def __str__(self) -> str:
        first = self.examples[0]
        if self.count == 1:
            return f"Left out: {first}"
        also = [_place(one, first) for one in self.examples[1:]]
        rest = self.count - len(self.examples)
        ending = f" and {rest:,} more" if rest else ""
        return f"Left out, {self.count:,} times: {first} Also: {'; '.join(also)}{ending}."


class Losses:
    """Everything that an import left out.

    Attributes:
        images: how many images.
        objects: how many objects, as far as they are known.
        classes: how many of these objects were of each class, where that is known.
    """

    def __init__(self) -> None:
        self.images = self.objects = 0
        self.classes: Counter[str] = Counter()
        self._reasons: dict[tuple[str, str], Reason] = {}

    def __len__(self) -> int:
        return sum(reason.count for reason in self._reasons.values())

    @property
    def reasons(self) -> list[Reason]:
        """The kinds of problems, the most frequent first."""
        return sorted(self._reasons.values(), key=lambda reason: -reason.count)

    def add(self, problem: DataProblem, images: int, objects: int, classes: Mapping[str, int]) -> None:
        """Count a problem that cost so many images and objects, of which ``classes`` has those per class."""
        reason = self._reasons.setdefault(problem_kind(problem), Reason())
        reason.count += 1
        reason.images += images
        reason.objects += objects
        if len(reason.examples) < _EXAMPLES:
            reason.examples.append(problem)
        self.images += images
        self.objects += objects
        self.classes.update(classes)

    def excess(
        self, images: int, objects: int, classes: Mapping[str, int], max_lost: float | None
    ) -> str | None:
        """What was lost beyond the limit, as the beginning of a sentence; None where that is nothing.

        Args:
            images: how many images were imported.
            objects: how many objects were imported.
            classes: how many of these objects are of each class.
            max_lost: which share of the images, and of the objects, may be lost, from 0 to 1; None: half of
                them, and no class as a whole.
        """
        limit = 0.5 if max_lost is None else max_lost
        for what, lost, kept in (("objects", self.objects, objects), ("images", self.images, images)):
            if lost and lost > limit * (lost + kept):
                return f"{lost:,} of {lost + kept:,} {what} were left out"
        if max_lost is None:
            gone = [title for title in self.classes if not classes.get(title)]
            if gone:
                named = ", ".join(f'"{shortened(title, 60)}"' for title in gone[:_EXAMPLES])
                more = f" and {len(gone) - _EXAMPLES} more" if len(gone) > _EXAMPLES else ""
                return f"every object of the class {named}{more} was left out"
        return None

    def as_json(self) -> list[dict[str, object]]:
        """The kinds of problems, the most frequent first, for programs."""
        return [
            {
                "problem": reason.examples[0].problem,
                "fix": reason.examples[0].fix,
                "count": reason.count,
                "images": reason.images,
                "objects": reason.objects,
                "examples": [{"file": str(one.file), "field": one.field} for one in reason.examples],
            }
            for reason in self.reasons
        ]


def _place(problem: DataProblem, first: DataProblem) -> str:
    """Where a further problem is, and what it is where that differs: without what the first one says."""
    same_file = problem.file == first.file and problem.field
    where = problem.field if same_file else f"{problem.file}{f', {problem.field}' if problem.field else ''}"
    return where if problem.problem == first.problem else f"{where}: {problem.problem}"
