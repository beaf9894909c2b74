"""A model is data: whatever its files say, nothing that they name is imported, called or read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import nn
from unet_support import run_unet

import ravenml
import ravenml_unet
from ravenml.common.hooks import PREDICT
from ravenml.common.io import JsonObject
from ravenml.errors import InputError, RavenError
from ravenml.plugin.discovery import plugins
from ravenml.store.factory import local_models
from ravenml.store.models import push_file
from ravenml_unet.checkpoints import newest_state
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import load_weights

TITLES = ["__bg__", "red", "green"]
EVIL = """
    from pathlib import Path
    from torch import nn

    Path({canary!r}).touch()
    print("evil is imported", flush=True)

    class Net(nn.Module):
        def __init__(self, num_classes):
            super().__init__()
            self.only = nn.Conv2d(3, num_classes, 1)
        def forward(self, x):
            return self.only(x)

    def run(**given):
        Path({canary!r} + "-called").touch()
"""
PLUGIN = Path(__file__).resolve().parents[1]
SIZE = {"width": 32, "height": 32}
NAMES = ["evil:Net", "evil:run", "evil.deep:Net", "os:system", "subprocess:Popen", "builtins:exec", "evil"]
ODD = [None, 3, ["evil:Net"], {"evil": "Net"}, "", "../evil:Net", "evil:Net\0", "E" * 5000, "\ud800"]

_seen: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    started = event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "exec.evil")
    if _seen is not None and (started or (event == "import" and str(arguments[0]).startswith("evil"))):
        _seen.append(f"{event} {arguments[:1]}")


sys.addaudithook(_audit)


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """What hostile files made Python do: import a module called evil, or start a program."""
    global _seen
    for plugin in plugins(PREDICT).values():
        plugin.load()  # which is tried in a process of its own first
    _seen = []
    yield _seen
    _seen = None
    sys.modules.pop("evil", None)


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once a module ``evil`` of the working folder was imported."""
    place = tmp_path / "canary"
    work = tmp_path / "work"
    work.mkdir()
    (work / "evil.py").write_text(dedent(EVIL.format(canary=str(place))))
    # What is trusted is found in its folder from then on: neither that of another test, nor this in the next.
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if not (Path(one) / "evil.py").exists()])
    monkeypatch.chdir(work)
    return place


def unpacked(folder: Path, **changes: object) -> Path:
    """A model's folder without any weights worth reading; its settings say what they should not."""
    folder.mkdir(parents=True)
    settings = {"plugin": "unet", "architecture": "UNet", "weights": "model.pth"}
    classes = [{"title": title, "shape": "bitmap", "color": "#336699"} for title in TITLES]
    config = {"settings": {**settings, "input_size": SIZE, **changes}, "out_classes": classes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.pth").write_bytes(b"weights")
    return folder


def packed(folder: Path, target: Path) -> Path:
    """The folder as a tar that ``raven models pack`` would not write."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return target


def training(folder: Path, name: object) -> Path:
    """The folder of a training in Supervisely's U-Net app, as far as it is read."""
    (folder / "info").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "model_001_best.pth").write_bytes(b"weights")
    (folder / "info" / "ui_state.json").write_text(json.dumps({"selectedModel": name, "imgSize": SIZE}))
    classes = [{"title": title, "shape": "bitmap", "color": "#336699"} for title in TITLES]
    (folder / "info" / "model_classes.json").write_text(json.dumps(classes))
    return folder


def origins(place: Path, name: object) -> Iterator[Path]:
    """A model from each place that models come from, which names a network."""
    yield unpacked(place / "model", architecture=name)
    yield packed(place / "model", place / "model-state.tar")
    (place / "run").mkdir()
    shutil.copy2(place / "model-state.tar", place / "run")
    yield place / "run"
    yield training(place / "training", name)
    yield place / "training" / "checkpoints" / "model_001_best.pth"


@pytest.mark.parametrize("name", [*NAMES, *ODD])
def test_a_model_decides_nothing_that_is_imported(
    name: object, tmp_path: Path, canary: Path, seen: list[str]
) -> None:
    for place in origins(tmp_path, name):
        if place.suffix != ".pth":
            with pytest.raises(RavenError):
                ravenml.load_model(place, device="cpu")
        with pytest.raises(RavenError):
            ravenml_unet.load_model(place, "cpu")
        if name is not None and place.parent.name != "run" and (place.suffix or place.name == "training"):
            with pytest.raises(RavenError):
                UNetSettings(weights=str(place))
    assert seen == [] and not canary.exists()


def test_a_stored_model_decides_nothing_either(tmp_path: Path, canary: Path, seen: list[str]) -> None:
    folder = unpacked(tmp_path / "model", architecture="evil:Net")
    model_id = push_file(local_models(), packed(folder, tmp_path / "m.tar"), None, None, False)
    with pytest.raises(InputError, match="names code that is not part of a plugin"):
        ravenml.load_model(model_id)
    assert seen == [] and not canary.exists()


