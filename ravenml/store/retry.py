"""Trying again, ever later, what may well succeed a moment later."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from ravenml.errors import Interrupted
from ravenml.store.s3_errors import (
    BucketInfo,
    ChecksumMismatch,
    is_network_error,
    is_retryable,
    to_user_error,
)

T = TypeVar("T")

ATTEMPTS = 9
FIRST_ATTEMPTS = 4  # while the server has never answered: it is more likely not there at all
MISMATCHES = 4  # what differs from its checksum that often is broken where it lies
DELAY = 0.1  # seconds before the second attempt; doubled from one to the next
LONGEST = 15.0


class Retries:
    """How the requests to one server are repeated.

    boto3's own repetitions are switched off: it knows nothing of contents that end too early or differ
    from their checksums, and two loops around each other would multiply.
    """

    def __init__(self, info: BucketInfo) -> None:
        self.info = info
        self.reached = False
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let no request of any thread be repeated, and none begin."""
        self._stopped.set()

    def resume(self) -> None:
        """Requests may go out again."""
        self._stopped.clear()

    def __call__(self, doing: str, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, called as often as need be.

        Raises:
            RavenError: it is not worth another try, or was tried often enough.
            Interrupted: :meth:`stop` was called.
        """
        attempt = mismatches = 0
        while True:
            if self._stopped.is_set():
                raise Interrupted("Interrupted.")
            try:
                result = call()
                self.reached = True
                return result
            except Exception as error:
                attempt += 1
                mismatches += isinstance(error, ChecksumMismatch)
                self.reached |= not is_network_error(error)
                enough = ATTEMPTS if self.reached else FIRST_ATTEMPTS
                if isinstance(error, OSError) and not is_network_error(error):
                    raise
                if attempt >= enough or mismatches >= MISMATCHES or not is_retryable(error):
                    raise to_user_error(error, self.info, doing) from error
            wait = min(LONGEST, DELAY * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            self._stopped.wait(wait)
