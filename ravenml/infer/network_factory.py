"""From a model that was found to a network that inference modes use."""

from __future__ import annotations

from ravenml.infer.engines.cache import cached_export
from ravenml.infer.engines.description import is_graph
from ravenml.infer.engines.predictor import open_graph
from ravenml.infer.engines.runtime import ENGINES, check_engine, check_precision
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.network import Ensemble, PredictorNetwork, result_classes
from ravenml.infer.predictor import Maker, Predictor, check_device, load_predictor
from ravenml.infer.settings import InferenceRequest, configure


def load_network(
    source: ModelSource,
    plugin: Maker,
    request: InferenceRequest,
    device: str = "auto",
    batch_size: int | None = None,
    trust_code: bool = False,
    engine: str = "auto",
    precision: str = "auto",
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
        precision: what the engine computes in: ``auto``, ``32`` or ``bf16``.

    Raises:
        RavenError: it cannot be loaded, or does not know what is asked of it.
    """
    predictors: list[Predictor]
    if is_graph(source.paths[0]):
        check_device(device)
        predictors = [open_graph(source.paths[0], engine, precision)]
    elif engine in ENGINES:
        check_device(device)
        check_engine(engine)
        predictors = [open_graph(cached_export(source, trust_code=trust_code), engine, precision)]
    else:
        check_precision(precision)
        predictors = [load_predictor(path, device, trust_code) for path in source.paths]
    for one in predictors:
        configure(one, request.model, plugin, request.where)
    predictor = predictors[0] if len(predictors) == 1 else Ensemble(predictors, source.name)
    return PredictorNetwork(predictor, result_classes(predictor, source.paths[0]), batch_size)