def test_metadata_of_a_store_name_no_file_outside_of_it(tmp_path: Path, own_home: Path) -> None:
    store = local_models()
    model_id = push_file(store, packed(unpacked(tmp_path / "model"), tmp_path / "m.tar"), None, None, False)
    (metadata,) = own_home.glob(f"store/models/metadata_{model_id}.json")
    metadata.write_text(json.dumps({"models": {"": "../../m.tar"}}))
    with pytest.raises(RavenError, match="leaves its folder"):
        ravenml.load_model(model_id)


def test_the_refusal_says_what_would_be_imported_from_where(tmp_path: Path, canary: Path) -> None:
    said = rf"names code that is not part of a plugin, evil:Net \({Path.cwd()}/evil\.py\).*--trust-code"
    with pytest.raises(InputError, match=said):
        ravenml.load_model(unpacked(tmp_path / "model", architecture="evil:Net"))


def trusted_model(tmp_path: Path) -> Path:
    """A model of ``evil:Net`` that is whole, and would predict."""
    folder = unpacked(tmp_path / "model", architecture="evil:Net")
    torch.save({"only.weight": torch.ones(3, 3, 1, 1), "only.bias": torch.zeros(3)}, folder / "model.pth")
    return packed(folder, tmp_path / "model-state.tar")


