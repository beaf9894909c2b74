"""Whatever listens on a port does so on loopback alone, unless `--host` says otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
pytest.importorskip("psutil", reason="the extra ravenml[resources] is not installed")
from as_user import Raven, wait_for
from predicting import pack, write_predicting_plugins


def listening(process: int) -> set[str]:
    """The addresses on which a process and all that it has started listen, TCP and UDP."""
    import psutil

    found = set()
    whole = psutil.Process(process)
    for one in [whole, *whole.children(recursive=True)]:
        for connection in one.net_connections("inet"):
            waits = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if waits and not connection.raddr:
                found.add(connection.laddr.ip)
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "MODEL", "--port", "0"],
        ["serve", "MODEL", "--port", "0", "--processes", "2"],
        ["dashboard", "--port", "0", "--no-browser"],
    ],
    ids=["serve", "serve with workers", "dashboard"],
)
def test_a_server_listens_on_loopback_alone(raven: Raven, tmp_path: Path, command: list[str]) -> None:
    if command[0] == "dashboard":
        pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")
    write_predicting_plugins(raven.site)
    model = str(pack(tmp_path / "model.tar"))
    process = raven.start(*(model if word == "MODEL" else word for word in command), PYTHONUNBUFFERED="1")
    try:
        assert process.stdout is not None
        wait_for(lambda: "Token:" in process.stdout.readline())
        assert listening(process.pid) == {"127.0.0.1"}
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_recording_a_program_opens_no_port(raven: Raven) -> None:
    process = raven.start("run", "--", sys.executable, "-u", "-c", "print('up'); import time; time.sleep(60)")
    try:
        assert process.stdout is not None
        wait_for(lambda: "up" in process.stdout.readline())
        assert listening(process.pid) == set()
    finally:
        process.terminate()
        process.communicate(timeout=60)
