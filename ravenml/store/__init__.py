"""Where results rest, and where models and data come from.

``ravenml.store.fetch`` and ``ravenml.store.fetch_folder`` are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravenml.store.fetching import fetch, fetch_folder

__all__ = ["fetch", "fetch_folder"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ravenml.store import fetching

    return getattr(fetching, name)
