"""The settings of a program that parses its command line with argparse."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from .reporting import arguments, guarded, is_of_the_program, report_settings

_parsing = threading.local()  # `depth`: a parser's subparsers are called from within


def watch_argparse(argparse: Any) -> None:
    """Report what any parser of the program makes of its command line."""
    original = argparse.ArgumentParser.parse_known_args

    @functools.wraps(original)
    def parse_known_args(self: Any, args: Any = None, namespace: Any = None, **more: Any) -> Any:
        _parsing.depth = getattr(_parsing, "depth", 0) + 1
        try:
            result = original(self, args, namespace, **more)
        finally:
            _parsing.depth -= 1
        if _parsing.depth == 0 and (args is None or list(args) == sys.argv[1:]):
            _report(self, result[0], sys._getframe(1))
        return result

    argparse.ArgumentParser.parse_known_args = parse_known_args


@guarded
def _report(parser: Any, namespace: Any, frame: Any) -> None:
    while frame.f_back is not None and frame.f_globals.get("__name__") == "argparse":
        frame = frame.f_back
    if is_of_the_program(frame.f_globals):
        report_settings(arguments(namespace), "argparse")
