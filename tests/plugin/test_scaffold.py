"""``raven plugin new`` and ``raven plugin check``: what is written works, and what is wrong is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven, wait_for
from local_wheels import ROOT

from ravenml.data.demo import SEASONS, write_demo
from ravenml.errors import InputError
from ravenml.plugin.check import find_problems
from ravenml.plugin.scaffold import module_name, write_plugin


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    return write_plugin("my-net", into=tmp_path / "work")


def test_names_become_names_of_modules():
    assert module_name("My-Net") == module_name("ravenml_my_net") == "my_net"


@pytest.mark.parametrize("name", ["", "7up", "class", "ü", "a/b", "list", "torch"])
def test_names_that_cannot_name_a_plugin_are_refused(name: str, tmp_path: Path):
    with pytest.raises(InputError):
        write_plugin(name, into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_written_over(minimal: Path):
    with pytest.raises(InputError, match="exists already"):
        write_plugin("my_net", into=minimal.parent)


@pytest.mark.parametrize("template", ["minimal", "segmentation"])
def test_nothing_of_the_templates_stays_unfilled(template: str, tmp_path: Path):
    folder = write_plugin("my-net", template, tmp_path)
    for path in folder.rglob("*"):
        assert "@" not in path.name and not path.name.endswith(".tmpl")
        if path.is_file():
            text = path.read_text()
            for word in ("@package@", "@name@", "@command@", "@distribution@"):
                assert word not in text, path
            if path.suffix == ".py":
                compile(text, str(path), "exec")
    assert (folder / ".gitignore").is_file()
    assert os.access(folder / "install.sh", os.X_OK)


def test_a_new_plugins_install_sh_is_that_of_ravenmls_own(minimal: Path):
    assert (minimal / "install.sh").read_text() == (ROOT / "plugins/ravenml_unet/install.sh").read_text()


def test_the_segmentation_template_takes_the_torch_that_ravenmls_own_plugin_takes(tmp_path: Path):
    folder = write_plugin("my-net", "segmentation", tmp_path)
    torch = [
        line for line in (folder / "requirements.in").read_text().splitlines() if line.startswith("torch")
    ]
    assert torch[0] in (ROOT / "plugins/ravenml_unet/requirements.in").read_text().splitlines()


@pytest.mark.parametrize("template", ["minimal", "segmentation"])
def test_what_is_written_passes_the_linters_of_this_house(template: str, tmp_path: Path):
    folder = write_plugin("my-net", template, tmp_path)
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--line-length",
        "110",
        "--select",
        "E,F,UP,B",
        str(folder),
    ]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_new_minimal_plugin_is_without_fault(minimal: Path):
    before = sorted(minimal.rglob("*"))
    assert find_problems(minimal) == []
    assert [path for path in sorted(minimal.rglob("*")) if "__pycache__" not in path.parts] == before


def test_a_new_segmentation_plugin_lacks_only_its_compiled_requirements(tmp_path: Path):
    pytest.importorskip("torch")
    folder = write_plugin("my-net", "segmentation", tmp_path)
    faults = find_problems(folder)
    assert len(faults) == 2 and all("is missing; `raven plugin compile" in fault for fault in faults)


def test_ravenmls_own_plugin_is_without_fault():
    assert find_problems(ROOT / "plugins" / "ravenml_unet") == []


def as_installed(folder: Path, site: Path) -> None:
    """Put a plugin on the path of the tests' processes, with the metadata that pip would write."""
    package = folder.name
    (site / package).symlink_to(folder / package)
    info = site / f"{package}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    points = f"[ravenml.plugins.train]\nmy_net = {package}.core:my_net\n"
    points += f"[ravenml.plugins.settings]\nmy_net = {package}.settings:Settings\n"
    if (folder / package / "inference.py").exists():
        points += f"[ravenml.plugins.predict]\nmy_net = {package}.inference:load\n"
    (info / "entry_points.txt").write_text(points)


def test_a_new_minimal_plugin_trains(minimal: Path, site: Path, raven: Raven, tmp_path: Path):
    as_installed(minimal, site)
    write_demo(tmp_path / "demo", images=6)
    raven.ok("train", "--dataset", tmp_path / "demo", "my-net", "train", "--kfold", "--folds", "2")
    (run,) = raven.runs()
    assert json.loads((run / "summary.json").read_text())["out_of_fold"]["miou"] > 0


@pytest.mark.slow
def test_a_new_segmentation_plugin_stops_and_goes_on_where_it_stopped(
    site: Path, raven: Raven, tmp_path: Path
):
    pytest.importorskip("torch")
    as_installed(write_plugin("my-net", "segmentation", tmp_path / "work"), site)
    write_demo(tmp_path / "demo", images=6)
    started = raven.start("train", "--dataset", tmp_path / "demo", "my-net", "train", "--epochs", "30")
    wait_for(
        lambda: [e for run in raven.runs() for e in events(run) if e["message"] == "checkpoint"], seconds=60
    )
    started.send_signal(signal.SIGINT)
    started.communicate(timeout=60)
    assert started.returncode == 130
    (run,) = raven.runs()
    raven.ok("train", "my-net", "train", "--resume", run.name)
    (resumed,) = [event for event in events(run) if event["message"] == "resumed"]
    assert resumed["step"] > 0
    assert max(event["epoch"] for event in events(run) if event.get("type") == "val") == 30


