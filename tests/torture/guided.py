"""Readers fed with what Atheris makes up: it looks for bytes that reach code that none before have reached.

A trial is a few seconds of one reader, in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torture.runner import Missing

TRIALS = 100
SECONDS = 5  # of a trial
SECONDS_PER_TRIAL = 120
LONGEST, MEMORY = 10, 1024  # seconds and MiB that an input may take

Read = Callable[[bytes], object]


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """Each reader keeps what it has found, for the trials to come."""
    if importlib.util.find_spec("atheris") is None:
        raise Missing("Atheris is not installed: pip install atheris")

    def trial(rng: random.Random) -> str:
        name = rng.choice(list(READERS))
        found = folder / f"found-{name}"
        found.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "torture.guided", name, str(found), str(rng.randrange(1, 1 << 31))],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:]
        return name

    yield trial


# ------------------------------------------------------------------------- in a trial's process


def _json() -> tuple[Read, list[bytes]]:
    from ravenml.common.parsing import parse_json

    return lambda data: parse_json(data, "x.json"), [b'{"a": [1, 2.5e3, "\\u00e9", null]}']


def _yaml() -> tuple[Read, list[bytes]]:
    from ravenml.common.parsing import parse_yaml

    return lambda data: parse_yaml(data, "x.yml"), [b"a: &x [1, 2.5, '3']\nb: *x\n<<: {c: d}\n"]


def _events() -> tuple[Read, list[bytes]]:
    from ravenml.runs.events import parse
    from torture.run_events import EVENTS

    return parse, [json.dumps(event).encode() for event in EVENTS]


def _annotation() -> tuple[Read, list[bytes]]:
    from ravenml.data.annotation import parse_annotation
    from torture.sly_json import ANNOTATION

    shapes = {"car": "polygon", "roof": "bitmap", "box": "rectangle", "all": "any"}
    path = Path("a.png.json")
    return lambda data: parse_annotation(data, path, shapes), [json.dumps(ANNOTATION).encode()]


def _sly() -> tuple[Read, list[bytes]]:
    import ravenml.sly as sly
    from ravenml.common.parsing import parse_json
    from torture.sly_json import ANNOTATION, META

    meta = sly.ProjectMeta.from_json(META)

    def read(data: bytes) -> object:
        return sly.Annotation.from_json(parse_json(data, "x.json"), meta)

    return read, [json.dumps(ANNOTATION).encode()]


def _bitmap() -> tuple[Read, list[bytes]]:
    import numpy as np

    from ravenml.data.bitmap import bitmap_size, decode_bitmap, encode_bitmap

    def read(data: bytes) -> object:
        try:
            return bitmap_size(data), decode_bitmap(data)
        except ValueError as error:  # which it documents
            return error

    return read, [encode_bitmap(np.eye(7, dtype=bool)).encode()]


def _image_header() -> tuple[Read, list[bytes]]:
    import cv2
    import numpy as np

    from ravenml.data.image_header import parse_header, why_not_decodable

    image = np.zeros((5, 7, 3), np.uint8)
    kinds = [bytes(cv2.imencode(kind, image)[1]) for kind in (".png", ".jpg", ".bmp", ".webp", ".tif")]

    def read(data: bytes) -> object:
        try:
            return why_not_decodable(data, 10_000), parse_header(data)
        except (IndexError, ValueError) as error:  # which it documents
            return error

    return read, kinds


def _terminal() -> tuple[Read, list[bytes]]:
    from ravenml.common.formatting import terminal_safe

    def read(data: bytes) -> object:
        shown = terminal_safe(data.decode("utf-8", "surrogateescape"))
        assert not any((ord(one) < 32 and one != "\t") or 127 <= ord(one) < 160 for one in shown), shown
        return shown

    return read, [b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \xc2\x9b2J"]


READERS: dict[str, Callable[[], tuple[Read, list[bytes]]]] = {
    "json": _json,
    "yaml": _yaml,
    "events": _events,
    "annotation": _annotation,
    "sly": _sly,
    "bitmap": _bitmap,
    "image_header": _image_header,
    "terminal": _terminal,
}


def _main(name: str, found: Path, seed: str) -> None:
    import atheris

    with atheris.instrument_imports(include=["ravenml"]):
        read, samples = READERS[name]()
        from ravenml.errors import RavenError
    for number, sample in enumerate(samples):
        (found / f"sample-{number}").write_bytes(sample)

    def try_one(data: bytes) -> None:
        try:
            read(data)
        except RavenError as error:
            assert 0 < len(str(error)) < 20_000

    limits = [f"-max_total_time={SECONDS}", f"-timeout={LONGEST}", f"-rss_limit_mb={MEMORY}"]
    atheris.Setup(
        ["guided", *limits, f"-seed={seed}", "-max_len=4096", "-verbosity=0", f"-artifact_prefix={found}/",
         str(found)], try_one,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
