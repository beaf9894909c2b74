"""Measurements of this machine: each is made once, by one process, and again where it would be another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ravenml.config.home import cache_dir
from ravenml.config.machine import recall, remember

ABOUT = {"network": "UNet", "size": [8, 128, 96]}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))


class Clock:
    """A measurement that gives another result each time."""

    calls = 0

    def __call__(self) -> dict[str, object]:
        self.calls += 1
        return {"seconds": self.calls}


def test_the_same_is_measured_once() -> None:
    clock = Clock()
    assert recall("step", ABOUT) is None
    assert remember("step", ABOUT, clock) == remember("step", ABOUT, clock) == {"seconds": 1}
    assert recall("step", ABOUT) == {"seconds": 1}


def test_another_size_another_kind_and_another_limit_of_the_processor_are_measured_on_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    remember("step", ABOUT, clock)
    remember("step", ABOUT | {"size": [8, 256, 256]}, clock)
    remember("epoch", ABOUT, clock)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    remember("step", ABOUT, clock)
    assert clock.calls == 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"result": 3}', b"\xff\xff"])
def test_a_damaged_file_is_measured_again(content: bytes) -> None:
    clock = Clock()
    remember("step", ABOUT, clock)
    (file,) = cache_dir().glob("measured/step/*.json")
    file.write_bytes(content)
    assert remember("step", ABOUT, clock) == remember("step", ABOUT, clock) == {"seconds": 2}


def test_what_fails_is_not_remembered() -> None:
    with pytest.raises(ZeroDivisionError):
        remember("step", ABOUT, lambda: {"seconds": 1 / 0})
    assert remember("step", ABOUT, Clock()) == {"seconds": 1}


def test_processes_that_ask_at_the_same_time_get_one_answer() -> None:
    script = """
import os, time
from ravenml.config.machine import remember
print(remember("step", {}, lambda: time.sleep(0.5) or {"process": os.getpid()})["process"])
"""
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)]
    first, second = (process.communicate(timeout=60)[0] for process in both)
    assert first == second != b""


def test_where_nothing_can_be_written_it_is_measured_each_time(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    clock = Clock()
    assert [remember("step", ABOUT, clock), remember("step", ABOUT, clock)] == [
        {"seconds": 1},
        {"seconds": 2},
    ]
