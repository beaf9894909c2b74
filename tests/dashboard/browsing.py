"""Tools of the dashboard's tests: a dashboard that listens, a tab of a browser, a plain request."""

from __future__ import annotations

import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from as_user import PATIENCE


@dataclass
class Dashboard:
    """A ``raven dashboard`` that listens; ``address`` carries its token."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self.address.partition("?")[0].rstrip("/")

    @property
    def token(self) -> str:
        return self.address.partition("?token=")[2]

    def at(self, path: str) -> str:
        """The address of a page, with the token."""
        token = f"token={self.token}" if self.token else ""
        return f"{self.origin}{path}" + (f"{'&' if '?' in path else '?'}{token}" if token else "")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass
class Tab:
    """A page in a browser of its own (cookies and all), which remembers what went wrong on it."""

    page: Any
    dashboard: Dashboard
    problems: list[str]
    requests: list[str]

    def go(self, path: str) -> Any:
        """Open a page; the token is in the address."""
        self.page.goto(self.dashboard.at(path))
        self.page.wait_for_function("() => window.did_handshake")
        return self.page


def drawn(page: Any, number: int = 0) -> None:
    """Wait until a chart is there."""
    of_chart(page, "() => true", number)


def of_chart(page: Any, function: str, number: int = 0) -> Any:
    """What a function in JavaScript says of a chart; waits for one, and looks in the same moment.

    NiceGUI takes a chart down for a moment when it gets another set of lines.
    """
    handle = page.wait_for_function(
        f"""(number) => {{
          const element = document.querySelectorAll(".nicegui-echart")[number];
          const chart = element?.querySelector("canvas") && getElement(element)?.chart;
          return chart ? {{ found: ({function})(chart) }} : null;
        }}""",
        arg=number,
    )
    return handle.json_value()["found"]


Start = Callable[..., Dashboard]
Browse = Callable[..., Tab]


def answer(address: str, **headers: str) -> tuple[int, str]:
    """Status and body of a request."""
    request = urllib.request.Request(address, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
