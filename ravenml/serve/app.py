"""The web application of ``raven serve``.

The one module that imports FastAPI, which looks the names in annotations up among a module's own.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message

from ravenml.common.io import JsonObject
from ravenml.data.editable_annotation import EditableAnnotation
from ravenml.errors import InputError, RavenError
from ravenml.infer.modes.base import Mode
from ravenml.serve.access import Access
from ravenml.serve.admission import AdmissionControl, Limits, QueueFull, check_windows
from ravenml.serve.allowed_paths import AllowedPaths
from ravenml.serve.engine import Engine, Stopped, TooLate, Work
from ravenml.serve.loaded_model import ServedModel
from ravenml.serve.openapi import PREDICT
from ravenml.serve.predict_params import PredictParams
from ravenml.serve.request_body import Image, read_request
from ravenml.serve.responses import MEDIA
from ravenml.serve.security import BodyRefused, Guard
from ravenml.serve.uploads import Refused, read_file
from ravenml.serve.urls import AllowedUrls, NotAllowed, NotFetched

_WEB = Path(__file__).parent / "web"
_PAGES = {  # the address, the file, its type
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # of histograms
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_FETCHERS = 8  # addresses that are fetched from at once


@dataclass
class Serving:
    """How a model is served.

    Attributes:
        served: the model.
        access: who may use it.
        limits: how much is taken on at once.
        urls: where images may be fetched from.
        roots: below which folders images of the server's own may be named; None where none may.
        max_batch: how many images go through the network together; by default as the model says.
        max_wait: how many seconds the network waits for images that are still being decoded.
    """

    served: ServedModel
    access: Access
    limits: Limits = field(default_factory=Limits)
    urls: AllowedUrls = field(default_factory=AllowedUrls)
    roots: AllowedPaths | None = None
    max_batch: int | None = None
    max_wait: float = 0.005


def make_app(serving: Serving) -> FastAPI:
    """The application, its threads running; its shutdown finishes what was begun."""
    handler = _PredictHandler(serving)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(handler.stop)

    app = FastAPI(
        title=f"ravenML: {serving.served.source.name}",
        description="A trained model served over HTTP.",
        version=_version(),
        docs_url=None,  # FastAPI's own page loads from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, access=serving.access, max_body=4 * serving.limits.max_bytes)

    @app.exception_handler(RavenError)
    async def answer_error(request: Request, error: RavenError) -> Response:
        return handler.error_response(error)

    @app.post("/predict", summary="Predict images", openapi_extra=PREDICT, response_model=None)
    async def predict(request: Request) -> Response:
        """Predict one image, or several.

        The image is the body itself, or a part of a form (several are several parts), or it is fetched from
        `url`.  Every parameter may stand in the address or in the form.
        """
        return await handler.predict(request)

    @app.get("/healthz", summary="Health check")
    async def healthz() -> dict[str, str]:
        """`{"status": "ok"}`; 503 once it cannot predict any more."""
        if not handler.engine.alive:
            raise Stopped("The network's thread has ended; start the server again.")
        return {"status": "ok"}

    description = serving.served.describe()

    @app.get("/model", summary="Model information")
    async def model() -> JsonObject:
        """Classes (with the numbers that masks have), input size, modes, device, and where it comes from."""
        return description

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """In Prometheus' text format."""
        content, kind = handler.metrics.text()
        return Response(content, media_type=kind)

    @app.get("/token", include_in_schema=False)
    async def token() -> Response:
        """For the page that shows how programs call the server; a browser has a cookie alone."""
        return JSONResponse({"token": serving.access.token}, headers={"cache-control": "no-store"})

    for address, (name, kind) in _PAGES.items():
        content = (_WEB / name).read_bytes()

        async def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

        app.add_api_route(address, page, include_in_schema=False)
    return app


