"""A server that speaks Ray's jobs API, in which a test says how jobs stand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Jobs:
    """What the cluster knows.

    Attributes:
        address: of its dashboard.
        status: by submission id.
        submitted: what was submitted, in order.
        refuses: whether it takes no more jobs.
        answer: bytes that it sends instead of HTTP.
        resources: what its one node has; without them it does not tell.
    """

    address: str = ""
    status: dict[str, str] = field(default_factory=dict)
    submitted: list[dict[str, object]] = field(default_factory=list)
    refuses: bool = False
    answer: bytes | None = None
    resources: dict[str, float] = field(default_factory=dict)


@contextmanager
def jobs_server() -> Iterator[Jobs]:
    """Serve on loopback while the block lasts."""
    jobs = Jobs()

    class Handler(BaseHTTPRequestHandler):
        def _say(self, code: int, content: object) -> None:
            if jobs.answer is not None:
                self.wfile.write(jobs.answer)
                return
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            name = self.path.removeprefix("/api/jobs/")
            if self.path == "/api/version":
                self._say(200, {"ray_version": "2.60"})
            elif self.path == "/nodes?view=summary" and jobs.resources:
                raylet = {"state": "ALIVE", "resourcesTotal": jobs.resources}
                self._say(200, {"data": {"summary": [{"raylet": raylet}]}})
            elif name.endswith("/logs"):
                self._say(200, {"logs": "ValueError: it broke\n"})
            elif name in jobs.status:
                self._say(200, {"status": jobs.status[name], "message": ""})
            else:
                self._say(404, {})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(200, {})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if jobs.refuses:
                self._say(503, {"why": "full"})
                return
            jobs.submitted.append(asked)
            jobs.status[asked["submission_id"]] = "PENDING"
            self._say(200, {"submission_id": asked["submission_id"]})

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    jobs.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield jobs
    finally:
        server.shutdown()
        server.server_close()
