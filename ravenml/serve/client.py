"""A client for ``raven serve``."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from ravenml.common.http_client import HttpClient, Response, Unreachable
from ravenml.common.io import JsonObject
from ravenml.common.parsing import parse_json
from ravenml.errors import InputError, RavenError
from ravenml.serve.access import is_loopback

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = str | os.PathLike[str] | bytes | NDArray[np.uint8]

Answer = Literal["annotation", "mask", "overlay"]
_TOKEN = "RAVENML_TOKEN"


class Client:
    """A model that somebody serves.

    Args:
        url: the server's address; the one that ``raven serve`` prints carries the token already.
        token: the token; by default the address's, or ``RAVENML_TOKEN``.
        timeout: seconds to wait for an answer.
        patience: seconds to go on trying while the server's queue is full.

    Raises:
        InputError: the address is not an http or https one.
    """

    def __init__(
        self, url: str, token: str | None = None, timeout: float = 60.0, patience: float = 60.0
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url!r} is not an address of a server; write http://127.0.0.1:8000.")
        carried = parse_qs(parts.query).get("token", [None])[0]
        self.url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self.timeout, self.patience = timeout, patience
        self._token = token or carried or os.environ.get(_TOKEN)
        # Token and images go to the server alone: to no proxy between this machine and itself, and nowhere
        # that an answer leads.
        self._http = HttpClient(self.url, use_proxies=not is_loopback(parts.hostname))

    def predict(
        self,
        image: Image | Sequence[Image] | None = None,
        *,
        answer: Answer = "annotation",
        mode: str | JsonObject | None = None,
        window: int | tuple[int, int] | None = None,
        overlap: int | tuple[int, int] | None = None,
        classes: Sequence[str] | None = None,
        threshold: float | None = None,
        url: str | None = None,
    ) -> Any:
        """Predict an image, or several.

        Args:
            image: a file's path, a file's bytes, or an array, uint8 RGB ``(H, W, 3)``; a list of these for
                several.
            answer: ``annotation``, ``mask`` or ``overlay``.
            mode: an inference mode's name, or an object with its fields.
            window: the sliding window's side in pixels, or its (width, height).
            overlap: by how many pixels windows overlap, or (x, y).
            classes: only these.
            threshold: what the model is less sure of is left out; 0 to 1.
            url: instead of ``image``, an address that the server fetches.

        Returns:
            ``annotation``: Supervisely's annotation, a dict.  ``mask``: a class number for each pixel, uint8
            or uint16 ``(H, W)``, 0 for nothing; `model` tells the numbers.  ``overlay``: uint8 RGB
            ``(H, W, 3)``.  Of several images, a list of these.

        Raises:
            InputError: something that was given cannot be used.
            RavenError: the server fails, is full for longer than the client's patience, or is not there.
        """
        if (image is None) == (url is None):
            raise InputError("Give either an image or a url.")
        given: list[tuple[str, str]] = [("answer", answer)]
        if mode is not None:
            given.append(("mode", mode if isinstance(mode, str) else json.dumps(mode)))
        given += [
            (name, _size(value))
            for name, value in (("window", window), ("overlap", overlap))
            if value is not None
        ]
        given += [("classes", one) for one in classes or ()]
        if threshold is not None:
            given.append(("threshold", repr(float(threshold))))
        if url is not None:
            given.append(("url", url))
        several = isinstance(image, list | tuple)
        listed: Sequence[Any] = [] if image is None else image if isinstance(image, list | tuple) else [image]
        images = [_as_file(one) for one in listed]
        if several and not images:
            return []
        if len(images) == 1:
            body, kind = images[0][1], "application/octet-stream"
        else:
            body, kind = _form(images)
        content, sent = self._request(f"/predict?{urlencode(given)}", body, kind)
        answers = _read(content, sent, answer)
        return answers if several else answers[0]

    def model(self) -> JsonObject:
        """Model information: classes, input size, modes, and where the model comes from."""
        description: JsonObject = parse_json(self._request("/model")[0], self.url)
        return description

    def healthy(self) -> bool:
        """Whether the server answers, and can predict."""
        try:
            self._request("/healthz")
        except RavenError:
            return False
        return True

    def _request(self, place: str, body: bytes | None = None, kind: str = "") -> tuple[bytes, str]:
        """An answer's content and its type; a full server is asked again."""
        headers = {"Content-Type": kind} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        end = time.monotonic() + self.patience
        method = "GET" if body is None else "POST"
        while True:
            try:
                response = self._http.request(method, place, body, headers, timeout=self.timeout)
            except Unreachable as error:
                raise RavenError(f"{self.url} cannot be reached: {error}.") from None
            if response.ok:
                return response.content, response.media_type
            wait = response.headers.get("retry-after", "")
            if response.status != 503 or not wait.isdigit() or time.monotonic() + int(wait) > end:
                wrong = InputError if response.status in (400, 403, 413, 415) else RavenError
                raise wrong(f"{self.url}: {_detail(response)}")
            time.sleep(max(int(wait), 0.1))


def _as_file(image: Image) -> tuple[str, bytes]:
    """An image's name and its file's bytes."""
    if isinstance(image, bytes):
        return "image", image
    if isinstance(image, str | os.PathLike):
        path = Path(image).expanduser()
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    from ravenml.data.images import encode_png

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8":
        raise InputError(f"An image must be uint8 of shape (H, W, 3), not {image.dtype}, {image.shape}.")
    return "image.png", encode_png(image, 1)


def _form(images: Sequence[tuple[str, bytes]]) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    body = bytearray()
    for name, content in images:
        quoted = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        body += f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
    return bytes(body) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _read(content: bytes, kind: str, answer: Answer) -> list[Any]:
    if answer == "annotation":
        message = parse_json(content, "The server's answer")
        return message if isinstance(message, list) else [message]
    if kind != "application/zip":
        return [_pixels(content, answer)]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [_pixels(archive.read(name), answer) for name in archive.namelist()]


def _pixels(content: bytes, answer: Answer) -> Any:
    import cv2
    import numpy as np

    if answer == "mask":
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    from ravenml.data.images import decode_image

    return decode_image(content, Path("overlay.png"))


def _size(value: int | tuple[int, int]) -> str:
    return str(value) if isinstance(value, int) else f"{value[0]}x{value[1]}"


def _detail(response: Response) -> str:
    try:
        detail = parse_json(response.content, "")["detail"]
    except (ValueError, KeyError, TypeError):
        return f"the server answered with {response.status}."
    return detail if isinstance(detail, str) else json.dumps(detail)
