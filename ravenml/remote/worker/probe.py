"""What ``raven remote check`` runs on the cluster."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

from ravenml.errors import RavenError
from ravenml.remote.layout import open_store
from ravenml.remote.worker.container import ENGINES


def main() -> None:
    """Print a line of JSON about this machine."""
    asked = json.loads(os.environ["RAVENML_PROBE"])
    try:
        store = open_store(asked["store"]).read(asked["key"]).decode()
    except RavenError as error:
        store = str(error)
    missing = [
        name
        for name in asked["secrets"]
        if not (Path(name).expanduser().exists() if "/" in name else name in os.environ)
    ]
    told = {
        "host": socket.gethostname(),
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "store": store,
        "missing": missing,
        "engine": next((engine for engine in ENGINES if shutil.which(engine)), None),
    }
    print(f"ravenml-probe: {json.dumps(told)}", flush=True)


if __name__ == "__main__":
    main()
