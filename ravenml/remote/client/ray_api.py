"""Ray's jobs API over plain HTTP: submitting needs no Ray here, and every call has a time limit."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, TypedDict

from ravenml.common.http_client import HttpClient, Unreachable
from ravenml.common.io import JsonObject
from ravenml.common.parsing import parse_json
from ravenml.errors import RavenError

STARTING = 30.0  # seconds; a cluster that has just started has no agent yet that takes jobs
PATIENCE = 15.0  # seconds; a cluster whose head has gone takes connections and never answers
NODES = 20.0  # seconds until a cluster that has just started must know of its nodes


class RayJob(TypedDict, total=False):
    """What a cluster says of a job, as far as it is read here."""

    status: str
    message: str


class RayJobs:
    """The jobs of one cluster.

    Args:
        address: the URL of its dashboard.
        token: what it asks for where it authenticates; without it, what Ray's own variables and file say.

    Every method raises :class:`ravenml.errors.RavenError` where the cluster does not answer or refuses.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        self.token = token or _users_token()
        self._http = HttpClient(address, keep_connections=False)

    def version(self, patience: float = PATIENCE) -> str:
        """The version of Ray."""
        found = self._json("GET", "/api/version", patience=patience)
        return str(found.get("ray_version") if isinstance(found, dict) else found)

    def resources(self, patience: float = 0.0) -> dict[str, float]:
        """What all living nodes have together, by resource.

        Args:
            patience: seconds to wait for the first node, which a cluster that has just started does not know.
        """
        end = time.monotonic() + patience
        while not (total := self._total()) and time.monotonic() < end:
            time.sleep(0.5)
        return total

    def _total(self) -> dict[str, float]:
        nodes = self._json("GET", "/nodes?view=summary")["data"]["summary"]
        total: dict[str, float] = {}
        for node in nodes:
            raylet = node.get("raylet") or {}
            if raylet.get("state") == "ALIVE":
                for name, amount in (raylet.get("resourcesTotal") or {}).items():
                    total[name] = total.get(name, 0.0) + float(amount)
        return {name: amount for name, amount in total.items() if not name.startswith("node:")}

    def upload(self, package: Path, digest: str) -> str:
        """Hand a zip of code to the cluster, once; its address there, for ``runtime_env``."""
        name = f"_ray_pkg_{digest}.zip"
        if self._call("GET", f"/api/packages/gcs/{name}", missing=True) is None:
            self._call("PUT", f"/api/packages/gcs/{name}", package.read_bytes(), patience=120)
        return f"gcs://{name}"

    def submit(self, name: str, entrypoint: str, runtime_env: JsonObject, metadata: dict[str, str]) -> None:
        """Start a job; one that has this name already is left as it is."""
        request = {
            "entrypoint": entrypoint,
            "submission_id": name,
            "runtime_env": runtime_env,
            "metadata": metadata,
        }
        end = time.monotonic() + STARTING
        while True:
            try:
                self._json("POST", "/api/jobs/", request, patience=60)
                return
            except RavenError as error:
                if self.job(name) is not None:
                    return
                if "No available agent" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(1)

    def job(self, name: str, patience: float = PATIENCE) -> RayJob | None:
        """The job's state (``status``, ``message`` …), or None where the cluster knows none of this name."""
        answer = self._call("GET", f"/api/jobs/{name}", missing=True, patience=patience)
        found: RayJob | None = None if answer is None else self._parsed(answer)
        return found

    def jobs(self) -> list[RayJob]:
        """Every job that the cluster remembers."""
        found: list[RayJob] = self._json("GET", "/api/jobs/")
        return found

    def logs(self, name: str) -> str:
        """What the job's entrypoint printed."""
        return str(self._json("GET", f"/api/jobs/{name}/logs")["logs"])

    def stop(self, name: str) -> None:
        """Ask the cluster to stop a job."""
        self._json("POST", f"/api/jobs/{name}/stop")

    def _json(self, method: str, path: str, content: object = None, patience: float = PATIENCE) -> Any:
        body = None if content is None else json.dumps(content).encode()
        return self._parsed(self._call(method, path, body, patience=patience, kind="application/json"))

    def _parsed(self, answer: bytes | None) -> Any:
        try:
            return parse_json(answer or b"null", self.address)
        except ValueError:
            raise RavenError(
                f"{self.address} is not a Ray cluster's dashboard; check the queue's `address`."
            ) from None

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        missing: bool = False,
        patience: float = PATIENCE,
        kind: str = "application/octet-stream",
    ) -> bytes | None:
        """One request; with ``missing``, None where there is no such thing."""
        headers = {"Content-Type": kind} if body is not None else {}
        if self.token:
            headers |= {"Authorization": f"Bearer {self.token}"}
        try:
            response = self._http.request(method, path, body, headers, timeout=patience)
        except Unreachable as error:
            raise RavenError(
                f"The Ray cluster at {self.address} does not answer ({error}); is it running, and can this "
                "machine reach it?"
            ) from None
        if response.ok:
            return response.content
        if response.status == 404 and missing:
            return None
        if response.status in (401, 403):
            raise RavenError(
                f"The Ray cluster at {self.address} requires a token: put it into RAY_AUTH_TOKEN or "
                "~/.ray/auth_token."
            )
        if 300 <= response.status < 400:
            raise RavenError(
                f"{self.address} redirects to {response.headers.get('location', 'nowhere')}; set the queue's "
                "`address` to the Ray dashboard itself."
            )
        lines = response.content.decode(errors="replace").strip().splitlines()
        reason = f": {lines[-1]}" if lines else "."
        raise RavenError(f"The Ray cluster at {self.address} refused {path} ({response.status}){reason}")


def _users_token() -> str | None:
    """The token that Ray's own tools would use."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"]
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
