"""Memory: what is kept of the images, and no growth over epochs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ravenml.toolkit.memory import MOST, available_memory, memory_for_images

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "training_memory.py"


def measured(*arguments: str) -> str:
    """What the benchmark prints; it fails where its limit is not kept."""
    done = subprocess.run([sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_images_take_a_quarter_of_what_is_free_and_at_most_a_gibibyte() -> None:
    free = available_memory()
    assert 0 < memory_for_images() <= min(MOST, free)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_process_whose_memory_is_limited_keeps_fewer_images(limit: str) -> None:
    code = (
        "import resource; from ravenml.toolkit.memory import memory_for_images as f\n"
        f"resource.setrlimit(resource.{limit}, (400 << 20, 400 << 20)); print(f())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= 100 << 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_memory_does_not_grow_over_epochs() -> None:
    assert "It grew by" in measured("growth", "--epochs", "80")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the process as Linux does")
def test_more_images_than_memory_are_trained_on() -> None:
    assert "1 GiB at the size of training" in measured("large")


@pytest.mark.slow  # 16 s: many images by its nature
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_validating_many_images_takes_no_more_memory_than_validating_a_few() -> None:
    code = """
import sys
import numpy as np, torch
from torch import nn
from ravenml_unet.allocator import keep_freed_memory
from ravenml_unet.data import Loader, ResizedSamples
from ravenml_unet.evaluation import evaluate

class Same:
    def __len__(self): return int(sys.argv[1])
    def __getitem__(self, index): return np.zeros((512, 512, 3), np.uint8), np.zeros((512, 512), np.uint8)

keep_freed_memory()
network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.LogSoftmax(1))
with Loader(1) as loader:
    evaluate(network, loader, ResizedSamples(Same(), 512, 512, 0), 2, "ab", torch.device("cpu"))
print(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1])
"""

    def held(images: int) -> int:
        command = [sys.executable, "-c", code, str(images)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) >> 10

    assert held(80) < held(20) + 50, "MiB; it was 4 for each image"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks glibc's allocator")
def test_what_one_step_frees_is_there_for_the_next() -> None:
    code = (
        "import resource, torch\n"
        "from ravenml_unet.allocator import keep_freed_memory\n"
        "assert keep_freed_memory()\n"
        "for _ in range(20): torch.ones(16 << 20)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): torch.ones(16 << 20)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 5 * 16, "64 MiB are 16384 pages of 4 KiB, and each time they were new ones"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks glibc's allocator")
def test_what_one_prediction_frees_is_there_for_the_next() -> None:
    code = (
        "import resource, torch\n"
        "from ravenml_unet.allocator import keep_some_freed_memory\n"
        "def faults(mib):\n"
        "    for _ in range(20): torch.ones(mib << 18)\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(5): torch.ones(mib << 18)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "assert keep_some_freed_memory()\n"
        "print(faults(16))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100, "16 MiB are 4096 pages of 4 KiB, and each time they may be new ones"
