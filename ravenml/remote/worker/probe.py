"""What ``raven remote check`` runs on the cluster."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys

from ravenml.errors import RavenError
from ravenml.remote.job import missing_secrets
from ravenml.remote.layout import open_store
from ravenml.remote.worker.container import ENGINES

MARK = "ravenml-probe: "


def main() -> None:
    """Print a line of JSON about this machine."""
    request = json.loads(os.environ["RAVENML_PROBE"])
    try:
        store = open_store(request["store"]).read(request["key"]).decode()
    except RavenError as error:
        store = str(error)
    found = {
        "host": socket.gethostname(),
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "store": store,
        "missing": missing_secrets(request["secrets"]),
        "engine": next((engine for engine in ENGINES if shutil.which(engine)), None),
    }
    print(MARK + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
