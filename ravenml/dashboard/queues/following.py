"""Remote runs, followed as long as the dashboard runs: their mirrors are brought into this home."""

from __future__ import annotations

import time

_PERIOD = 1.0  # seconds; the mirror itself is written every two


def follow() -> None:
    """Bring what is new, again and again; work for a thread that ends with the process."""
    from ravenml.remote.client.sync import refresh_all, unfinished

    while True:
        try:
            if unfinished():
                refresh_all()
        except Exception as error:  # the thread must live on: the next look may be better
            print(f"Note: remote runs cannot be followed at the moment: {error}", flush=True)
            time.sleep(30)
        time.sleep(_PERIOD)
