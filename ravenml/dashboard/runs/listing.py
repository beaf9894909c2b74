"""The runs of this home, for all pages together: looked at once, however many browsers ask."""

from __future__ import annotations

import threading
import time

from ravenml.runs.filters import Row
from ravenml.runs.index import Index

_FRESH = 0.3  # seconds for which what was found is good enough
_SHARE = 10  # a look may take no more than this part of the time


class Listing:
    """The newest list of runs.  Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index = Index()
        self._rows: list[Row] = []
        self._at = 0.0
        self._took = 0.0

    def rows(self, at_once: bool = False) -> list[Row]:
        """Every run as a flat record, newest first, as of a third of a second ago at most (a little more in a
        home with very many runs).

        Args:
            at_once: as of now, for somebody has just changed something.
        """
        with self._lock:
            now = time.monotonic()
            if at_once or not self._at or now - self._at > max(_FRESH, _SHARE * self._took):
                self._rows = self._index.rows()
                self._at = time.monotonic()
                self._took = self._at - now
            return self._rows


LISTING = Listing()