@pytest.mark.parametrize(
    ("program", "model", "settings"),
    [
        ("inference", "evil:Net", {}),
        ("train", "evil:Net", {}),
        ("train", None, {"model": "evil:Net"}),
        ("train", None, {"loss": "evil:run"}),
    ],
)
def test_no_task_of_an_agent_imports_what_its_files_name(
    program: str, model: str | None, settings: JsonObject, tmp_path: Path, canary: Path, project_path: Path
) -> None:
    task = tmp_path / "task"
    shutil.copytree(project_path, task / "data" / "shapes")
    if model is not None:
        unpacked(task / "model", architecture=model)
    (task / "task_config.json").write_text(json.dumps(settings))
    environment = {**os.environ, "SLY_TASK_DATA": str(task), "OMP_NUM_THREADS": "1", "RAVENML_TRACK": "none"}
    done = subprocess.run(
        [sys.executable, PLUGIN / "src" / f"{program}.py"], env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "names code that is not part of a plugin, evil:" in done.stdout + done.stderr
    assert not canary.exists()


@pytest.mark.parametrize("command", ["infer", "serve", "evaluate", "train", "settings file"])
def test_no_command_imports_what_a_file_names(
    command: str, tmp_path: Path, canary: Path, project_path: Path
) -> None:
    tar = trusted_model(tmp_path)
    file = tmp_path / "settings.yml"
    file.write_text(json.dumps({"dataset": str(project_path), "plugin": {"loss": "evil:run"}}))
    words: dict[str, list[str | Path]] = {
        "infer": ["infer", tar, "--data", project_path, "--out", tmp_path / "out"],
        "serve": ["serve", tar, "--port", "0"],
        "evaluate": ["train", "unet", "evaluate", tar, "--dataset", project_path],
        "train": ["train", "--dataset", project_path, "unet", "train", "--weights", tar],
        "settings file": ["train", "-c", file, "unet", "train"],
    }
    done = run_unet(*words[command], code=2, cwd=Path.cwd())
    assert "names code that is not part of a plugin, evil:" in done.stderr
    assert not canary.exists()


def test_trusted_code_is_said_before_it_is_imported(tmp_path: Path, canary: Path, project_path: Path) -> None:
    words = ["--data", project_path, "--device", "cpu"]
    done = run_unet(
        "infer", trusted_model(tmp_path), *words, "--out", tmp_path / "one", "--trust-code", cwd=Path.cwd()
    )
    assert f"Importing evil ({Path.cwd()}/evil.py), which model names." in done.stderr
    assert "evil is imported" in done.stdout and canary.exists()
    run_unet(
        "infer", tmp_path / "model-state.tar", *words, "--out", tmp_path / "two", code=2, cwd=Path.cwd()
    )  # it was for one command


def test_a_folder_may_be_trusted_by_the_configuration(tmp_path: Path, canary: Path, own_home: Path) -> None:
    tar = trusted_model(tmp_path)
    own_home.mkdir()
    (own_home / "config.yaml").write_text(json.dumps({"trusted_code": [str(tmp_path / "elsewhere")]}))
    with pytest.raises(InputError, match="not part of a plugin"):
        ravenml.load_model(tar)
    (own_home / "config.yaml").write_text(json.dumps({"trusted_code": [str(Path.cwd())]}))
    assert ravenml.load_model(tar, device="cpu").classes == TITLES


def test_trust_does_not_call_what_is_not_a_network(tmp_path: Path, canary: Path) -> None:
    for name in ("evil:run", "os:system"):
        with pytest.raises(InputError, match=f"{name} is not a network; it must be a subclass of"):
            ravenml.load_model(unpacked(tmp_path / name[:2], architecture=name), trust_code=True)
    assert not canary.with_name("canary-called").exists()


def test_what_a_user_names_himself_is_remembered_for_its_models_and_runs(
    tmp_path: Path, canary: Path, project_path: Path, own_home: Path
) -> None:
    train = ["--epochs", "1", "--input-width", "32", "--input-height", "32", "--workers", "0"]
    run_unet(
        "train", "--dataset", project_path, "unet", "train", "--model", "evil:Net", *train, cwd=Path.cwd()
    )
    (run,) = (own_home / "runs").iterdir()
    assert json.loads((own_home / "trusted_code.json").read_text()) == {"evil": [[f"{Path.cwd()}/evil.py"]]}
    assert (own_home / "trusted_code.json").stat().st_mode & 0o777 == 0o600
    (run / "run.json").write_text((run / "run.json").read_text().replace('"completed"', '"interrupted"'))
    run_unet("train", "unet", "train", "--resume", run.name, cwd=Path.cwd())
    run_unet("infer", run.name, "--data", project_path, "--out", tmp_path / "out", cwd=Path.cwd())

    other = tmp_path / "downloaded"  # with a module of the same name
    other.mkdir()
    shutil.copy2("evil.py", other)
    canary.unlink()
    done = run_unet("infer", run.name, "--data", project_path, "--out", tmp_path / "other", code=2, cwd=other)
    assert f"evil:Net ({other}/evil.py)" in done.stderr and not canary.exists()


def test_a_run_made_elsewhere_is_not_resumed_with_its_code(
    tmp_path: Path, canary: Path, project_path: Path, own_home: Path
) -> None:
    train = ["--epochs", "1", "--input-width", "32", "--input-height", "32", "--workers", "0"]
    run_unet(
        "train", "--dataset", project_path, "unet", "train", "--model", "evil:Net", *train, cwd=Path.cwd()
    )
    (run,) = (own_home / "runs").iterdir()
    (own_home / "trusted_code.json").unlink()  # as on the machine of somebody who was sent the run
    (run / "run.json").write_text((run / "run.json").read_text().replace('"completed"', '"interrupted"'))
    canary.unlink()
    for words in (["train", "unet", "train", "--resume"], ["runs", "resume"], ["runs", "clone"]):
        done = run_unet(*words, run.name, code=2, cwd=Path.cwd())
        assert "names code that is not part of a plugin, evil:Net" in done.stderr
    assert not canary.exists()


@pytest.mark.parametrize(
    "name", ["../secret.pth", "{secret}", "link.pth", "sub/../../secret.pth", ".", "", 7]
)
def test_weights_lie_within_the_models_folder(tmp_path: Path, name: object) -> None:
    secret = tmp_path / "secret.pth"
    folder = unpacked(tmp_path / "model", weights=str(name).format(secret=secret) if name != 7 else 7)
    shutil.copy2(folder / "model.pth", secret)  # it would fit
    (folder / "link.pth").symlink_to(secret)
    with pytest.raises(InputError, match=r"settings\.weights`"):
        ravenml.load_model(folder, device="cpu")
    (folder / "link.pth").unlink()
    with pytest.raises(InputError, match=r"settings\.weights`"):
        ravenml.load_model(packed(folder, tmp_path / "model-state.tar"), device="cpu")


class Harmful:
    """Unpickled, it makes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.place,)


def zipped(harmful: object) -> bytes:
    """As ``torch.save`` writes it today."""
    stream = BytesIO()
    torch.save(harmful, stream)
    return stream.getvalue()


@pytest.mark.parametrize("dump", [pickle.dumps, zipped])
@pytest.mark.parametrize("within", ["weights", "state", "plain"])
def test_no_pickle_runs_anything(
    dump: object, within: str, tmp_path: Path, canary: Path, seen: list[str]
) -> None:
    assert callable(dump)
    harmful = dump({"only": Harmful(canary)} if within == "plain" else Harmful(canary))
    if within == "state":
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "state_001.pt").write_bytes(harmful)
        with pytest.raises(InputError, match="holds no weights that can be read safely"):
            newest_state(tmp_path / "checkpoints")
    else:
        folder = unpacked(tmp_path / "model")
        (folder / "model.pth").write_bytes(harmful)
        with pytest.raises(InputError, match="holds no weights that can be read safely"):
            ravenml.load_model(folder, device="cpu")
    assert seen == [] and not canary.exists()


@pytest.mark.parametrize("name", ["../model_001.pth", "/etc/passwd", 5, None])
def test_a_state_names_weights_beside_it(tmp_path: Path, name: object) -> None:
    state = dict.fromkeys(("epoch", "batch", "step", "sums", "identity", "machine"), 0)
    content = {**state, "optimizer": {}, "precision": {}, "weights": name}
    torch.save(content, tmp_path / "state_001.pt")
    with pytest.raises(InputError, match="which is not the name of a file beside it"):
        newest_state(tmp_path)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_named_pipe_in_place_of_weights_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="it is a named pipe, not a file"):
        load_weights(nn.Conv2d(1, 1, 1), tmp_path / name, "UNet")
