"""Where a run came from: code, versions, machine."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ravenml.common.git import ask_git
from ravenml.common.io import JsonObject, read_json, write_bytes
from ravenml.common.secrets import SECRET_FILES, redact, redact_diff, redact_text
from ravenml.config.machine import THREAD_VARIABLES, processor_name, usable_cores
from ravenml.plugin.distributions import DamagedDistribution, installed_distributions, name_and_version

DIFF_LIMIT = 1 << 20  # bytes
_PATIENCE = 20.0  # seconds for one command of git
VARIABLES = (
    *(*THREAD_VARIABLES, "PYTHONHASHSEED"),
    *("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE"),
)


def provenance(checkouts: Mapping[str, Path], folder: Path | None) -> JsonObject:
    """Describe the code, the packages and the machine.

    Args:
        checkouts: places by name (``core``, ``plugin``, ``working folder``); those that lie in a git
            checkout are recorded with commit and uncommitted changes, each checkout once.
        folder: where the diffs are written as ``<name>.diff``; None records none.
    """
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": packages(),
        "code": code(checkouts, folder),
        "machine": machine(),
        "environment": variables(),
    }


def _packed_code(folder: Path | None) -> JsonObject:
    """What was recorded of the code where it was packed, for a run that was sent here."""
    packed = os.environ.get("RAVENML_PROVENANCE")
    if not packed or not (Path(packed) / "code.json").is_file():
        return {}
    if folder is not None:
        for diff in Path(packed).glob("*.diff"):
            write_bytes(folder / diff.name, diff.read_bytes())
    found: JsonObject = read_json(Path(packed) / "code.json")
    return found


def variables() -> dict[str, str]:
    """The environment's variables that may change what a training computes."""
    found: dict[str, str] = redact({name: os.environ[name] for name in VARIABLES if name in os.environ})
    return found


def packages() -> dict[str, str]:
    """Every installed distribution with its version."""
    found: dict[str, str] = {}
    for distribution in installed_distributions():
        with suppress(DamagedDistribution):
            found.setdefault(*name_and_version(distribution))  # of two on the path the first is imported
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def code(checkouts: Mapping[str, Path], folder: Path | None) -> JsonObject:
    """Commit, branch and uncommitted changes of each place that lies in a git checkout."""
    if brought := _packed_code(folder):
        return brought
    if shutil.which("git") is None:
        return {}
    result: JsonObject = {}
    seen: dict[Path, str] = {}
    for name, place in checkouts.items():
        top = _ask(place, "rev-parse", "--show-toplevel")
        if top is None:
            continue
        root = Path(top.strip())
        inside = {"place": os.path.relpath(place.resolve(), root.resolve())}
        if root in seen:
            result[name] = {"same_as": seen[root], **inside}
            continue
        seen[root] = name
        result[name] = _checkout(root, name, folder) | inside
    return result


def _checkout(root: Path, name: str, folder: Path | None) -> JsonObject:
    excluded = [f":(exclude,glob,icase)**/{pattern}" for pattern in SECRET_FILES]
    commit = _ask(root, "rev-parse", "HEAD")
    remote = _ask(root, "remote", "get-url", "origin")
    state: JsonObject = {
        "root": str(root),
        "remote": redact_text(remote.strip()) if remote else None,
        "commit": commit.strip() if commit else None,
        "branch": redact_text((_ask(root, "rev-parse", "--abbrev-ref", "HEAD") or "").strip()) or None,
    }
    untracked = _ask(root, "ls-files", "--others", "--exclude-standard", "--", ".", *excluded) or ""
    if untracked:
        state["untracked"] = [redact_text(name) for name in untracked.splitlines()[:1000]]
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary")
    diff = (_ask(root, "diff", *plain, "HEAD", "--", ".", *excluded) if commit else None) or ""
    if diff and folder is not None:
        whole = _ask(root, "diff", *plain, "-U100000", "HEAD", "--", ".", *excluded) or ""
        if "PRIVATE KEY" in whole:
            redact_diff(whole)  # from here on a part of a key is known without its beginning
        content = redact_diff(diff).encode(errors="surrogateescape")
        if len(content) > DIFF_LIMIT:
            state["diff"] = f"not recorded: its {len(content):,} bytes are over the limit of {DIFF_LIMIT:,}"
        else:
            target = folder / f"{name.replace(' ', '_')}.diff"
            write_bytes(target, content)
            state["diff"] = f"{folder.name}/{target.name}"
    return state


def _ask(place: Path, *arguments: str) -> str | None:
    return ask_git(place, *arguments, patience=_PATIENCE)


def machine() -> JsonObject:
    """Host, system, processor, memory and GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpu": processor_name(),
        "cores": usable_cores(),
        "memory_bytes": memory,
        "gpus": gpus(),
    }


def gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU, as ``nvidia-smi`` tells them."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []
