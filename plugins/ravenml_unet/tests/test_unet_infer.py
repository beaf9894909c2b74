"""`raven infer` with real networks: what is predicted, from where models come, how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_unet_pretrained import write_app_folder
from unet_support import run_unet, small_settings

from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.meta import ObjClass
from ravenml.data.project import Project
from ravenml_unet import inference, load_model
from ravenml_unet.export import export_model
from ravenml_unet.models.registry import create_model

TITLES = ["__bg__", "red", "green"]


def raven(*arguments: str | Path) -> str:
    """What ``raven`` prints; it must end well."""
    return run_unet(*arguments).stdout


def model(path: Path, titles: list[str], seed: int = 0, name: str = "LinkNet34", side: int = 32) -> Path:
    """A ``model-state.tar`` of an untrained network."""
    torch.manual_seed(seed)
    settings = small_settings(model=name, input_size={"width": side, "height": side})
    classes = [ObjClass(title, "bitmap", "#336699") for title in titles]
    path.parent.mkdir(parents=True, exist_ok=True)
    return export_model(path, create_model(name, len(titles)), settings, classes)


def predicted(project: Path, item: str, titles: list[str]) -> np.ndarray:
    opened = Project.open(project)
    return draw_mask(opened.annotation(opened.item(item)), titles)


def test_a_trained_run_predicts_as_it_does_in_python(
    project_path: Path, own_home: Path, tmp_path: Path
) -> None:
    raven(
        "train",
        "--dataset",
        project_path,
        "unet",
        "train",
        "--epochs",
        "1",
        "--model",
        "LinkNet34",
        "--input-width",
        "64",
        "--input-height",
        "64",
        "--batch-size",
        "2",
        "--workers",
        "0",
    )
    (run,) = (own_home / "runs").iterdir()
    told = raven("infer", run.name[:17], "--data", project_path, "--out", tmp_path / "out", "--device", "cpu")
    assert told.startswith("6 images: ")
    network = load_model(run, "cpu")
    order = [network.classes.index(title) for title in network.classes if title != "__bg__"]
    suffixed = [f"{network.classes[index]}_unet" for index in order]
    for item in Project.open(project_path).items:
        labels = inference(network, item.image_path)
        drawn = predicted(tmp_path / "out", item.key, suffixed)
        assert (drawn == np.select([labels == index for index in order], [1, 2])).all()


def test_the_artifact_folder_of_supervisely_s_app_is_a_model(
    project_path: Path, own_home: Path, tmp_path: Path
) -> None:
    folder = write_app_folder(tmp_path / "app", ["red", "green", "__bg__"], "LinkNet34")
    image = Project.open(project_path).items[0].image_path
    raven("infer", folder, "--data", image, "--out", tmp_path / "out", "--device", "cpu")
    labels = inference(load_model(folder, "cpu"), image)
    drawn = predicted(tmp_path / "out", f"images/{image.name}", ["red_unet", "green_unet"])
    assert (drawn == np.array([1, 2, 0])[labels]).all()


def test_folds_predict_with_the_mean_of_their_probabilities(
    project_path: Path, own_home: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    folds = [model(run / "folds" / str(number) / "model-state.tar", TITLES, number) for number in range(2)]
    image = Project.open(project_path).items[0].image_path
    raven(
        "infer", run, "--data", image, "--out", tmp_path / "out", "--device", "cpu", "--save", "probabilities"
    )
    pixels = read_image(image)[None]
    each = [load_model(fold, "cpu").predict(pixels, want="probabilities")[0] for fold in folds]
    mean = (each[0] + each[1]) / 2
    saved = np.load(tmp_path / "out" / "images" / "probabilities" / f"{image.name}.npy")
    assert np.allclose(saved, mean, atol=2e-3)
    drawn = predicted(tmp_path / "out", f"images/{image.name}", ["red_unet", "green_unet"])
    assert (drawn == mean.argmax(axis=0)).mean() > 0.999  # two ways of adding up may differ at a tie


def test_presets_for_inference_are_offered(project_path: Path, own_home: Path, tmp_path: Path) -> None:
    file = model(tmp_path / "model.tar", TITLES)
    raven("infer", file, "--data", project_path, "--out", tmp_path / "out", "--preset", "sliding window")
    assert json.loads((tmp_path / "out" / "infer.json").read_text())["mode"]["name"] == "sliding_window"


@pytest.mark.slow  # 50 s: the image is large by its nature
@pytest.mark.parametrize("mode", ["sliding_window", "full_image"])
def test_an_image_of_4000_by_3000_needs_less_than_2_gb(own_home: Path, tmp_path: Path, mode: str) -> None:
    file = model(tmp_path / "model.tar", ["__bg__", *(f"class {number}" for number in range(11))], side=128)
    random = np.random.default_rng(0)
    soft = cv2.resize(random.integers(0, 256, (30, 40, 3), np.uint8), (4000, 3000))
    cv2.imwrite(str(tmp_path / "large.jpg"), soft)
    command = [sys.executable, "-m", "ravenml", "infer", file, "--data", tmp_path / "large.jpg"]
    command += ["--out", tmp_path / "out", "--mode", mode, "--device", "cpu"]
    command += ["--window", "512"] if mode == "sliding_window" else []
    # Through a small process: the peak of one that we start ourselves counts from our own size on.
    measure = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=sys.stderr); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    command = [sys.executable, "-c", measure, *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout)
    assert peak * 1024 < 2e9, f"{peak / 2**10:.0f} MiB"
    assert Project.open(tmp_path / "out").items
