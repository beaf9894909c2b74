"""Where results are kept, and where models and data come from: a folder or a bucket behind one interface.

``base.py`` says what a store is: ``put``, ``get``, ``read``, ``list``, ``head``, ``same``, ``delete``, by
key. ``local_store.py`` is a folder, ``s3/`` a bucket. ``transfer.py`` moves many files side by side and
skips what is there and complete. ``results.py`` knows the keys, ``models.py`` does the work of ``raven
models``, ``model_state.py`` reads and writes model-state.tar. ``fetching.py`` brings files of any bucket to
a cache or a named place for scripts; a lock per target lets one process fetch while the others wait.
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
