"""Models, weights and states that anybody may have made are loaded as data, or refused in a sentence."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ravenml.common.validation import validate
from ravenml.errors import RavenError
from ravenml.infer.predictor import load_predictor
from torture.mutate import mutate_bytes, mutate_document
from torture.runner import Missing, guard

TRIALS = 10_000
SIDE = 32
# What a hostile config.json names: code, and files outside of the model.
NAMES = [
    "evil:Net", "evil:run", "evil", "os:system", "builtins:eval", "subprocess:Popen", "torch.nn:Linear",
    "ravenml_unet.models.unet:UNet", "../evil:Net", "evil:Net.__init__.__globals__", "UNet\0", "\ud800",
]  # fmt: skip
FILES = [
    "../outside.pth", "/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/mem", "link.pth", "pipe.pth",
    "..", ".", "sub/../../outside.pth", "model.pth\0", "x" * 5000, "config.json", "", "a/b/c.pth", "loop.pth",
]  # fmt: skip
EVIL = "from pathlib import Path\nPath({canary!r}).touch()\n"


class Models:
    """A good model of a plugin, from which bad ones are made.

    Attributes:
        config: its ``config.json``.
        weights: its file of weights.
        resume: reads the newest state of a folder of checkpoints.
        state: the content and name of a good state.
        begin: starts a training's network with the weights that a file names.
    """

    def __init__(
        self,
        config: dict[str, Any],
        weights: bytes,
        resume: Callable[[Path], object],
        state: tuple[str, bytes],
        begin: Callable[[Path], object],
    ) -> None:
        self.config, self.weights, self.resume, self.state, self.begin = config, weights, resume, state, begin


def unet_models(folder: Path) -> Models:
    """Those of the U-Net plugin, whose network is as small as it can be.

    Raises:
        Missing: the plugin is not installed.
    """
    try:
        import ravenml_unet.models.unet as unet
    except ImportError:
        raise Missing("the plugin ravenml_unet: make install") from None
    import torch

    from ravenml.data.project import ObjClass
    from ravenml_unet.checkpoints import State, newest_state
    from ravenml_unet.export import model_config
    from ravenml_unet.models.registry import create_model
    from ravenml_unet.pretrained import inspect_weights
    from ravenml_unet.settings import UNetSettings
    from ravenml_unet.weights import bare_state, load_initial_weights, save_torch

    torch.set_num_threads(1)
    unet.FILTERS = (1, 2, 2, 2, 2)
    size = {"width": SIDE, "height": SIDE}
    classes = [ObjClass("__bg__", "bitmap", "#000000"), ObjClass("car", "bitmap", "#FF0000")]
    settings = UNetSettings.model_validate({"input_size": size})
    network = create_model("UNet", 2)
    weights = save_torch(folder / "good.pth", bare_state(network)).read_bytes()
    state = State(1, 0, 2, "model_001.pth", {"state": {}}, {}, {"loss": torch.ones(1)}, {"a": 1}, {"b": 2})
    content = save_torch(folder / "good.pt", vars(state)).read_bytes()

    def begin(path: Path) -> None:
        start = inspect_weights(path)
        validate(UNetSettings, {"weights": str(path)}, "--weights")
        load_initial_weights(network, start, "UNet", replace_head=True)

    return Models(model_config(settings, classes), weights, newest_state, ("state_001.pt", content), begin)


@contextmanager
def attack(folder: Path, models: Models) -> Iterator[Callable[[random.Random], str]]:
    """Trials that load, resume or begin with a bad file made from good ones, in ``folder``."""
    canary = folder / "canary"
    (folder / "evil.py").write_text(EVIL.format(canary=str(canary)))
    (folder / "outside.pth").write_bytes(models.weights)
    image = np.zeros((1, 20, 30, 3), np.uint8)

    def use(path: Path) -> None:
        predictor = load_predictor(path, "cpu")
        if max(predictor.input_size) <= 4 * SIDE:
            assert len(predictor.predict(image)) == 1

    load_predictor(write_folder(folder / "good", models.config, models.weights), "cpu").predict(image)
    number = 0

    def trial(rng: random.Random) -> str:
        nonlocal number
        number += 1
        place = folder / f"trial-{number}"
        place.mkdir()
        path, read = make(rng, place, models)
        try:
            with guard(folder):
                (read or rng.choice([use, models.begin] if path.suffix == ".tar" else [use]))(path)
        except RavenError as error:
            assert str(error) and "\0" not in str(error)
            return "refused"
        finally:
            assert not canary.exists() and "evil" not in sys.modules, "a model's code was imported"
            remove(place)
        return "loaded"

    before = Path.cwd()
    os.chdir(folder)  # where modules of the user's own are found
    try:
        yield trial
    finally:
        os.chdir(before)


def make(rng: random.Random, place: Path, models: Models) -> tuple[Path, Callable[[Path], object] | None]:
    """A bad model or state; and what reads it, where that is not a loader of models."""
    config: bytes = json.dumps(models.config).encode()
    weights = models.weights
    match rng.choice(["config", "name", "file", "weights", "weights", "tar", "members", "state", "bare"]):
        case "config":
            config = mutate_document(rng, models.config)
        case "name":
            config = json.dumps(changed(models.config, "architecture", rng.choice(NAMES))).encode()
        case "file":
            config = json.dumps(changed(models.config, "weights", rng.choice(FILES))).encode()
        case "weights":
            weights = bad_weights(rng, weights)
        case "tar":
            tar = pack(write_folder(place / "m", models.config, weights), place / "m.tar")
            tar.write_bytes(mutate_bytes(rng, tar.read_bytes()))
            return tar, None
        case "members":
            return bad_members(
                rng, pack(write_folder(place / "m", models.config, weights), place / "m.tar")
            ), None
        case "state":
            name, content = models.state
            (place / "checkpoints").mkdir()
            (place / "checkpoints" / "model_001.pth").write_bytes(weights)
            (place / "checkpoints" / name).write_bytes(bad_weights(rng, content))
            return place / "checkpoints", models.resume
        case "bare":
            path = place / f"bare{Path(models.config['settings']['weights']).suffix}"
            path.write_bytes(bad_weights(rng, weights))
            return path, models.begin
    model = write_folder(place / "m", config, weights)
    model.joinpath("link.pth").symlink_to("../../outside.pth")
    model.joinpath("loop.pth").symlink_to("loop.pth")
    os.mkfifo(model / "pipe.pth")
    if rng.random() < 0.5:
        return model, None
    for odd in ("link.pth", "loop.pth", "pipe.pth"):
        (model / odd).unlink()
    return pack(model, place / "m.tar"), None


def changed(config: dict[str, Any], field: str, value: object) -> dict[str, Any]:
    """The config with another value in its settings."""
    return {**config, "settings": {**config["settings"], field: value}}


def write_folder(folder: Path, config: dict[str, Any] | bytes, weights: bytes) -> Path:
    """A model's folder; the weights have the name that a good config says."""
    folder.mkdir()
    (folder / "config.json").write_bytes(config if isinstance(config, bytes) else json.dumps(config).encode())
    for name in ("model.pth", "model.npz"):
        (folder / name).write_bytes(weights)
    return folder


