"""Models behind HTTP, the client for them, and the safety of everything of ravenML's that listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravenml.serve.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Load the client when it is used: whatever else stands in this package is imported by its own name."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ravenml.serve.client import Client

    return Client
