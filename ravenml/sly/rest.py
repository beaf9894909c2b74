"""What ``src/rest_inference.py`` of older plugins calls: a network behind HTTP, as their clients expect it.

``POST /model/inference`` takes a form with the parts ``image`` and, if wanted, ``meta``, ``annotation`` and
``mode`` (JSON), and answers with an annotation; ``POST /model/get_out_meta`` answers with a ``meta.json``.
`ModelDeploy` serves the same network with more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.deploy import ModelDeploy
from ravenml.sly.inference import (
    InferenceModeBase,
    InferenceModeFactory,
    InfModeFullImage,
    SingleImageInferenceBase,
    get_effective_inference_mode_config,
)
from ravenml.sly.project_meta import ProjectMeta
from ravenml.sly.reporting import logger

if TYPE_CHECKING:
    from starlette.applications import Starlette

REST_INFERENCE_PORT = "rest_inference_port"  # the environment variable with the port
MODEL = "model"
GET_OUTPUT_META = "get_out_meta"
INFERENCE = "inference"
SUPPORTED_REQUEST_TYPES = [GET_OUTPUT_META, INFERENCE]
IMAGE = "image"
ANNOTATION = "annotation"
OUTPUT_META = "output_meta"
MODE = "mode"
META = "meta"
GPU_DEVICE = "GPU_DEVICE"
_USUAL_PORT = 5000
_MAX_BODY = 256 << 20


class InactiveRPCServicer:
    """Answers requests with a network; it speaks to no Supervisely instance.

    Args:
        logger: ignored.
        model_applier: the network.
        conn_config: ignored.
        cache: ignored.
    """

    def __init__(
        self,
        logger: object = None,
        model_applier: SingleImageInferenceBase | None = None,
        conn_config: object = None,
        cache: object = None,
    ) -> None:
        assert model_applier is not None
        self.model_applier = model_applier

    def annotate(self, image: bytes, known: Mapping[str, Any]) -> JsonObject:
        """The annotation of an image file's content; ``known`` has ``meta``, ``annotation`` and ``mode``."""
        array = images.read_bytes(image)
        mode, meta = self._mode(known)
        given = known.get(ANNOTATION)
        ann = Annotation(array.shape[:2]) if given is None else Annotation.from_json(given, meta)
        return mode.infer_annotate(array, ann).to_json()

    def out_meta(self, known: Mapping[str, Any]) -> JsonObject:
        """The classes and tags of annotations that it answers with."""
        return self._mode(known)[0].out_meta.to_json()

    def _mode(self, known: Mapping[str, Any]) -> tuple[InferenceModeBase, ProjectMeta]:
        meta = ProjectMeta.from_json(known.get(META) or {})
        default = InfModeFullImage.make_default_config(model_result_suffix="_model")
        config = get_effective_inference_mode_config(known.get(MODE) or {}, default)
        return InferenceModeFactory.create(config, meta, self.model_applier), meta


class ModelRest(ModelDeploy):
    """A network for `RestInferenceServer`.

    Attributes:
        serv_instance: what answers requests.
    """

    def __init__(
        self,
        model_applier_cls: Callable[..., SingleImageInferenceBase],
        rpc_servicer_cls: Callable[..., InactiveRPCServicer] = InactiveRPCServicer,
    ) -> None:
        super().__init__(model_applier_cls)
        self.serv_instance = rpc_servicer_cls(model_applier=model_applier_cls(task_model_config={}))

    def run(self) -> None:
        """It is served by `RestInferenceServer`."""
        raise RuntimeError("Pass serv_instance to RestInferenceServer, and call its run().")


class RestInferenceServer:
    """Serves a network on this machine, behind a token, like ``raven serve``.

    Args:
        model: what answers requests.
        name: ignored.
        port: the port; by default 5000, or the next free one.
    """

    def __init__(self, model: InactiveRPCServicer, name: str = "", port: str | int | None = None) -> None:
        self._model, self._port = model, int(port) if port else None

    def run(self) -> None:
        """Serve until SIGTERM.  ``RAVENML_HOST`` names another address than 127.0.0.1."""
        from ravenml.serve.access import Access, choose_token, hide_token, listen
        from ravenml.serve.security import Guard
        from ravenml.serve.server import HOST, need_extra, serve_app

        need_extra()
        host = os.environ.get(HOST, "127.0.0.1")
        opened = listen(host, self._port, _USUAL_PORT)
        access = Access(choose_token(), host, opened.getsockname()[1])
        hide_token()
        for line in access.announce("Open:", terminal=os.isatty(1)):
            logger.info(line)
        serve_app(Guard(self.make_app(), access=access, max_body=_MAX_BODY), opened)

    def make_app(self) -> Starlette:
        """The application, without its guard."""
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Route

        async def read(request: Request) -> dict[str, Any]:
            async with request.form() as form:
                return {name: await _content(part) for name, part in form.items()}

        async def answer(request: Request, compute: Callable[[dict[str, Any]], JsonObject]) -> Response:
            try:
                return JSONResponse(await run_in_threadpool(compute, await read(request)))
            except (InputError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)

        def annotate(parts: dict[str, Any]) -> JsonObject:
            if IMAGE not in parts:
                raise InputError("The form has no part `image` with an image file.")
            return self._model.annotate(parts[IMAGE], _parsed(parts))

        async def inference(request: Request) -> Response:
            return await answer(request, annotate)

        async def out_meta(request: Request) -> Response:
            return await answer(request, lambda parts: self._model.out_meta(_parsed(parts)))

        return Starlette(
            routes=[
                Route(f"/{MODEL}/{INFERENCE}", inference, methods=["POST"]),
                Route(f"/{MODEL}/{GET_OUTPUT_META}", out_meta, methods=["POST"]),
            ]
        )


async def _content(part: Any) -> bytes:
    return part.encode() if isinstance(part, str) else bytes(await part.read())


def _parsed(parts: Mapping[str, bytes]) -> JsonObject:
    """The parts that are JSON."""
    found: JsonObject = {}
    for name in (META, ANNOTATION, MODE):
        if name in parts:
            try:
                found[name] = json.loads(parts[name])
            except (ValueError, RecursionError):
                raise InputError(f"The part `{name}` of the form is not JSON.") from None
    return found
