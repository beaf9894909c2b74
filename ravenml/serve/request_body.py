"""What a request to ``/predict`` brings, in whichever way it does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from ravenml.common.parsing import parse_json
from ravenml.data.bitmap import bitmap_size
from ravenml.data.decoding import check_size
from ravenml.data.editable_annotation import EditableAnnotation, parse_editable
from ravenml.data.image_header import KINDS
from ravenml.errors import InputError
from ravenml.serve.admission import Limits
from ravenml.serve.predict_params import PredictParams, parse_params
from ravenml.serve.uploads import Refused, check_upload, decode_upload, image_size

if TYPE_CHECKING:
    from fastapi import Request

_WORDS = 2**20  # bytes of parameters
_ANNOTATION = 2**24  # bytes of an image's annotation, which become many times as many when it is parsed
_PLAIN = ("application/json", "application/x-www-form-urlencoded")
_HOW = "send an image as the body or as multipart/form-data, or name one with url; /docs shows how"


@dataclass
class Image:
    """An image that was sent.

    Attributes:
        name: what messages call it.
        content: the file's bytes.
        annotation: its annotation's bytes, where the request brings one.
        pixels: how many it has, as its header says.
    """

    name: str
    content: bytes
    annotation: bytes | None = None
    pixels: int = 0

    def check(self, limits: Limits) -> None:
        """Look at the header.

        Raises:
            Refused: it is too large, or no image.
        """
        width, height = check_upload(self.content, self.name, limits.max_bytes, limits.max_pixels)
        self.pixels = width * height

    def read(self, limits: Limits) -> tuple[NDArray[np.uint8], EditableAnnotation]:
        """The image, uint8 RGB, and what is known about it; the file's bytes are let go.

        Raises:
            InputError: it is damaged, or its annotation does not fit.
        """
        image = decode_upload(self.content, self.name, limits.max_bytes, limits.max_pixels)
        self.content = b""
        if self.annotation is None:
            return image, EditableAnnotation(image.shape[:2])
        where = Path(f"annotation of {self.name}")
        if len(self.annotation) > _ANNOTATION:
            raise Refused(f"{where} has more than the {_ANNOTATION} bytes that are accepted.", 413)
        document = parse_editable(self.annotation, where)
        check_size(document.size, image, where, Path(self.name))
        _check_bitmaps(document, where)
        return image, document


@dataclass
class PredictRequest:
    """A request that was read: what it asks, and the images that it brought itself."""

    params: PredictParams
    images: list[Image] = field(default_factory=list)


async def read_request(request: Request, limits: Limits) -> PredictRequest:
    """Read a request: parameters in the address or in a form, images as the body or as parts of a form.

    Raises:
        InputError: it cannot be used; what is wrong is named.
    """
    given = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request, given, limits)
    body = await _read_body(request, limits.max_bytes)
    images: list[Image] = []
    if _is_image(body):
        images = [Image("image", body)]
    elif kind in _PLAIN and len(body) > _WORDS:
        raise Refused(f"Parameters may have at most {_WORDS} bytes; send images as they are.", 413)
    elif kind == "application/json":
        given += _read_json(body)
    elif kind == "application/x-www-form-urlencoded" and body.isascii():
        given += parse_qsl(body.decode(), keep_blank_values=True)
    elif body:
        raise Refused(f"The body is not a {KINDS} image; {_HOW}.", 415)
    return _checked(PredictRequest(parse_params(given), images))


async def _read_form(request: Request, given: list[tuple[str, str]], limits: Limits) -> PredictRequest:
    from starlette.datastructures import UploadFile

    images: list[Image] = []
    annotations: list[bytes] = []
    async with request.form(max_files=2 * limits.queue, max_fields=1000) as form:
        for name, value in form.multi_items():
            if name == "annotation":
                annotations.append(await value.read() if isinstance(value, UploadFile) else value.encode())
            elif isinstance(value, UploadFile):
                images.append(Image((value.filename or "image")[:200], await value.read()))
            else:
                given.append((name, value))
    if annotations and len(annotations) != len(images):
        raise InputError(
            f"annotation: there are {len(annotations)} for {len(images)} images; send one for each, in their "
            "order."
        )
    for image, annotation in zip(images, annotations, strict=False):
        image.annotation = annotation
    return _checked(PredictRequest(parse_params(given), images))


async def _read_body(request: Request, most: int) -> bytes:
    parts: list[bytes] = []
    count = 0
    async for part in request.stream():
        count += len(part)
        if count > most:
            raise Refused(f"The image exceeds the limit of {most} bytes.", 413)
        parts.append(part)
    return b"".join(parts)


def _read_json(body: bytes) -> list[tuple[str, str]]:
    content = parse_json(body, "The body")
    if not isinstance(content, dict):
        raise InputError(f'The body should be an object such as {{"url": "https://…"}}; {_HOW}.')
    found: list[tuple[str, str]] = []
    for name, value in content.items():
        for one in value if isinstance(value, list) else [value]:
            found.append((name, one if isinstance(one, str) else _text(one)))
    return found


def _check_bitmaps(document: EditableAnnotation, where: Path) -> None:
    """Refuse bitmaps that are larger than the image, before anything makes room for them."""
    for number, label in enumerate(document.labels):
        bitmap = label.entry.get("bitmap")
        data = bitmap.get("data") if isinstance(bitmap, dict) else None
        size = bitmap_size(data) if isinstance(data, str) else None
        if size is not None and size[0] * size[1] > document.size[0] * document.size[1]:
            raise Refused(f"{where}: objects[{number}].bitmap.data is larger than the image.", 413)


def _text(value: object) -> str:
    return json.dumps(value)  # orjson writes no integers of more than 64 bits


def _is_image(body: bytes) -> bool:
    try:
        return image_size(body) is not None
    except ValueError:
        return True  # what is wrong with it is told when it is checked
    except IndexError:
        return True


def _checked(incoming: PredictRequest) -> PredictRequest:
    if not (incoming.images or incoming.params.urls or incoming.params.paths):
        raise InputError(f"No image given; {_HOW}.")
    return incoming