def pack(folder: Path, target: Path) -> Path:
    """The folder as a tar."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return target


def bad_members(rng: random.Random, tar: Path) -> Path:
    """The tar with one more member: a link, a device, one that leaves the folder or is there twice."""
    member = tarfile.TarInfo(
        rng.choice(["../out", "/tmp/out", "model.pth", "config.json", "x", "a/../../out", "."])
    )
    member.type = rng.choice(
        [
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.CHRTYPE,
            tarfile.FIFOTYPE,
            tarfile.REGTYPE,
            tarfile.DIRTYPE,
            b"S",
        ]
    )
    member.linkname = rng.choice(["../outside.pth", "/etc/passwd", "config.json", ""])
    content = rng.randbytes(rng.choice([0, 10])) if member.type == tarfile.REGTYPE else b""
    member.size = len(content)
    with tarfile.open(tar, "a") as file:
        file.addfile(member, BytesIO(content))
    return tar


class Call:
    """Unpickled, it calls something."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


def bad_weights(rng: random.Random, good: bytes) -> bytes:
    """Bytes with changes; an archive with a changed part; a pickle that runs something; or nonsense."""
    evil = Call(rng.choice([os.system, os.mkdir, eval, __import__, print]), "evil")
    match rng.choice(["bytes", "part", "part", "pickle", "nested", "objects", "huge"]):
        case "bytes":
            return mutate_bytes(rng, good)
        case "part":
            return changed_part(rng, good)
        case "pickle":
            return pickle.dumps(evil, protocol=rng.choice([0, 2, 4, 5]))
        case "nested":
            return replaced_pickle(good, pickle.dumps({"only.weight": evil, "x": [evil]}, protocol=2))
        case "objects":
            stream = BytesIO()
            np.savez(stream, a=np.array([evil], object))
            return stream.getvalue()
        case _:
            stream = BytesIO()
            np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call]
                stream, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
            )
            return replaced_array(good, stream.getvalue()) + struct.pack("<Q", rng.getrandbits(60))


def changed_part(rng: random.Random, good: bytes) -> bytes:
    """An archive one of whose files is changed, and whose checksums are right."""
    parts = read_parts(good)
    name = rng.choice(list(parts))
    return write_parts({**parts, name: mutate_bytes(rng, parts[name])})


def replaced_pickle(good: bytes, content: bytes) -> bytes:
    """torch's archive with another pickle."""
    return write_parts(
        {name: content if name.endswith("data.pkl") else x for name, x in read_parts(good).items()}
    )


def replaced_array(good: bytes, content: bytes) -> bytes:
    """numpy's archive with arrays that say that they are larger than any memory."""
    return write_parts(
        {name: content if name.endswith(".npy") else x for name, x in read_parts(good).items()}
    )


def read_parts(archive: bytes) -> dict[str, bytes]:
    """The files of a ZIP file."""
    with zipfile.ZipFile(BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def write_parts(parts: dict[str, bytes]) -> bytes:
    """A ZIP file, not compressed, as both libraries write it."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return stream.getvalue()


def remove(folder: Path) -> None:
    """Remove what a trial wrote; links are not followed."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    with attack(folder, unet_models(folder)) as trial:
        yield trial
