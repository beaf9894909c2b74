"""The plugin's models behind HTTP: served answers are those of the model itself, and deploying is serving."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from as_user import address_in, start_raven
from unet_support import FORK_SERVER, small_settings

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")

from ravenml.data.project import ObjClass
from ravenml.serve import Client
from ravenml_unet.export import export_model
from ravenml_unet.models.registry import create_model

PLUGIN = Path(__file__).resolve().parents[1]
CLASSES = [ObjClass("__bg__", "bitmap", "#000000"), ObjClass("red", "bitmap", "#FF0000")]
IMAGES = [np.random.default_rng(number).integers(0, 255, (36, 40, 3), dtype=np.uint8) for number in range(6)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    settings = small_settings(model="LinkNet34")
    return export_model(tmp_path / "model-state.tar", create_model("LinkNet34", 2), settings, CLASSES)


@contextmanager
def started(home: Path, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A ``raven`` that serves, and the address that it printed."""
    process = start_raven(
        *arguments,
        "--port",
        "0",
        server=FORK_SERVER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "RAVENML_STORAGE_PATH": str(home),
        },
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Token:") and (address := address_in("".join(said))):
                yield process, address
                break
        else:
            raise AssertionError("".join(said))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def expected(model: Path) -> list[np.ndarray]:
    from ravenml.infer.predictor import load_predictor

    return list(load_predictor(model, "cpu").predict(np.stack(IMAGES)))


def test_what_is_served_is_what_the_model_says(model: Path, own_home: Path) -> None:
    with started(own_home, "serve", model, "--device", "cpu") as (_, address):
        client = Client(address)
        masks = client.predict(IMAGES, answer="mask")
        assert all((mask == truth).all() for mask, truth in zip(masks, expected(model), strict=True))
        assert client.model()["provenance"]["settings"]["architecture"] == "LinkNet34"
        sliding = client.predict(IMAGES[0], answer="mask", mode="sliding_window")
        assert sliding.shape == (36, 40)


@pytest.mark.parametrize("isolation", ["bwrap", pytest.param("none", marks=pytest.mark.slow)])
def test_a_deployed_model_is_the_same_server(model: Path, own_home: Path, isolation: str) -> None:
    if isolation == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is missing (apt install bubblewrap)")
    agent = ["agent", "run", PLUGIN, "--mode", "deploy", "--model", model, "--isolation", isolation]
    with started(own_home, *agent) as (process, address):
        token = address.partition("?token=")[2]
        client = Client(address, patience=60)
        for _ in range(100):
            if client.healthy() or process.poll() is not None:
                break
            time.sleep(0.3)
        masks = client.predict(IMAGES, answer="mask")
        assert all((mask == truth).all() for mask, truth in zip(masks, expected(model), strict=True))
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    (run,) = (own_home / "runs").iterdir()
    assert "TASK_DEPLOYED" in (run / "events.jsonl").read_text()
    recorded = [
        path for path in own_home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]
    assert recorded == []  # the token stays out of everything that is written
