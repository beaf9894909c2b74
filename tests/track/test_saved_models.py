"""Models that a script saves with its own libraries are kept with its run, and sent where it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from as_user import Raven

from ravenml.runs.events import read_events
from ravenml.runs.process.kept_models import KeptModels

MODELS = Path("artifacts", "models")


def python(raven: Raven, source: str, **env: str) -> Path:
    """The run's folder of a script that its user starts without ``raven run``."""
    (raven.cwd / "train.py").write_text("from ravenml import Task\n" + dedent(source))
    done = subprocess.run(
        [sys.executable, "train.py"], capture_output=True, text=True, env=raven.env(**env), cwd=raven.cwd
    )
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    return raven.runs()[0]


def kept(folder: Path) -> set[str]:
    return {
        path.relative_to(folder / MODELS).as_posix()
        for path in (folder / MODELS).rglob("*")
        if path.is_file()
    }


def test_what_torch_saves_to_an_open_file_is_kept_and_sent(raven: Raven, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    sent = tmp_path / "sent"
    source = f"""
        Task.init("p", "n", output_uri={str(sent)!r})
        import io, os, torch
        os.mkdir("output")
        with open("output/model_final.pth", "wb") as file:
            torch.save({{"w": torch.arange(9)}}, file)
        torch.save({{}}, io.BytesIO())
    """
    folder = python(raven, source)
    assert kept(folder) == {"model_final.pth"}
    (arrived,) = sent.rglob("model_final.pth")
    for path in (folder / MODELS / "model_final.pth", arrived):
        assert torch.load(path)["w"].tolist() == list(range(9))
    announced = [event.fields for event in read_events(folder / "events.jsonl", "ARTIFACT")]
    assert {"artifacts/models/model_final.pth"} <= {event.get("file") for event in announced}


def test_models_of_other_libraries_are_kept_too(raven: Raven) -> None:
    source = """
        task = Task.init("p", "n")
        import numpy as np
        import joblib, safetensors.numpy
        joblib.dump({"a": 1}, "forest.joblib")
        with open("open.joblib", "wb") as file: joblib.dump({"a": 1}, file)
        safetensors.numpy.save_file({"w": np.zeros(3)}, "net.safetensors")
    """
    assert kept(python(raven, source)) == {"forest.joblib", "open.joblib", "net.safetensors"}


@pytest.mark.slow
def test_models_of_keras_are_kept_with_its_checkpoints(raven: Raven) -> None:
    pytest.importorskip("keras")
    source = """
        Task.init("p", "n")
        import keras, numpy as np
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(loss="mse")
        saver = keras.callbacks.ModelCheckpoint("epoch{epoch}.keras")
        model.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0, callbacks=[saver])
        model.save_weights("last.weights.h5")
    """
    folder = python(raven, source, KERAS_BACKEND="torch")
    assert kept(folder) == {"epoch1.keras", "epoch2.keras", "last.weights.h5"}


def test_a_folder_that_a_library_saves_is_kept_whole_and_once(raven: Raven) -> None:
    library = raven.cwd / "transformers"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "modeling_utils.py").write_text(
        dedent("""
            import json, os, safetensors.numpy
            class PreTrainedModel:
                def save_pretrained(self, save_directory, **more):
                    os.makedirs(save_directory)
                    import numpy as np
                    safetensors.numpy.save_file({"w": np.ones(2)}, f"{save_directory}/model.safetensors")
                    json.dump({}, open(f"{save_directory}/config.json", "w"))
        """)
    )
    source = """
        Task.init("p", "n")
        from transformers.modeling_utils import PreTrainedModel
        class Mine(PreTrainedModel): pass
        Mine().save_pretrained("bert")
    """
    folder = python(raven, source)
    assert kept(folder) == {"bert/model.safetensors", "bert/config.json"}
    names = [event.fields["name"] for event in read_events(folder / "events.jsonl", "ARTIFACT")]
    assert sorted(names) == ["bert/config.json", "bert/model.safetensors"]


def test_scalars_of_a_writer_that_stays_open_arrive(raven: Raven) -> None:
    pytest.importorskip("tensorboardX")
    source = """
        Task.init("p", "n")
        from tensorboardX import SummaryWriter
        writer = SummaryWriter("boards", flush_secs=600)
        writer.add_scalar("val/miou", 0.5, 3)
    """
    folder = python(raven, source)
    (event,) = [event.fields for event in read_events(folder / "events.jsonl", "METRICS")]
    assert (event["type"], event["metrics"], event["step"]) == ("val", {"miou": 0.5}, 3)


def test_files_of_one_name_in_two_folders_are_both_kept(tmp_path: Path) -> None:
    models = KeptModels(tmp_path / "kept")
    for folder in ("a", "b", "a"):
        path = tmp_path / folder / "net.pt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(folder)
        list(models.keep(path))
    assert (tmp_path / "kept" / "net.pt").read_text() == "a"
    assert (tmp_path / "kept" / "b" / "net.pt").read_text() == "b"


def test_checkpoints_that_the_script_rotates_out_are_let_go_and_its_last_ones_stay(tmp_path: Path) -> None:
    models = KeptModels(tmp_path / "kept")
    for number in range(4):
        path = tmp_path / "out" / f"step{number}.pt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
        list(models.keep(path))
        if number:
            (tmp_path / "out" / f"step{number - 1}.pt").unlink()
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"step2.pt", "step3.pt"}


def test_what_is_written_anew_under_the_same_name_takes_the_place_of_the_old(tmp_path: Path) -> None:
    models, path = KeptModels(tmp_path / "kept"), tmp_path / "net.pt"
    for text in ("one", "two"):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(path)
        assert list(models.keep(path)) == [("net.pt", path)]
    path.unlink()
    assert [file.read_text() for file in (tmp_path / "kept").iterdir()] == ["two"]


def test_a_model_on_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "net.json"
    path.write_text(json.dumps([1]))
    list(KeptModels(tmp_path / "kept").keep(path))
    assert json.loads((tmp_path / "kept" / "net.json").read_text()) == [1]
