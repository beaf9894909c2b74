"""A model without a framework, served by a real uvicorn: pixels are red, or they are not."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from as_user import PATIENCE
from importlib_metadata import EntryPoint
from listening import listening
from numpy.typing import NDArray

from ravenml.data.meta import ObjClass
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.network import PredictorNetwork
from ravenml.infer.settings import InferenceRequest
from ravenml.plugin.discovery import Plugin
from ravenml.serve.access import Access
from ravenml.serve.app import Serving, make_app
from ravenml.serve.loaded_model import ServedModel

TOKEN = "the-token-of-all-these-tests"
CLASSES = [
    ObjClass("__bg__", "bitmap", "#000000"),
    ObjClass("red", "bitmap", "#FF1111"),
    ObjClass("<script>window.hacked = 1</script>", "bitmap", "#11FF11"),
]


class Tints:
    """Says how red and how green a pixel is; waits for ``gate``, and notes how many images came at once."""

    task = "segmentation"
    input_size = (16, 16)
    batch_size = 4

    def __init__(self) -> None:
        self.classes = [one.title for one in CLASSES]
        self.obj_classes = CLASSES
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []

    def predict(self, images: NDArray[np.uint8], want: str = "labels") -> Any:
        self.gate.wait(30)
        self.batches.append(len(images))
        if (images[..., 2] == 77).all(axis=(1, 2)).any():
            raise RuntimeError("this shade is too much")
        red, green = images[..., 0] / np.float32(255), images[..., 1] / np.float32(255)
        rest = 1 - np.maximum(red, green)
        said = np.stack([rest, red, green], axis=1)
        return said if want == "probabilities" else said.argmax(axis=1).astype(np.uint8)


class Spots(Tints):
    """One box around what is bright, sure by its share of the image."""

    task = "detection"

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.obj_classes = ["spot"], [ObjClass("spot", "rectangle", "#FFFF00")]

    def predict(self, images: NDArray[np.uint8], want: str = "labels") -> Any:
        found = []
        for image in images:
            rows, columns = np.nonzero(image[..., 0] > 200)
            box = [
                columns.min(),
                rows.min(),
                columns.max() + 1,
                rows.max() + 1,
                rows.size / image[..., 0].size,
                0,
            ]
            found.append(np.array([box], np.float32))
        return found


def served_by(predictor: Any) -> ServedModel:
    """What `ServedModel.load` makes of a file, made of a predictor."""
    plugin = Plugin(EntryPoint("tints", "ravenml_tints:load", "ravenml.plugins.predict"), [])
    network = PredictorNetwork(predictor, list(predictor.obj_classes))
    source = ModelSource("tiny", (Path(__file__).parent,))
    return ServedModel(source, plugin, predictor, network, InferenceRequest({}, {}, "here", {}))


@contextmanager
def serving(predictor: Any, token: str | None = TOKEN, **settings: Any) -> Iterator[Access]:
    """Serve a predictor while the block runs."""
    served = served_by(predictor)
    with listening(lambda access: make_app(Serving(served, access, **settings)), token) as access:
        yield access


def picture(color: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (20, 30)) -> bytes:
    """A PNG of ``size`` (height, width): the left half in a colour, the right half black."""
    image = np.zeros((*size, 3), np.uint8)
    image[:, : size[1] // 2] = color
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Any, content: bytes) -> None:
        self.status, self.headers, self.content = status, headers, content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def said(self) -> str:
        """The sentence of a refusal."""
        return str(self.json["detail"])

    @property
    def pixels(self) -> Any:
        return cv2.imdecode(np.frombuffer(self.content, np.uint8), cv2.IMREAD_UNCHANGED)


def post(access: Access, body: bytes | None, query: str = "", **headers: str) -> Answer:
    """POST /predict with the token."""
    return ask(access, f"/predict{query}", body, **headers)


def ask(access: Access, place: str, body: bytes | None = None, **headers: str) -> Answer:
    """Ask with the token; a body makes it a POST."""
    sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/octet-stream"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    method = "POST" if place.startswith("/predict") else "GET"
    request = urllib.request.Request(f"http://127.0.0.1:{access.port}{place}", body, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, dict[str, str]]:
    """A form of parts (name, filename, content), and the header that goes with it."""
    body = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename is not None else ""
        body += (
            f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    return body + b"--cut--\r\n", {"Content_Type": "multipart/form-data; boundary=cut"}
