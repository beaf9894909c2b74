"""From a model that was found to a network that inference modes use."""

from __future__ import annotations

from collections.abc import Callable

from ravenml.infer.engines.cache import cached_export
from ravenml.infer.engines.choose import TORCH, choose_engine, remembered_choice
from ravenml.infer.engines.compare import ComparisonImages
from ravenml.infer.engines.description import is_graph
from ravenml.infer.engines.export import offers_export
from ravenml.infer.engines.int8 import cached_int8
from ravenml.infer.engines.predictor import open_graph
from ravenml.infer.engines.runtime import (
    ENGINES,
    check_engine,
    check_int8,
    check_precision,
    installed_engines,
)
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.network import Ensemble, PredictorNetwork, default_batch_size, result_classes
from ravenml.infer.predictor import Maker, Predictor, check_device, load_predictor, model_plugin
from ravenml.infer.settings import InferenceRequest, configure

ImagesFor = Callable[[Predictor | Ensemble], ComparisonImages]


def load_network(
    source: ModelSource,
    plugin: Maker,
    request: InferenceRequest,
    device: str = "auto",
    batch_size: int | None = None,
    trust_code: bool = False,
    engine: str = "auto",
    precision: str = "auto",
    images: ImagesFor | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> PredictorNetwork:
    """Load a model, all folds' of a k-fold run, and tell it what was asked of it.

    Args:
        source: where it lies.
        plugin: whose it is.
        request: what the user set; the model has the section ``model`` of it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
        batch_size: how many images go through it together; by default the model decides.
        trust_code: whether it may name code that is not part of a plugin.
        engine: what computes it: ``auto``, ``torch`` (the plugin's framework), ``onnxruntime``, ``openvino``.
        precision: what the engine computes in: ``auto``, ``32``, ``bf16`` or ``int8``.
        images: gives for the model what ``auto`` measures engines on, where that was not done yet; without
            it, nothing is measured.
        tell: is given a line about the engine that was measured to be the fastest.

    Raises:
        RavenError: it cannot be loaded, or does not know what is asked of it.
    """
    predictors = _load(source, request, device, batch_size, trust_code, engine, precision, images, tell)
    for one in predictors:
        configure(one, request.model, plugin, request.where)
    predictor = predictors[0] if len(predictors) == 1 else Ensemble(predictors, source.name)
    return PredictorNetwork(predictor, result_classes(predictor, source.paths[0]), batch_size)


def _load(
    source: ModelSource,
    request: InferenceRequest,
    device: str,
    batch_size: int | None,
    trust_code: bool,
    engine: str,
    precision: str,
    images: ImagesFor | None,
    tell: Callable[[str], None],
) -> list[Predictor]:
    """The model as an engine runs it, or as its plugin does: each fold's then."""
    loaded: list[Predictor] = []
    graph = is_graph(source.paths[0])
    if (
        engine == "auto"
        and precision != "int8"
        and not (graph or request.model)
        and device in ("auto", "cpu")
    ):
        engine, precision, loaded = _fastest(source, device, batch_size, trust_code, precision, images, tell)
    if not graph and engine not in ENGINES and precision != "int8":
        check_precision(precision)
        return loaded or [load_predictor(path, device, trust_code) for path in source.paths]
    check_device(device)
    if graph:
        return [open_graph(source.paths[0], engine, precision)]
    if precision == "int8":
        check_int8(engine)
        return [open_graph(cached_int8(source, trust_code), "openvino")]
    check_engine(engine)
    return [open_graph(cached_export(source, trust_code=trust_code), engine, precision)]


def _fastest(
    source: ModelSource,
    device: str,
    batch_size: int | None,
    trust_code: bool,
    precision: str,
    images: ImagesFor | None,
    tell: Callable[[str], None],
) -> tuple[str, str, list[Predictor]]:
    """The engine and precision for ``--engine auto``, and the model itself where it was loaded to measure."""
    choice = remembered_choice(source, precision, device) if installed_engines() else None
    if choice is not None and choice.engine != TORCH:
        return choice.engine, choice.precision, []
    if choice is not None:
        return TORCH, "auto", []
    if images is None or not installed_engines():
        return TORCH, precision, []
    if not offers_export(model_plugin(source.paths[0])):
        return TORCH, precision, []
    predictors = [load_predictor(path, device, trust_code) for path in source.paths]
    if str(getattr(predictors[0], "device", "cpu")) != "cpu":
        return TORCH, precision, predictors
    tell("Measuring which engine is the fastest for this model; --engine torch skips this.")
    model = predictors[0] if len(predictors) == 1 else Ensemble(predictors, source.name)
    size = batch_size or default_batch_size(model)
    choice = choose_engine(source, model, images(model), size, precision, trust_code, device)
    tell(str(choice))
    return choice.engine, choice.precision, predictors if choice.engine == TORCH else []
