"""Where results are kept, and where models and data come from: a folder or a bucket behind one interface.

``base.py`` says what a store is: ``put``, ``get``, ``read``, ``list``, ``head``, ``same``, ``delete``, by
key. ``local_store.py`` is a folder, ``s3.py`` a bucket. ``transfer.py`` moves many files side by side and
skips what is there and complete. ``results.py`` knows the keys, ``models.py`` does the work of ``raven
models``, ``model_state.py`` reads and writes model-state.tar. ``fetching.py`` brings files of any bucket to
a cache or a named place for scripts; a lock per target lets one process fetch while the others wait.

botocore is imported when a bucket is first used; ``s3_client.py`` alone makes clients, one per store,
shared by all threads. botocore's own retries and checksums are off: it does not notice a body that ends
early or differs, and two retry loops around each other would multiply. ``s3_client.py`` has the one loop,
``s3_errors.py`` says what is worth another try, ``s3_transfer.py`` moves large files in parts. A small
object is fetched by ``DirectReader``, which lets botocore sign and send and leaves out what it does around
a request (more than a millisecond of CPU time, which threads cannot share); whatever is not answered with
the object is asked for again through the client.
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
