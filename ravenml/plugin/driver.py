"""Is there an NVIDIA driver, is it new enough for the pinned CUDA, and can two plugins share their CUDA?"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

from ravenml.errors import RavenError

# The oldest Linux driver of each CUDA generation; later ones of a generation run on it too ("minor version
# compatibility", https://docs.nvidia.com/deploy/cuda-compatibility/).
OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
SKIP = "RAVENML_SKIP_DRIVER_CHECK"


def check_driver(pins: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> None:
    """Make sure that there is an NVIDIA driver that runs the CUDA of these pins.

    ``RAVENML_SKIP_DRIVER_CHECK=1`` skips it, for images that are built elsewhere.

    Raises:
        RavenError: there is no driver, or it is older than the pinned CUDA needs.
    """
    if environment.get(SKIP) == "1":
        return
    driver = driver_version()
    if driver is None:
        raise RavenError(
            "nvidia-smi finds no NVIDIA driver; install one, or leave out -g "
            f"({SKIP}=1 overrides). Nothing was changed."
        )
    cuda = pinned_cuda(pins)
    oldest = OLDEST_DRIVER.get(int(cuda.split(".")[0])) if cuda else None
    if oldest is not None and _numbers(driver) < _numbers(oldest):
        raise RavenError(
            f"The NVIDIA driver {driver} is older than {oldest}, which the pinned CUDA {cuda} needs; "
            f"update the driver, or leave out -g ({SKIP}=1 overrides). Nothing was changed."
        )


def driver_version() -> str | None:
    """The version of the NVIDIA driver, such as ``580.65.06``; None without a working one."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^\s*(\d+(?:\.\d+)+)\s*$", done.stdout, re.MULTILINE)
    return found[1] if done.returncode == 0 and found else None


def pinned_cuda(pins: Mapping[str, str]) -> str | None:
    """The version of CUDA that pins bring, such as ``13.0``; None where they bring none."""
    for name in (
        "cuda-toolkit",
        "nvidia-cuda-runtime",
        "nvidia-cuda-runtime-cu12",
        "nvidia-cuda-runtime-cu11",
    ):
        if name in pins:
            return ".".join(pins[name].split(".")[:2])
    return None


def cuda_conflict(pins: Mapping[str, str], others: Mapping[str, str]) -> str | None:
    """Why two sets of pins cannot share a GPU environment, as half a sentence; None if they can.

    NVIDIA's packages of two generations (``nvidia-cudnn-cu12``, ``nvidia-cudnn-cu13``) own the same files.
    """
    mine, theirs = _cuda_packages(pins), _cuda_packages(others)
    for base in sorted(mine.keys() & theirs.keys()):
        if mine[base] != theirs[base]:
            (one, one_version), (other, other_version) = mine[base], theirs[base]
            return f"{one} {one_version} and {other} {other_version} own the same files"
    return None


def _cuda_packages(pins: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        re.sub(r"-cu\d+$", "", name): (name, version)
        for name, version in pins.items()
        if name.startswith("nvidia-")
    }


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
