"""Models as files for other engines: they predict what the model predicts, without PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from unet_support import run_unet, small_settings

pytest.importorskip("onnx", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("onnxruntime", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("openvino", reason="the extra ravenml[engines] is not installed")

import ravenml
from ravenml.common.hooks import PREDICT
from ravenml.data.meta import ObjClass
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines import int8
from ravenml.infer.engines.cache import export_folder
from ravenml.infer.engines.compare import compare
from ravenml.infer.engines.description import SUFFIXES, read_description
from ravenml.infer.engines.export import default_path, export_model
from ravenml.infer.engines.predictor import GraphPredictor, open_graph
from ravenml.infer.model_resolver import ModelSource, find_source
from ravenml.infer.network import Ensemble
from ravenml.infer.predictor import GraphMaker
from ravenml.infer.settings import configure
from ravenml.plugin.discovery import find_plugin
from ravenml.store.model_state import pack_model
from ravenml_unet import graph as graphs
from ravenml_unet import load_model
from ravenml_unet.export import export_model as write_model
from ravenml_unet.models.registry import create_model

CLASSES = [ObjClass("__bg__", "bitmap", "#000000"), ObjClass("red", "polygon", "#FF0000")]
ENGINES = ("onnxruntime", "openvino")


def write(path: Path, name: str = "LinkNet34", classes: int = 2, side: int = 40, seed: int = 0) -> Path:
    """A ``model-state.tar`` of an untrained network whose size is not a multiple of its stride."""
    torch.manual_seed(seed)
    settings = small_settings(model=name, input_size={"width": side, "height": side})
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_model(path, create_model(name, classes).eval(), settings, CLASSES[:classes])


@pytest.fixture
def model(tmp_path: Path, slim_unet: None) -> Path:
    return write(tmp_path / "model.tar", "UNet")


@pytest.fixture
def images() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 40), (33, 57), (64, 50))]


def export(path: Path, kind: str, *models: Path, **how: object) -> Path:
    source = ModelSource("model", models)
    return export_model(source, kind, path.with_name(f"{path.name}{SUFFIXES[kind]}"), **how).path  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "engine"), [("onnx", ENGINES[0]), ("onnx", ENGINES[1]), ("openvino", ENGINES[1])]
)
@pytest.mark.parametrize(("name", "classes"), [("LinkNet34", 2), ("UNet", 1)])
def test_an_export_predicts_what_the_model_predicts(
    tmp_path: Path, images: list[NDArray[np.uint8]], kind: str, engine: str, name: str, classes: int
) -> None:
    model = write(tmp_path / "model.tar", name, classes)
    predictor = open_graph(export(tmp_path / "out", kind, model), engine, "32")
    assert predictor.classes == [one.title for one in CLASSES[:classes]] and predictor.input_size == (40, 40)
    found = compare(load_model(model, "cpu"), predictor, images)
    assert found.is_close("32") and found.difference < 1e-3


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_folds_become_one_file_that_averages_them(
    tmp_path: Path, images: list[NDArray[np.uint8]], kind: str, slim_unet: None
) -> None:
    models = [write(tmp_path / f"{seed}.tar", "UNet", seed=seed) for seed in range(2)]
    predictor = open_graph(export(tmp_path / "out", kind, *models), "auto", "32")
    folds = Ensemble([load_model(one, "cpu") for one in models], "folds")
    assert compare(folds, predictor, images).difference < 1e-3  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_half_a_file_is_half_as_large_and_close(
    tmp_path: Path, model: Path, images: list[NDArray[np.uint8]], kind: str
) -> None:
    whole, half = export(tmp_path / "whole", kind, model), export(tmp_path / "half", kind, model, half=True)
    sizes = [
        one.with_suffix(".bin" if kind == "openvino" else one.suffix).stat().st_size for one in (half, whole)
    ]
    assert sizes[0] < 0.55 * sizes[1]
    assert read_description(half).precision == "16" and read_description(whole).precision == "32"
    assert compare(load_model(model, "cpu"), open_graph(half, "auto", "32"), images).share > 0.99


def test_a_dynamic_file_takes_any_size_and_number_of_images(tmp_path: Path, model: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(export(tmp_path / "out", "onnx", model, dynamic=True))
    images = np.random.default_rng(0).integers(0, 256, (3, 70, 45, 3), dtype=np.uint8)
    (found,) = session.run(None, {"images": images})
    predictor = load_model(model, "cpu")
    predictor.input_size = (45, 70)
    np.testing.assert_allclose(found, predictor.predict(images, "probabilities"), atol=1e-3)


def test_a_torchscript_runs_with_pytorch_alone_and_says_what_it_is(tmp_path: Path, model: Path) -> None:
    path = export(tmp_path / "out", "torchscript", model)
    code = (
        "import sys, torch; m = torch.jit.load(sys.argv[1])\n"
        "print(m(torch.zeros(1, 40, 40, 3, dtype=torch.uint8)).shape, 'ravenml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "torch.Size([1, 2, 40, 40]) False\n"
    with zipfile.ZipFile(path) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("extra/ravenml")]
        about = json.loads(archive.read(name))
    assert [one["title"] for one in about["classes"]] == ["__bg__", "red"]


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_a_file_says_its_classes_input_normalisation_and_provenance(
    tmp_path: Path, model: Path, kind: str
) -> None:
    about = read_description(export(tmp_path / "out", kind, model))
    assert about.size == (40, 40) and about.task == "segmentation"
    assert [(one.title, one.color) for one in about.obj_classes] == [
        (one.title, one.color) for one in CLASSES
    ]
    assert about.architecture == "UNet" and about.plugin == "unet" and not about.dynamic
    assert about.normalisation is not None and about.normalisation.mean == (0.485, 0.456, 0.406)
    assert about.provenance["model"] == "model"
    assert about.provenance["fingerprint"] == ModelSource("model", (model,)).fingerprint()


@pytest.mark.parametrize("kind", list(SUFFIXES))
def test_a_file_that_predicts_something_else_is_not_written(
    tmp_path: Path, model: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MEAN", (0.9, 0.1, 0.9))
    (tmp_path / "out").mkdir()
    with pytest.raises(RavenError, match=r"does not predict what the model predicts: .*nothing was written"):
        export(tmp_path / "out" / "model", kind, model)
    assert not list((tmp_path / "out").iterdir())


def test_the_command_compares_on_the_users_images_or_the_models_own(
    project_path: Path, own_home: Path, tmp_path: Path
) -> None:
    small = ("--input-width", "32", "--input-height", "32", "--batch-size", "2", "--workers", "0")
    run_unet("train", "--dataset", project_path, "unet", "train", "--epochs", "1", "--model", "UNet", *small)
    (run,) = (own_home / "runs").iterdir()
    told = run_unet("models", "export", run.name, "--format", "onnx", cwd=tmp_path).stdout
    assert "of the model's validation images: " in told and "have the same label" in told
    path = tmp_path / f"{run.name}.onnx"
    assert f"Exported: {path}" in told and read_description(path).provenance["run"] == run.name
    again = run_unet("models", "export", run.name, "--format", "onnx", cwd=tmp_path, code=2)
    assert "already exists" in again.stderr
    told = run_unet(
        "models", "export", run.name, "--format", "openvino", "-o", tmp_path / "x.xml",
        "--images", project_path,
    ).stdout  # fmt: skip
    assert f"Compared on 6 of {project_path}: " in told
    assert default_path(find_source(run.name), "onnx").name == path.name
    assert default_path(find_source(str(run)), "onnx").name == path.name


def test_int8_is_calibrated_on_a_runs_images_and_refused_where_it_scores_worse(
    project_path: Path, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf", reason="the extra ravenml[int8] is not installed")
    small = ("--input-width", "32", "--input-height", "32", "--batch-size", "2", "--workers", "0")
    run_unet("train", "--dataset", project_path, "unet", "train", "--epochs", "1", "--model", "UNet", *small)
    (run,) = (own_home / "runs").iterdir()
    monkeypatch.setattr(int8, "MOST_LOST", -1.0)
    with pytest.raises(RavenError, match=r"int8 lowers the mean IoU on the validation images from .* to "):
        int8.cached_int8(find_source(run.name))
    assert not list((own_home / "cache" / "engines").rglob("model-int8.xml"))
    with monkeypatch.context() as again:  # the refusal is remembered: nothing is quantized a second time
        again.setattr(int8, "_write", None)
        with pytest.raises(RavenError, match="int8 lowers the mean IoU on the validation images"):
            int8.cached_int8(find_source(run.name))
    monkeypatch.setattr(int8, "MOST_LOST", 0.005)
    out = ("--data", project_path, "--out", tmp_path / "out")
    run_unet("infer", run.name, *out, "--engine-precision", "int8", RAVENML_STORAGE_PATH=str(own_home))
    assert json.loads((tmp_path / "out" / "infer.json").read_text())["engine"] == "openvino (int8)"
    (path,) = (own_home / "cache" / "engines").rglob("model-int8.xml")
    whole = path.with_name("model.onnx").stat().st_size
    assert read_description(path).precision == "8" and path.with_suffix(".bin").stat().st_size < 0.3 * whole
    os.utime(path.parent, (1, 1))
    assert int8.cached_int8(find_source(run.name)) == path
    assert path.parent.stat().st_mtime > 1  # what is used is not what the cache drops first
    path.unlink()
    (run / "info" / "val_set.json").write_text("[]")
    with pytest.raises(InputError, match="by its score on the run's validation images, and there are none"):
        int8.cached_int8(find_source(run.name))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_is_loaded_in_python_with_an_engine(
    model: Path, own_home: Path, images: list[NDArray[np.uint8]], engine: str
) -> None:
    loaded = ravenml.load_model(model, engine=engine, precision="32")
    assert isinstance(loaded.predictor, GraphPredictor) and loaded.classes == ["__bg__", "red"]
    assert compare(ravenml.load_model(model, device="cpu").predictor, loaded.predictor, images).is_close("32")


def test_int8_needs_a_run_with_its_data_and_openvino(tmp_path: Path, model: Path, project_path: Path) -> None:
    with pytest.raises(InputError, match="calibrated on the images of the model's run, which are not there"):
        int8.cached_int8(ModelSource("model", (model,)))
    data = ("--data", project_path, "--out", tmp_path / "out", "--engine-precision", "int8")
    told = run_unet("infer", model, *data, "--engine", "onnxruntime", code=2)
    assert "use --engine openvino" in told.stderr
    told = run_unet("infer", export(tmp_path / "out", "onnx", model), *data, code=2)
    assert "has no images to be calibrated on; name a run" in told.stderr


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "out.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"out\.onnx already exists; name another file with -o"):
        export(tmp_path / "out", "onnx", model)
    assert path.read_bytes() == b"mine"


def test_changed_code_of_a_network_of_ones_own_is_exported_and_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "network_of_mine.py"
    code.write_text("raise RuntimeError('it is not imported for this')")
    settings = {"plugin": "unet", "architecture": "network_of_mine:Net"}
    path = pack_model(tmp_path / "model.tar", {"settings": settings, "out_classes": []}, [])
    before = export_folder(find_source(str(path)))
    assert export_folder(find_source(str(path))) == before
    code.write_text("raise RuntimeError('another network')")
    assert export_folder(find_source(str(path))) != before


def test_settings_of_the_plugin_are_not_for_engines(tmp_path: Path, model: Path) -> None:
    predictor = open_graph(export(tmp_path / "out", "onnx", model))
    made = find_plugin("unet", PREDICT)
    assert made is not None
    with pytest.raises(InputError, match=r"`model\.scale` is a setting of the plugin.*use --engine torch"):
        configure(predictor, {"scale": 2}, made, "my.yml")
    with pytest.raises(InputError, match=r"`model\.scale` is unknown; an exported file has no settings"):
        configure(predictor, {"scale": 2}, GraphMaker("onnx", "?"), "my.yml")


@pytest.mark.parametrize("engine", ENGINES)
def test_with_an_engine_infer_gives_the_same_without_pytorch(
    project_path: Path, own_home: Path, tmp_path: Path, engine: str
) -> None:
    model = write(tmp_path / "model.tar", "UNet")
    how = ("--data", project_path, "--save", "masks")
    run_unet("infer", model, "--out", tmp_path / "torch", *how, "--engine", "torch")
    run_unet(
        "infer", model, "--out", tmp_path / "first", *how, "--engine", engine, "--engine-precision", "32"
    )
    code = "import sys; from ravenml.cli import raven; raven(sys.argv[1:], standalone_mode=False)"
    code += "; print(*sys.modules)"
    again = [
        sys.executable, "-c", code, "infer", model, "--out", tmp_path / "again", *how,
        "--engine", engine, "--engine-precision", "32",
    ]  # fmt: skip
    done = subprocess.run(again, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert engine in modules and not modules & {"torch", "ravenml_unet.models", "lightning_fabric"}
    for mask in (tmp_path / "torch").rglob("masks/*.png"):
        name = mask.relative_to(tmp_path / "torch")
        for other in ("first", "again"):
            assert np.mean(cv2.imread(str(tmp_path / other / name)) == cv2.imread(str(mask))) > 0.999