@pytest.mark.slow
def test_a_new_segmentation_plugin_trains_a_fold_whose_validation_images_hold_nothing(
    site: Path, raven: Raven, tmp_path: Path
):
    pytest.importorskip("torch")
    as_installed(write_plugin("my-net", "segmentation", tmp_path / "work"), site)
    write_demo(tmp_path / "demo", images=4)
    for path in (tmp_path / "demo" / SEASONS[0] / "ann").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"objects": []}))
    train = ["train", "--dataset", tmp_path / "demo", "my-net", "train", "--epochs", "1"]
    raven.ok(*train, "--fold-by", "dataset", "--folds", "2", "--fold", "0")
    (run,) = raven.runs()
    assert (run / "checkpoints" / "model_last.pth").exists() and (run / "model-state.tar").exists()
    said = [event["message"] for event in events(run) if event["message"] is not None]
    assert "val/miou was never defined; the model has the last weights." in said


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def test_a_new_segmentation_plugin_learns_and_predicts(site: Path, raven: Raven, tmp_path: Path):
    pytest.importorskip("torch")
    as_installed(write_plugin("my-net", "segmentation", tmp_path / "work"), site)
    write_demo(tmp_path / "demo", images=6)
    train = ["train", "--dataset", tmp_path / "demo", "my-net", "train"]
    raven.ok(*train, "--epochs", "2", "--batch-size", "2")
    (run,) = raven.runs()
    losses = [event["metrics"]["loss"] for event in events(run) if event.get("type") == "train"]
    assert len(losses) == 2 and losses[1] < losses[0]
    asked = f"""
import numpy as np
from pathlib import Path
from typing import Any
from ravenml.infer.predictor import load_predictor
predictor = load_predictor(Path({str(run / "model-state.tar")!r}), "cpu")
images = np.zeros((2, 50, 70, 3), np.uint8)
print(predictor.predict(images).shape, predictor.predict(images, "probabilities").shape[2:])
"""
    done = subprocess.run([sys.executable, "-c", asked], env=raven.env(), capture_output=True, text=True)
    assert done.stdout.strip() == "(2, 50, 70) (50, 70)", done.stderr


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("setup.py", lambda text: text.replace("ravenml.plugins.train", "ravenml.train"), "no entry point"),
        ("setup.py", lambda text: text.replace("numpy>=2.0", "numpy==2.0"), "pins numpy==2.0"),
        ("setup.py", lambda text: text.replace('"ravenml", ', ""), "does not name ravenml"),
        ("setup.py", lambda text: text.replace("core:my_net", "core:mynet"), "has no attribute 'mynet'"),
        ("setup.py", lambda text: text.replace("my_net=ravenml", "list=ravenml"), "belongs to the command"),
        ("setup.py", lambda text: text + "raise SystemExit('no')\n", "cannot be run: no"),
        ("ravenml_my_net/core.py", lambda text: "import no_such_module\n" + text, "no_such_module"),
        ("ravenml_my_net/core.py", lambda text: text + "\nmy_net = 3\n", "not a Click group but a int"),
        ("ravenml_my_net/core.py", lambda text: text + "\nimport os; os._exit(3)\n", "ended the process"),
        ("ravenml_my_net/settings.py", lambda text: text + "\nSettings = dict\n", "not a pydantic model"),
        ("requirements.in", lambda text: text + "scikit-learn>=1.5\n", "is out of date"),
        ("requirements.in", lambda text: text + "what is this\n", "requirements.in"),
        ("requirements.txt", lambda text: text + "torch==2.13.0+cpu\n", "not a pin that a user elsewhere"),
        ("requirements.txt", lambda text: text + "--find-links /here\n", "not a pin that a user elsewhere"),
        ("requirements.txt", lambda text: text + "torch @ file:///here\n", "not a pin that a user elsewhere"),
        ("install.sh", lambda text: text + "if\n", "not a valid script"),
    ],
)
def test_check_names_what_is_wrong(minimal: Path, file: str, change, said: str):
    path = minimal / file
    path.write_text(change(path.read_text()))
    faults = find_problems(minimal)
    assert any(said in fault for fault in faults), faults


def test_check_names_what_is_missing(minimal: Path):
    (minimal / "install.sh").chmod(0o644)
    (minimal / "requirements-gpu.in").unlink()
    faults = " ".join(find_problems(minimal))
    assert "chmod +x" in faults and "requirements-gpu.in is missing" in faults


def test_the_commands_write_check_and_list(raven: Raven, tmp_path: Path):
    said = raven.ok("plugin", "new", "my-net", "--into", tmp_path / "work")
    assert "raven train --dataset my_demo my-net train" in said
    folder = tmp_path / "work" / "ravenml_my_net"
    assert "Nothing is wrong" in raven.ok("plugin", "check", folder)
    (folder / "install.sh").unlink()
    done = raven("plugin", "check", folder)
    assert done.returncode == 1 and "install.sh is missing" in done.stderr
    as_installed(folder, raven.site)
    (row,) = [one for one in json.loads(raven.ok("plugin", "list", "--json")) if one["name"] == "my_net"]
    assert row == {
        "name": "my_net",
        "distribution": "ravenml-my-net",
        "version": "0.1.0",
        "for": "-",
        "from": str(raven.site),
    }
    assert "my_net" in raven.ok("plugin", "list")
