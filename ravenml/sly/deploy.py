"""What ``src/deploy.py`` calls: the task's model behind HTTP, as ``raven serve`` does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ravenml.common.defaults import DEFAULT_PORT
from ravenml.common.io import read_json
from ravenml.sly.configs import MODE
from ravenml.sly.inference import PluginNetwork, SingleImageInferenceBase
from ravenml.sly.paths import TaskPaths
from ravenml.sly.reporting import EventType, logger

if TYPE_CHECKING:
    from ravenml.serve.loaded_model import ServedModel


class ModelDeploy:
    """Serves a network that was written with the SDK.

    Args:
        model_applier_cls: makes the network.
        rpc_servicer_cls: ignored: it spoke to Supervisely's server.
    """

    def __init__(
        self, model_applier_cls: Callable[[], SingleImageInferenceBase], rpc_servicer_cls: object = None
    ) -> None:
        self.model_applier_cls = model_applier_cls

    def run(self) -> None:
        """Serve until SIGTERM; ``mode`` of ``task_config.json`` is what requests begin with."""
        serve_task(lambda: _served_model(self.model_applier_cls()))


def serve_task(load: Callable[[], ServedModel]) -> None:
    """Serve until SIGTERM, on the socket or the port that the environment names.

    Raises:
        RavenError: what a server needs is not installed, or the port is taken.
    """
    from ravenml.serve.access import Access, choose_token, hide_token, listen
    from ravenml.serve.server import HOST, PORT, inherited_socket, need_extra, serve_app

    need_extra()
    from ravenml.serve.app import Serving, make_app

    host, port = os.environ.get(HOST, "127.0.0.1"), os.environ.get(PORT)
    opened = inherited_socket() or listen(host, int(port) if port else None, DEFAULT_PORT)
    access = Access(choose_token(), host, opened.getsockname()[1])
    hide_token()
    app = make_app(Serving(load(), access))
    deployed = {"event_type": EventType.TASK_DEPLOYED}
    serve_app(app, opened, lambda: logger.info("model deployed", extra=deployed))


def _served_model(model: SingleImageInferenceBase) -> ServedModel:
    """A network that was written with the SDK, as the server wants it."""
    from ravenml.infer.model_resolver import ModelSource
    from ravenml.infer.settings import InferenceRequest
    from ravenml.serve.loaded_model import ServedModel
    from ravenml.serve.predict_params import PredictParams

    network = PluginNetwork(model)
    height, width = getattr(model, "input_size", None) or (256, 256)
    boxes = {one.shape for one in network.classes} == {"rectangle"}
    predictor: Any = SimpleNamespace(
        task="detection" if boxes else "segmentation",
        classes=[one.title for one in network.classes],
        input_size=(width, height),
    )
    # What the server tells of the plugin; its program knows no more than its folder.
    plugin: Any = SimpleNamespace(name=Path.cwd().name, version="?")
    where = Path(TaskPaths.TASK_CONFIG_PATH)
    request = InferenceRequest({}, read_json(where).get(MODE) or {}, where.name, {})
    source = ModelSource("model", (Path(TaskPaths.MODEL_DIR),))
    # Of a network, the server asks what every mode does, and what `PluginNetwork` gives.
    network_of_server: Any = network
    served = ServedModel(source, plugin, predictor, network_of_server, request)
    served.mode(PredictParams())  # so that an unusable config is reported at once
    return served
