"""A run's log on its page: what it brings, however the program prints."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from as_user import in_a_loop

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")

from ravenml.dashboard.widgets import console as module
from ravenml.dashboard.widgets.console import Console, ConsoleTail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


def test_the_end_comes_first_then_what_is_new_and_on_request_what_stands_before(path: Path) -> None:
    path.write_text("".join(f"line {number}\n" for number in range(10_000)))
    log = ConsoleTail(path)
    shown = log.tail()
    assert shown.endswith("line 9999\n") and shown.startswith("line ") and log.new() == ""
    with path.open("a") as file:
        file.write("torn")
    assert log.new() == ""
    with path.open("a") as file:
        file.write(" no more\n")
    assert log.new() == "torn no more\n"
    assert log.before().endswith(f"line {int(shown.split()[1]) - 1}\n")


def test_a_bar_that_draws_itself_over_and_over_stops_nothing(path: Path) -> None:
    path.write_bytes(b"begin\n")
    log = ConsoleTail(path)
    assert log.tail() == "begin\n"
    with path.open("ab") as file:
        file.writelines(b"\rstep %d of 40000 %s" % (number, b"." * 40) for number in range(40_000))
        file.write(b"\nend\n")
    came = "".join(log.new() for _ in range(9))
    assert came.endswith("end\n") and "step 39999 of 40000" in came
    assert came.count("\n") == 2 and len(came) < 1000


def test_a_line_without_end_stops_nothing_either(path: Path) -> None:
    path.write_bytes(b"begin\n")
    log = ConsoleTail(path)
    log.tail()
    with path.open("ab") as file:
        file.write(b"x" * 3_000_000 + b"\nend\n")
    assert "".join(log.new() for _ in range(9)).endswith("\nend\n")


def test_of_a_program_that_was_killed_the_torn_line_is_shown(path: Path) -> None:
    path.write_text("one\nKilled in the mid")
    assert ConsoleTail(path).tail() == "one\n"
    assert ConsoleTail(path).tail(ended=True) == "one\nKilled in the mid"


def test_a_page_that_is_open_for_days_lets_go_of_what_stands_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nicegui import core
    from nicegui.client import Client
    from nicegui.page import page

    monkeypatch.setattr(module, "_PARTS", 3)
    path.touch()

    def shown(console: Console) -> list[str]:
        children: list[Any] = console._text.default_slot.children
        return [child.text for child in children]

    async def watch() -> None:
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
        with Client(page("")):
            console = Console(path.parent, ended=False)
            await console.build()
            assert shown(console) == ["No output yet."]
            for number in range(6):
                with path.open("a") as file:
                    file.write(f"line {number}\n")
                await console.refresh()
            assert shown(console) == ["line 3", "line 4", "line 5"] and console._more.visible
            await console._before()
            assert shown(console) == ["line 0\nline 1\nline 2", "line 3", "line 4", "line 5"]

    in_a_loop(watch())
