"""Values of any origin checked against a model: sentences that stay short."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import BaseModel, ConfigDict

from ravenml.common.validation import validate
from ravenml.errors import InputError


class Car(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wheels: int = 4
    weight: float = 1.0
    colours: list[int] = []
    owner: dict[str, int] = {}


@pytest.mark.parametrize(
    "values",
    [
        {"wheels": "4" + "x" * 100_000},
        {"weight": ["x" * 100_000]},
        {"owner": "x" * 100_000},
        {"owner": {"x" * 100_000: "y"}},
        {"x" * 100_000: 1},
        {"colours": ["red"] * 100_000},
        {f"door{number}": 1 for number in range(10_000)},
    ],
    ids=lambda values: next(iter(values))[:10],
)
def test_a_long_value_or_many_faults_make_no_long_message(values: Mapping[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        validate(Car, values, "car.yml")
    assert str(refused.value).startswith("car.yml: `")
    assert len(str(refused.value)) < 5000


def test_how_many_faults_are_not_shown_is_said() -> None:
    with pytest.raises(InputError, match=r"(?s)`colours.0` should be .*\n80 more faults are not shown\.$"):
        validate(Car, {"colours": ["red"] * 100}, "car.yml")