class Metrics:
    """The counters of one server; ``/metrics`` tells Prometheus those of all server processes together."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = of = CollectorRegistry()
        self.requests = Counter("raven_requests", "Requests to /predict, by status.", ["status"], registry=of)
        self.images = Counter("raven_images", "Images answered.", registry=of)
        self.seconds = Histogram("raven_request_seconds", "Request duration.", buckets=_SECONDS, registry=of)
        self.spent = Histogram(
            "raven_stage_seconds",
            "Time per processing stage of an image.",
            ["stage"],
            buckets=_SECONDS,
            registry=of,
        )
        self.batches = Histogram("raven_batch_images", "Images per batch.", buckets=_SIZES, registry=of)
        self.network = Histogram(
            "raven_network_seconds", "Inference time of a batch.", buckets=_SECONDS, registry=of
        )
        self.inside = Gauge(
            "raven_images_inside", "Images in progress.", multiprocess_mode="livesum", registry=of
        )

    def record_batch(self, size: int, seconds: float) -> None:
        """A batch went through the network."""
        self.batches.observe(size)
        self.network.observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


class _PredictHandler:
    """What answers ``/predict``; its methods run in the event loop."""

    def __init__(self, serving: Serving) -> None:
        self.serving, self.limits = serving, serving.limits
        self.metrics = Metrics()
        self.admission = AdmissionControl(serving.limits)
        self.engine = Engine(
            serving.served, serving.max_batch, serving.max_wait, observe=self.metrics.record_batch
        )
        self._fetchers = ThreadPoolExecutor(_FETCHERS, "fetch")

    def stop(self) -> None:
        """Finish what was begun."""
        self.engine.stop()
        self._fetchers.shutdown(cancel_futures=True)

    async def predict(self, request: Request) -> Response:
        """Answer a request, or say why not."""
        began = time.monotonic()
        arrived = asyncio.Event()
        try:
            async with asyncio.timeout(self.limits.deadline):
                answer = await self._predict(request, began + self.limits.deadline, arrived)
        except TimeoutError:
            seconds = f"within {self.limits.deadline:g} s"
            late = TooLate(f"Timeout: no answer {seconds}.")
            slow = Refused(f"Timeout: the request has not arrived {seconds}; send it again.", 408)
            answer = self.error_response(late if arrived.is_set() else slow)
        except RavenError as error:
            answer = self.error_response(error)
        except HTTPException as error:  # a form that is none
            answer = JSONResponse({"detail": f"The form cannot be read: {error.detail}"}, error.status_code)
        except ClientDisconnect:
            answer = self.error_response(Refused("The client disconnected.", 400))
        except Exception as error:
            answer = self.error_response(RavenError(f"The model failed: {type(error).__name__}: {error}"))
        self.metrics.inside.set(self.admission.images)
        self.metrics.requests.labels(str(answer.status_code)).inc()
        self.metrics.seconds.observe(time.monotonic() - began)
        return answer

    async def _predict(self, request: Request, deadline: float, arrived: asyncio.Event) -> Response:
        with ExitStack() as inside:
            add_bytes = inside.enter_context(self.admission.reserve_bytes())
            request = _counted(request, add_bytes, arrived)
            parsed = await read_request(request, self.limits)
            # Only now: who sends slowly must not take the place of those who have sent.
            inside.enter_context(self.admission.reserve_images(1))
            self.metrics.inside.set(self.admission.images)
            params, images = parsed.params, parsed.images
            count = len(images) + len(params.urls) + len(params.paths)
            if count > self.limits.queue:
                raise Refused(f"{count} images exceed the limit of {self.limits.queue}.", 413)
            inside.enter_context(self.admission.reserve_images(count - 1))
            mode = self.serving.served.mode(params)
            images = [*images, *await self._fetch(params, deadline, add_bytes)]
            for image in images:
                image.check(self.limits)
            inside.enter_context(self.admission.reserve_pixels(sum(image.pixels for image in images)))
            works = [
                Work(partial(_read, image, mode, self.limits), params, mode, deadline) for image in images
            ]
            contents = await self._run(works, request)
            self.admission.record_answers(count)
        self.metrics.images.inc(count)
        for work in works:
            for stage, seconds in work.spent.items():
                self.metrics.spent.labels(stage).observe(seconds)
        body, kind = _combine(contents, [image.name for image in images], params)
        return Response(body, media_type=kind, headers={"server-timing": _server_timing(works[0].spent)})

    def error_response(self, error: RavenError) -> Response:
        """An error as an answer: its sentence, with the status that fits."""
        headers: dict[str, str] = {}
        status = 500
        if isinstance(error, Refused | BodyRefused):
            status = error.status
        elif isinstance(error, NotAllowed):
            status = 403
        elif isinstance(error, NotFetched):
            status = 502
        elif isinstance(error, QueueFull):
            status, headers = 503, {"retry-after": str(error.seconds)}
        elif isinstance(error, Stopped):
            status, headers = 503, {"retry-after": str(self.limits.cap_wait(5))}
        elif isinstance(error, TooLate):
            status = 504
        elif isinstance(error, InputError):
            status = 400
        return JSONResponse({"detail": str(error)}, status, headers)

    async def _run(self, works: Sequence[Work], request: Request) -> list[bytes]:
        """The answers of all images; nothing more is computed once one has failed or the client has left."""
        waiting = [asyncio.wrap_future(self.engine.submit(work)) for work in works]
        answered = asyncio.gather(*waiting)
        answered.add_done_callback(_take_notice)
        left = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((answered, left), return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise ClientDisconnect
            return answered.result()
        finally:
            left.cancel()
            for one in waiting:
                one.cancel()

    async def _fetch(
        self, params: PredictParams, deadline: float, add_bytes: Callable[[int], None]
    ) -> list[Image]:
        """The images that the request names, once every name was found to be allowed."""
        for url in params.urls:
            self.serving.urls.check(url)
        paths = [self._resolve(path) for path in params.paths]

        def fetch(url: str) -> Image:
            content = self.serving.urls.fetch(url, self.limits.max_bytes, deadline - time.monotonic())
            return Image(PurePath(url).name[:200] or "image", content)

        def read(path: Path) -> Image:
            return Image(path.name, read_file(path, self.limits.max_bytes))

        async def counted(get: Callable[..., Image], place: str | Path) -> Image:
            image = await asyncio.get_running_loop().run_in_executor(self._fetchers, get, place)
            add_bytes(len(image.content))
            return image

        begun = [counted(fetch, url) for url in params.urls] + [counted(read, path) for path in paths]
        return list(await asyncio.gather(*begun))

    def _resolve(self, path: str) -> Path:
        if self.serving.roots is None:
            raise NotAllowed("path: this server may not read local files; start it with --root FOLDER.")
        try:
            return self.serving.roots.resolve(path)
        except InputError as error:
            raise NotAllowed(f"path: {error}") from None


def _read(image: Image, mode: Mode, limits: Limits) -> tuple[NDArray[np.uint8], EditableAnnotation]:
    pixels, document = image.read(limits)
    check_windows(mode, document.size, limits)
    return pixels, document


def _take_notice(answered: asyncio.Future[list[bytes]]) -> None:
    """Where a client has left, nobody else asks what became of its request; asyncio would print that."""
    if not answered.cancelled():
        answered.exception()


def _combine(contents: Sequence[bytes], names: Sequence[str], params: PredictParams) -> tuple[bytes, str]:
    """One answer as it is; several annotations as a list, several pictures as a ZIP file."""
    if len(contents) == 1:
        return contents[0], MEDIA[params.answer]
    if params.answer == "annotation":
        return b"[" + b",".join(contents) + b"]", MEDIA[params.answer]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # PNGs are not made smaller by packing
        for number, (name, content) in enumerate(zip(names, contents, strict=True)):
            stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in PurePath(name).stem)
            archive.writestr(f"{number:03d}_{stem}.png", content)
    return file.getvalue(), "application/zip"


def _counted(request: Request, add_bytes: Callable[[int], None], arrived: asyncio.Event) -> Request:
    """The request, whose bytes are counted as they come; ``arrived`` is set with the last of them."""

    async def receive() -> Message:
        message = await request.receive()
        add_bytes(len(message.get("body", b"")))
        if not message.get("more_body", False):
            arrived.set()
        return message

    return Request(request.scope, receive)


def _server_timing(spent: dict[str, float]) -> str:
    return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in spent.items())


def _version() -> str:
    from ravenml import __version__

    return __version__
