"""The queue ``local``: a Ray of its own on this machine, started when it is needed, stopped when idle.

A keeper process starts Ray and looks after it; whoever submits holds a lock, under which the keeper stops
nothing.  Nobody but this user may use it: all of Ray's ports are on loopback, and it wants a token.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ravenml.common.extras import install_command
from ravenml.common.io import JsonObject, read_json, write_json
from ravenml.common.locks import exclusive_lock
from ravenml.common.permissions import make_folder
from ravenml.config.home import home
from ravenml.config.machine import usable_cores
from ravenml.errors import RavenError
from ravenml.remote.client.ray_api import RayJobs

OBJECT_STORE = 128 << 20  # bytes; runs travel through files, so that Ray's own memory may stay small
IDLE = 600.0  # seconds; RAVENML_LOCAL_RAY_IDLE sets another
_UP = 90.0  # seconds within which Ray has to answer
_SAY = 10.0  # seconds between two lines about a Ray that takes longer
_BUSY = ("PENDING", "RUNNING")


def _folder() -> Path:
    return home() / "remote"


def _state() -> JsonObject:
    try:
        found = read_json(_folder() / "local-ray.json")
    except RavenError:
        return {}
    return found if isinstance(found, dict) else {}


def running() -> RayJobs | None:
    """The local Ray, if it is up."""
    state = _state()
    if not state:
        return None
    jobs = RayJobs(str(state["address"]), str(state["token"]))
    try:
        jobs.version(patience=5)
    except RavenError:
        return None
    return jobs


@contextmanager
def in_use() -> Iterator[RayJobs]:
    """The local Ray, started if need be; it is not stopped while the block lasts.

    Raises:
        RavenError: Ray is not installed, or does not come up; the sentence names its log.
    """
    with _locked():
        yield running() or _start()


def stop() -> bool:
    """Stop the local Ray, whatever it does; whether there was one."""
    pid = _state().get("pid")
    if not pid or running() is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGTERM)
    end = time.monotonic() + 30
    while _state() and time.monotonic() < end:
        time.sleep(0.1)
    return True


@contextmanager
def _locked() -> Iterator[None]:
    make_folder(_folder())
    with exclusive_lock(_folder() / "local-ray.lock"):
        yield


def _start() -> RayJobs:
    import importlib.util

    if importlib.util.find_spec("ray") is None:
        raise RavenError(f"The queue `local` needs Ray; install it with: {install_command('remote')}")
    (_folder() / "local-ray.json").unlink(missing_ok=True)
    log = _folder() / "local-ray.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "ravenml.remote.client.local_ray"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    print("Starting Ray on this machine, which takes some seconds …", file=sys.stderr, flush=True)
    begun = said = time.monotonic()
    end = begun + _UP
    while time.monotonic() < end and keeper.poll() is None:
        if time.monotonic() - said > _SAY:
            said = time.monotonic()
            print(f"Ray is still starting ({said - begun:.0f} s); see {log}.", file=sys.stderr, flush=True)
        if (jobs := running()) is not None:
            print(f"Ray is up after {time.monotonic() - begun:.0f} s.", file=sys.stderr, flush=True)
            _warn_of_open_ports()
            return jobs
        time.sleep(0.1)
    raise RavenError(f"Ray did not start on this machine; see {log}.")


def _warn_of_open_ports() -> None:
    if found := _state().get("open"):
        print(
            f"This Ray also listens on {', '.join(found)}, which other machines may reach; it asks them for "
            "a token, except for its metrics.  Close these ports with a firewall, or use another version of "
            "Ray.",
            file=sys.stderr,
        )


def run_supervisor() -> None:
    """Start Ray, say where it is, and stop it when it has been idle (the keeper process)."""
    scratch = Path(tempfile.mkdtemp(prefix="raven-ray-", dir="/tmp"))  # Ray's sockets need a short path
    token = secrets.token_hex(32)
    port = _free_port()
    ray = subprocess.Popen(
        _command(port, scratch),
        env=_environment(token),
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
    )
    signal.signal(signal.SIGTERM, _ended)
    try:
        jobs = RayJobs(f"http://127.0.0.1:{port}", token)
        _wait_until_up(jobs, ray)
        before = os.umask(0o077)
        write_json(
            _folder() / "local-ray.json",
            {
                "address": jobs.address,
                "token": token,
                "pid": os.getpid(),
                "scratch": str(scratch),
                "open": [one for one in listening(ray.pid) if not one.startswith(("127.", "[::1]"))],
            },
        )
        os.umask(before)
        _wait_until_idle(jobs, ray)
    except SystemExit:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ray.terminate()
        with suppress(subprocess.TimeoutExpired):
            ray.wait(20)
        _end_leftovers(scratch)
        (_folder() / "local-ray.json").unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _command(port: int, scratch: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address=127.0.0.1", "--port=0", f"--ray-client-server-port={_free_port()}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={port}", "--dashboard-agent-listen-port=0"),
        *("--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={scratch}"),
        *(f"--num-cpus={usable_cores()}", f"--object-store-memory={OBJECT_STORE}"),
        "--include-log-monitor=false",  # it would read logs that nobody asks for: a run's words are mirrored
    ]


def _environment(token: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # Without it, Ray takes the machine's own address where it is told 127.0.0.1, except on Windows and macOS.
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    return {**kept, **loopback, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def _wait_until_up(jobs: RayJobs, ray: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _UP
    while time.monotonic() < end and ray.poll() is None:
        with suppress(RavenError):
            jobs.jobs()
            return
        time.sleep(0.2)
    sys.exit(1)


def _wait_until_idle(jobs: RayJobs, ray: subprocess.Popen[bytes]) -> None:
    patience = float(os.environ.get("RAVENML_LOCAL_RAY_IDLE") or IDLE)
    busy_at = time.monotonic()
    while ray.poll() is None:
        time.sleep(min(2.0, patience))
        if _is_busy(jobs):
            busy_at = time.monotonic()
        elif time.monotonic() - busy_at > patience:
            with _locked():  # nobody is about to submit, and nobody can before we are gone
                if not _is_busy(jobs):
                    (_folder() / "local-ray.json").unlink(missing_ok=True)
                    return


def _is_busy(jobs: RayJobs) -> bool:
    try:
        return any(job.get("status") in _BUSY for job in jobs.jobs())
    except RavenError:
        return False


def listening(pid: int) -> list[str]:
    """Where a process, and those that it has started, listen: ``127.0.0.1:8265``, ``[::]:80``.

    On Linux alone; empty elsewhere.
    """
    inodes = set()
    for process in _with_descendants(pid):
        for handle in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                inodes.add(os.readlink(handle).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in inodes:
                    found.append(_readable_address(words[1]))
    return sorted(found)


def _readable_address(written: str) -> str:
    """What the kernel writes as ``0100007F:1F90``: words of four bytes, the last byte first."""
    host, _, port = written.partition(":")
    packed = b"".join(bytes.fromhex(word)[::-1] for word in re.findall(".{8}", host))
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return f"{address if address.version == 4 else f'[{address}]'}:{int(port, 16)}"


def _with_descendants(pid: int) -> set[int]:
    parents = {}
    for found in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(found.parent.name)] = int(found.read_text().rpartition(")")[2].split()[1])
    family: set[int] = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _ended(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _end_leftovers(scratch: Path) -> None:
    """Kill what Ray has left behind: processes whose command lines name our scratch folder."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(scratch).encode() in found.read_bytes() and int(found.parent.name) != os.getpid():
                os.kill(int(found.parent.name), signal.SIGKILL)


if __name__ == "__main__":
    run_supervisor()
