"""Tars of models and runs, TensorBoard's files and scores with anything in them: read, or refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ravenml.common.io import SCRATCH
from ravenml.errors import RavenError
from ravenml.runs.archive import export_run, import_run
from ravenml.runs.exporters.tensorboard import EventFileWriter
from ravenml.runs.process.tfevents import EventFile
from ravenml.store.model_state import check_model, pack_model, read_config, unpack_model
from ravenml.train.scores import Scores
from torture.annotation_formats import replace_by_something_else
from torture.mutate import mutate_bytes, mutate_document
from torture.runner import guard

TRIALS = 10_000

CONFIG: dict[str, Any] = {
    "settings": {"plugin": "unet", "weights": "model.pth", "input_size": {"width": 64, "height": 64}},
    "out_classes": [{"title": "car", "shape": "bitmap", "color": "#FF0000"}],
    "class_title_to_idx": {"car": 1, "__bg__": 0},
}
RECORD: dict[str, Any] = {
    "v": 1, "id": "20260101-000000-aaaaaa", "plugin": "net", "kind": "train", "tags": [],
    "created": "2026-01-01T00:00:00.000Z", "attempts": [{"started": "2026-01-01T00:00:00.000Z"}],
    "process": {"host": "elsewhere", "pid": 1},
    "result": {"status": "completed", "finished": "2026-01-01T00:01:00.000Z", "metrics": {"val/miou": 0.5}},
}  # fmt: skip
NAMES = [
    "../escape", "/tmp/escape", "a/../../escape", "x" * 300, "x/" * 3000 + "y", "a\0b", "", ".", "..",
    "config.json/x", "config.json", "model.pth/..", "\udcff", "C:\\x", "a\nb", "/",
    "./config.json", "MANIFEST.json",
]  # fmt: skip
TYPES = [
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE,
    tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME,
    b"Z",
]  # fmt: skip


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """One of each is written once; each trial breaks a copy of one."""
    os.environ[SCRATCH] = str(folder)  # nobody looks for these files after a power cut
    home = Path(os.environ["RAVENML_STORAGE_PATH"])
    specimens = list(_specimens(folder))
    path, out = folder / "trial" / "broken", folder / "trial" / "out"

    def trial(rng: random.Random) -> str:
        for place in (folder / "trial", home / "runs"):
            shutil.rmtree(place, ignore_errors=True)
        path.parent.mkdir()
        content, read = rng.choice(specimens)
        path.write_bytes(_broken(rng, content))
        if rng.random() < 0.05:
            replace_by_something_else(rng, path)
        with guard(folder):
            try:
                read(path, out)
            except RavenError as error:
                said = str(error)
                if not ("\n" not in said and len(said) < 20_000):
                    raise AssertionError(f"no sentence: {said!r:.300}") from None
                return "refused"
            return "read"

    yield trial


def _specimens(folder: Path) -> Iterator[tuple[bytes, Callable[[Path, Path], object]]]:
    (folder / "model.pth").write_bytes(b"weights" * 100)
    packed = pack_model(folder / "model-state.tar", CONFIG, [folder / "model.pth"]).read_bytes()
    yield packed, lambda path, out: read_config(path)
    yield packed, lambda path, out: check_model(path)
    yield packed, lambda path, out: unpack_model(path, out)
    run = folder / "run" / RECORD["id"]
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(RECORD))
    (run / "events.jsonl").write_text('{"event_type": "EventType.PROGRESS", "current": 1}\n')
    (run / "checkpoints" / "a.pth").write_bytes(b"x" * 500)
    for name in ("run.tar", "run.tar.gz"):
        export_run(run, folder / name)
        yield (folder / name).read_bytes(), lambda path, out: import_run(path)
    scores = Scores.segmentation(["a", "b"], np.ones((2, 2, 2), np.int64), ["bg", "car"])
    scores.save(folder / "scores.npz")
    yield (folder / "scores.npz").read_bytes(), lambda path, out: Scores.load(path).values()
    writer = EventFileWriter(folder / "boards")
    for step in range(3):
        writer.add_scalar("val/miou", 0.5, step, 1.7e9)
        writer.add_picture("val/picture", b"\x89PNG", 4, 4, step, 1.7e9)
    writer.close()
    board = next((folder / "boards").iterdir())
    yield board.read_bytes(), lambda path, out: list(EventFile(path).read_new())


def _broken(rng: random.Random, content: bytes) -> bytes:
    """The bytes changed; or, of a tar, another tar that has the same members and odd ones."""
    if rng.random() < 0.5:
        return mutate_bytes(rng, content)
    packed = content.startswith(b"\x1f\x8b")
    plain = gzip.decompress(content) if packed else content
    try:
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            members = [(one, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    except tarfile.TarError:
        return mutate_bytes(rng, content)
    plain = _odd_tar(rng, members)
    return gzip.compress(plain, 1) if packed else plain


def _odd_tar(rng: random.Random, members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    made = io.BytesIO()
    how = rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=made, mode="w", format=how) as tar:
        at = rng.randrange(len(members))
        for number, (info, content) in enumerate(members):
            if number != at:
                pass
            elif info.name.endswith(".json") and rng.random() < 0.5:
                content = mutate_document(rng, json.loads(content))
            elif rng.random() < 0.3:
                info.type, info.linkname = rng.choice(TYPES), rng.choice(["/etc/passwd", "..", "x" * 200])
            elif rng.random() < 0.5:
                info.name = rng.choice([rng.choice(NAMES), f"{info.name}/{rng.choice(NAMES)}"])
            else:
                key = rng.choice(["size", "path", "mtime", "linkpath", "GNU.sparse.map", "hdrcharset", "uid"])
                info.pax_headers = {key: rng.choice(["-1", "nan", "9" * 30, "a\0b", "x" * 3000, "", "1,2,3"])}
            info.size = len(content)
            info.mtime = rng.choice([info.mtime, -1, 1e300])
            with suppress(ValueError, OverflowError):  # Python itself does not write it
                tar.addfile(info, io.BytesIO(content))
    plain = bytearray(made.getvalue())
    if rng.random() < 0.2:  # a field of the first header, with a checksum that is right again
        at = rng.choice([0, 100, 124, 136, 156, 257, 345])
        plain[at : at + 8] = rng.choice([b"\xff" * 8, b"\x80" + b"\0" * 7, b"-0000001", rng.randbytes(8)])
        plain[148:156] = b" " * 8
        plain[148:156] = b"%06o\0 " % sum(plain[:512])
    return bytes(plain)
