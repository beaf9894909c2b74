"""How a script ends: its last line, an exception, ``sys.exit``, Ctrl-C, SIGTERM."""

from __future__ import annotations

import _sitebuiltins
import atexit
import dis
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.errors import RavenError


class ExitHooks:
    """Watches for the end of this process, and tells it once it comes.

    Args:
        tell: is given ``status`` (``completed``, ``failed`` or ``interrupted``) and ``error`` or ``reason``.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._result: JsonObject = {"status": "completed"}
        self._exit_status: object = None  # what `sys.exit` was last called with
        self._outermost = _outermost_frame()
        self._watch_exceptions()
        self._watch_exits()
        self._watch_sigterm()
        atexit.register(self._end, tell)

    def _end(self, tell: Callable[..., None]) -> None:
        if (
            self._result["status"] == "completed"
            and self._exit_status not in (None, 0)
            and not self._reached_last_line()
        ):
            self._result = {"status": "failed", "error": f"the script ended with {self._exit_status!r}"}
        tell(**self._result)
        if self._result.get("reason") == "Ctrl-C":
            _as_interrupted()

    def _reached_last_line(self) -> bool:
        """Whether the script's last line was reached: then what `sys.exit` raised was caught on its way."""
        frame = self._outermost
        if frame is None or frame.f_lasti < 0:
            return False
        return dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")

    def _watch_exceptions(self) -> None:
        shown = sys.excepthook

        def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if issubclass(kind, KeyboardInterrupt):
                self._result = {"status": "interrupted", "reason": "Ctrl-C"}
            else:
                self._result = {"status": "failed", "error": f"{kind.__name__}: {error}"}
            if isinstance(error, RavenError) and not os.environ.get("RAVENML_DEBUG"):
                print(f"Error: {error}", file=sys.stderr)
            else:
                shown(kind, error, trace)

        sys.excepthook = excepthook

    def _watch_exits(self) -> None:
        exit_, quit_ = sys.exit, _sitebuiltins.Quitter.__call__

        def exit_with(status: Any = None, /) -> Any:
            self._exit_status = status
            exit_(status)

        def quit_with(quitter: Any, code: Any = None) -> Any:  # `exit(3)` and `quit(3)`, without `sys.`
            self._exit_status = code
            quit_(quitter, code)

        sys.exit = exit_with
        _sitebuiltins.Quitter.__call__ = quit_with  # type: ignore[assignment,method-assign]

    def _watch_sigterm(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:

            def handle(*_: object) -> None:
                self._result = {"status": "interrupted", "reason": "SIGTERM"}
                raise SystemExit(143)

            signal.signal(signal.SIGTERM, handle)


def _outermost_frame() -> FrameType | None:
    """That of the main module's code."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _as_interrupted() -> None:
    """Have Python end by SIGINT, as after any Ctrl-C.

    It forgets that whenever a text is executed, which importing a dataclass does; executing one that is
    interrupted reminds it.
    """
    with suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")  # noqa: S102 - a constant
