"""A server that speaks so much of ClearML's API as its client needs to report: tasks, and their events.

It stands in for a ClearML server, which needs MongoDB, Elasticsearch and Redis.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    """What it has been told.

    Attributes:
        tasks: by id, those that are there: name, status, parameters.
        events: by task, in order of arrival.
        uploads: the sizes of what was uploaded.
        deleted: tasks that were removed.
        asked: the calls, in order.
    """

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    uploads: list[int] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    projects: dict[str, str] = field(default_factory=dict)

    def answer(self, call: str, said: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
        """What a call gives back."""
        self.asked.append(call)
        task = self.tasks.get(str(said.get("task")), {})
        service, _, action = call.partition(".")
        if call == "auth.login":
            return {"token": _token()}
        if call == "projects.create":
            made = uuid.uuid4().hex
            self.projects[made] = str(said["name"])
            return {"id": made}
        if service == "projects" and action.startswith("get_all"):
            return {"projects": [{"id": one, "name": name} for one, name in self.projects.items()]}
        if service == "projects":
            return {
                "project": {"id": said.get("project"), "name": self.projects.get(said.get("project", ""))}
            }
        if service == "models":
            return {"models": []}
        if call == "tasks.create":
            made = uuid.uuid4().hex
            self.tasks[made] = {"execution": {"artifacts": []}, **said, "id": made, "status": "created"}
            return {"id": made}
        if service == "tasks" and action.startswith("get_by_id"):
            return {"task": task}
        if service == "tasks" and action.startswith("get_all"):
            return {"tasks": [self.tasks[one] for one in said.get("id") or () if one in self.tasks]}
        if call == "tasks.delete":
            self.deleted.append(said["task"])
            self.tasks.pop(said["task"], None)
            return {"deleted": True}
        if service == "tasks":
            named = {
                "started": "in_progress",
                "mark_failed": "failed",
                "failed": "failed",
                "stopped": "stopped",
            }
            named["completed"] = "completed"
            if action in ("edit", "update"):
                task.update({name: value for name, value in said.items() if name not in ("task", "force")})
            if action == "edit_hyper_params":
                task.setdefault("told", []).extend(said["hyperparams"])
            task["status"] = named.get(action, task.get("status"))
            return {"updated": 1, "started": 1, "fields": {"status": task["status"]}}
        if call != "events.add_batch":  # it asks which files a task that is removed has left
            return {"events": [], "plots": [], "metrics": [], "returned": 0, "total": 0, "scroll_id": ""}
        for event in lines:
            self.events.setdefault(event["task"], []).append(event)
        return {"added": len(lines), "errors": 0}


def serve(server: Server) -> ThreadingHTTPServer:
    """A server on a free port of loopback; its ``serve_forever`` is the caller's to start."""

    class Handler(BaseHTTPRequestHandler):
        def _told(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                content = b""
                while size := int(self.rfile.readline(), 16):
                    content += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return content
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _say(self, data: dict[str, Any]) -> None:
            meta = {"id": "0", "trx": "0", "result_code": 200, "result_subcode": 0, "result_msg": "OK"}
            body = json.dumps({"meta": meta, "data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            content = self._told()
            call = self.path.rstrip("/").rpartition("/")[2]
            if "." not in call or not call.split(".")[0].isalpha():  # a file
                server.uploads.append(len(content))
                self._say({})
                return
            rows = [json.loads(line) for line in content.splitlines() if line.strip()]
            lines = [row for row in rows if isinstance(row, dict) and "task" in row]
            single = rows[0] if rows and isinstance(rows[0], dict) else {}
            batch = call.endswith("add_batch")
            self._say(server.answer(call, {} if batch else single, lines if batch else []))

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _token() -> str:
    told = {"exp": time.time() + 86400, "api_version": "2.31", "server_version": "2.0.0", "env": "tests"}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, told)]
    return ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature of nobody"]
    )
