"""Sentences that a person should see although nothing is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable

Notice = Callable[[str], None]


def to_stderr(message: str) -> None:
    """Print a notice beside the output proper, so that what is piped stays clean."""
    print(f"Note: {message}", file=sys.stderr, flush=True)
