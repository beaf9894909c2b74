"""The table of runs as its address says it: filter, order, page."""

from __future__ import annotations

from typing import Any

import pytest

from ravenml.dashboard.runs.query import SIZE, Query, select


def row(name: str, **values: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"id": name, "status": "completed", "plugin": "unet", "tags": [], "metrics": {}}
    return given | {"settings": {}, "created": None, "dataset": "meadow"} | values


ROWS = [
    row("c", metrics={"val/miou": 0.5}, settings={"lr": 0.1}, tags=["good"]),
    row("b", metrics={"val/miou": 0.7}, settings={"lr": 0.01}, status="failed"),
    row("a", settings={"lr": 1e-5}),
]


def ids(query: Query) -> list[str]:
    return [one["id"] for one in select(ROWS, query).rows]


def test_an_address_says_all_of_it_and_is_read_back() -> None:
    query = Query(
        *("val/miou>0.5 and lr<=0.01", "failed", "good", "lr", True, 3, "two words"),
        columns=("lr", "iou of 100%, or less"),
        pinned=("lr",),
        group="-seed",
        archived=True,
    )
    address = query.address(page=3)
    from urllib.parse import parse_qsl, urlsplit

    assert Query.parse(dict(parse_qsl(urlsplit(address).query))) == query
    assert Query().address() == "/runs"


@pytest.mark.parametrize("page", ["0", "-3", "x", "", "9" * 30, "²"])
def test_nonsense_in_an_address_is_left_out(page: str) -> None:
    assert Query.parse({"page": page, "status": "sleeping", "up": "yes"}) == Query()


def test_conditions_are_those_of_the_command_line() -> None:
    assert ids(Query("val/miou>0.4 and lr<=0.05")) == ["b"]
    assert ids(Query(status="failed")) == ["b"]
    assert ids(Query(tag="good")) == ["c"]


@pytest.mark.parametrize("where", ["val/miou>", "nonsense", "accuracyy>0.5"])
def test_a_wrong_condition_is_told_and_everything_shown(where: str) -> None:
    page = select(ROWS, Query(where))
    assert page.problem and len(page.rows) == 3
    assert not page.problem.startswith("--where")


def test_numbers_are_ordered_as_numbers_and_what_is_missing_comes_last() -> None:
    assert ids(Query(sort="lr")) == ["c", "b", "a"]
    assert ids(Query(sort="lr", up=True)) == ["a", "b", "c"]
    assert ids(Query(sort="score")) == ["b", "c", "a"]
    assert ids(Query(sort="score", up=True)) == ["c", "b", "a"]
    assert ids(Query(sort="no such thing")) == ["c", "b", "a"]


def test_a_column_is_ordered_downwards_then_upwards_then_not() -> None:
    first = Query(where="lr>0")
    assert first.sorted_by("lr") == "/runs?where=lr%3E0&sort=lr"
    assert Query(sort="lr").sorted_by("lr") == "/runs?sort=lr&up=1"
    assert Query(sort="lr", up=True).sorted_by("lr") == "/runs"


def test_what_is_asked_for_gets_a_column() -> None:
    assert Query("val/miou>0.5 and lr<1", sort="epochs").named_columns() == ["val/miou", "lr", "epochs"]


def test_chosen_columns_come_from_the_address_or_from_what_the_browser_remembers() -> None:
    remembered = Query(columns=("lr", "a,b"), pinned=("lr", "gone")).chosen_columns()
    assert Query.parse({}, remembered) == Query(columns=("lr", "a,b"), pinned=("lr",))
    assert Query.parse({"columns": "epochs"}, remembered) == Query(columns=("epochs",))
    assert Query().chosen_columns() == "" and Query.parse({}, "%%%=&") == Query()


def test_archived_runs_are_shown_where_they_are_asked_for_alone() -> None:
    rows = [row("b", tags=["archived", "good"]), row("a", tags=["good"])]
    shown = [
        [one["id"] for one in select(rows, query).rows]
        for query in (Query(), Query(archived=True), Query(tag="archived"), Query(text="GOOD"))
    ]
    assert shown == [["a"], ["b"], ["b"], ["a"]]


def test_pages_hold_fifty_runs_and_a_page_too_far_is_the_last() -> None:
    many = [row(f"{number:04d}") for number in range(2 * SIZE + 1)]
    assert [len(select(many, Query(page=page)).rows) for page in (1, 2, 3, 9)] == [SIZE, SIZE, 1, 1]
    assert select(many, Query()).pages == 3
