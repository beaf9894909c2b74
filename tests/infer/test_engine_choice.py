"""``--engine auto``: measured once for a model on a machine; only an engine that predicts the same counts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from as_user import Raven
from throwaway import AS_WRITTEN_TODAY, write_plugin

from ravenml.infer.engines.choose import _limit
from ravenml.store.model_state import pack_model

pytest.importorskip("onnx", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("onnxruntime", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("openvino", reason="the extra ravenml[engines] is not installed")

SLOW = """
import json, time
from pathlib import Path
import numpy as np

class Slow:
    task, classes, input_size, device = "segmentation", ["__bg__", "red"], (16, 16), "cpu"

    def __init__(self, wait):
        self.wait = wait

    def predict(self, images, want="labels"):
        time.sleep(self.wait)
        red = (images[..., 0] / 255).astype(np.float32)
        both = np.stack([1 - red, red], axis=1)
        return both if want == "probabilities" else both.argmax(axis=1).astype(np.uint8)

def load(model_dir, device="auto"):
    (Path.home() / "loaded").touch()
    return Slow(json.loads((Path(model_dir) / "config.json").read_text())["settings"]["wait"])

def export(predictors, kind, path, *, dynamic=False, half=False, note=""):
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[:, 0, 0, 0] = (-1 / 255, GAIN / 255)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "weight", "bias"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes, "slow",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, (1, 16, 16, 3))],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, (1, 2, 16, 16))],
        [numpy_helper.from_array(weight, "weight"),
         numpy_helper.from_array(np.array([1, 0], np.float32), "bias")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """More small images than are predicted without measuring first."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(256):
        cv2.imwrite(str(folder / f"{number:03d}.png"), random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def user(raven: Raven, tmp_path: Path) -> Raven:
    raven.environment["HOME"] = str(tmp_path)
    return raven


def install(site: Path, gain: float = 1, source: str = SLOW) -> None:
    write_plugin(
        site,
        "slow",
        AS_WRITTEN_TODAY,
        files={"predict.py": source.replace("GAIN", str(gain))},
        more_entry_points="[ravenml.plugins.predict]\nslow = ravenml_slow.predict:load",
    )


def pack(path: Path, wait: float) -> Path:
    classes = [{"title": title, "shape": "bitmap", "color": "#FF1111"} for title in ("__bg__", "red")]
    settings = {"plugin": "slow", "architecture": "Slow", "wait": wait}
    return pack_model(path, {"settings": settings, "out_classes": classes}, [])


def engine_of(out: Path) -> str:
    return str(json.loads((out / "infer.json").read_text())["engine"])


def test_the_fastest_engine_is_measured_once_and_then_the_plugin_is_not_loaded(
    user: Raven, site: Path, tmp_path: Path, images: Path
) -> None:
    install(site)
    model = pack(tmp_path / "slow.tar", 0.05)
    first = user("infer", model, "--data", images, "--out", tmp_path / "first")
    assert "Measuring which engine is the fastest" in first.stderr and first.returncode == 0
    assert "times as fast as the plugin's framework on 8 of your images" in first.stderr
    (tmp_path / "loaded").unlink()
    again = user("infer", model, "--data", images, "--out", tmp_path / "again")
    assert again.returncode == 0 and not again.stderr and not (tmp_path / "loaded").exists()
    assert engine_of(tmp_path / "first") == engine_of(tmp_path / "again") != "torch"
    told = user("infer", model, "--data", images, "--out", tmp_path / "torch", "--engine", "torch")
    assert told.returncode == 0 and engine_of(tmp_path / "torch") == "torch"


def test_an_engine_that_is_not_faster_is_not_taken(
    user: Raven, site: Path, tmp_path: Path, images: Path
) -> None:
    install(site)
    model = pack(tmp_path / "fast.tar", 0)
    user.ok("infer", model, "--data", images, "--out", tmp_path / "out")
    (record,) = (user.home / "cache" / "measured" / "engines").glob("*.json")
    choice = json.loads(record.read_text())["result"]
    seconds = choice["seconds"]
    least = min(taken for name, taken in seconds.items() if name != "torch")
    assert (choice["engine"] == "torch") == (least > 0.95 * seconds["torch"])


def test_an_engine_that_predicts_something_else_is_not_taken(
    user: Raven, site: Path, tmp_path: Path, images: Path
) -> None:
    install(site, gain=3)
    model = pack(tmp_path / "slow.tar", 0.05)
    told = user("infer", model, "--data", images, "--out", tmp_path / "out")
    assert "Engine: the plugin's own framework" in told.stderr and engine_of(tmp_path / "out") == "torch"
    refused = user("infer", model, "--data", images, "--out", tmp_path / "two", "--engine", "onnxruntime")
    assert refused.returncode == 1 and "does not predict what the model predicts" in refused.stderr


def test_a_network_that_no_format_can_express_is_run_by_its_plugin(
    user: Raven, site: Path, tmp_path: Path, images: Path
) -> None:
    exporting = "    import onnx\n    from onnx"
    assert exporting in SLOW
    install(site, source=SLOW.replace(exporting, f"    raise RuntimeError('no operator frob')\n{exporting}"))
    model = pack(tmp_path / "slow.tar", 0.01)
    told = user("infer", model, "--data", images, "--out", tmp_path / "out")
    assert told.returncode == 0 and engine_of(tmp_path / "out") == "torch"
    assert "cannot be exported: no operator frob" in told.stderr
    refused = user("models", "export", model, "--format", "onnx", "-o", tmp_path / "x.onnx")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "cannot be exported: no operator frob" in refused.stderr


def test_what_was_found_for_the_processor_is_not_what_was_found_for_any_device(
    user: Raven, site: Path, tmp_path: Path, images: Path
) -> None:
    install(site)
    model = pack(tmp_path / "slow.tar", 0.02)
    for device in ("cpu", "auto"):
        out = tmp_path / device
        told = user("infer", model, "--data", images, "--out", out, "--device", device)
        assert told.returncode == 0 and "Measuring which engine" in told.stderr


def test_large_images_are_measured_at_a_smaller_size() -> None:
    large = np.zeros((3000, 9000, 3), np.uint8)
    height, width, _ = _limit(large, 3 * 2**20).shape
    assert 0.99 * 3 * 2**20 < height * width <= 3 * 2**20 and width == pytest.approx(3 * height, rel=0.01)
    small = np.zeros((30, 20, 3), np.uint8)
    assert _limit(small, 2**20) is small


def test_a_few_images_are_not_worth_a_measurement(
    user: Raven, site: Path, tmp_path: Path, images: Path
) -> None:
    install(site)
    for path in sorted(images.iterdir())[64:]:
        path.unlink()
    model = pack(tmp_path / "slow.tar", 0.01)
    told = user("infer", model, "--data", images, "--out", tmp_path / "out")
    assert told.returncode == 0 and not told.stderr and engine_of(tmp_path / "out") == "torch"
