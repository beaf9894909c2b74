"""A model that is served: loaded once, in as many modes as are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ravenml.common.io import JsonObject, read_json, to_jsonable
from ravenml.common.merge import deep_merge
from ravenml.common.secrets import redact
from ravenml.data.classes import BACKGROUND
from ravenml.data.meta import ObjClass
from ravenml.errors import RavenError
from ravenml.infer.engines.compare import choose_images
from ravenml.infer.engines.description import is_graph, read_description
from ravenml.infer.engines.predictor import GraphPredictor
from ravenml.infer.model_resolver import ModelSource, find_source
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.catalog import MODES, make_mode
from ravenml.infer.modes.configs import BboxesConfig
from ravenml.infer.network import PredictorNetwork
from ravenml.infer.network_factory import load_network
from ravenml.infer.predictor import Maker, Predictor, find_maker
from ravenml.infer.settings import InferenceRequest, effective_mode, read_request
from ravenml.runs import layout
from ravenml.serve.predict_params import PredictParams
from ravenml.store.model_state import CONFIG, read_config

_REMEMBERED = 64  # modes that were asked for; each is a small object
_PUBLIC = ("plugin", "plugin_version", "command", "started", "dataset", "provenance", "result")


@dataclass
class ServedModel:
    """A model in memory.

    Attributes:
        source: where it came from.
        plugin: whose it is.
        predictor: the model itself; of a k-fold run all its folds' models.
        network: the same as inference modes see it.
        asked: the config for requests that bring none.
    """

    source: ModelSource
    plugin: Maker
    predictor: Predictor
    network: PredictorNetwork
    asked: InferenceRequest
    _modes: OrderedDict[bytes, Mode] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(
        cls,
        model: str,
        device: str = "auto",
        *,
        fold: int | None = None,
        force: bool = False,
        config: Path | None = None,
        batch_size: int | None = None,
        trust_code: bool = False,
        engine: str = "auto",
        precision: str = "auto",
        tell: Callable[[str], None] = lambda line: None,
    ) -> ServedModel:
        """Find and load a model.

        Args:
            model: as ``raven infer`` takes it: a file, a folder, a run or a stored model.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
            fold: of a k-fold training, only this fold's model.
            force: serve it even if it was stored for transfer learning only.
            config: a JSON or YAML file, as ``raven infer --config`` takes it: what requests begin with.
            batch_size: how many images go through the network together; by default the model decides.
            trust_code: whether the model may name code that is not part of a plugin.
            engine: ``auto``, ``torch``, ``onnxruntime`` or ``openvino``.
            precision: what the engine computes in: ``auto``, ``32``, ``bf16`` or ``int8``.
            tell: is given a line about the engine, where one is chosen now.

        Raises:
            RavenError: there is no such model, or it cannot be loaded, or the config does not fit it.
        """
        source = find_source(model, fold)
        source.check_use(force)
        plugin = find_maker(source.paths[0])
        asked = read_request(config, None, {}, plugin)
        network = load_network(
            source,
            plugin,
            asked,
            device,
            batch_size,
            trust_code,
            engine,
            precision,
            lambda model: choose_images(None, source.paths, model.input_size),
            tell,
        )
        served = cls(source, plugin, network.predictor, network, asked)
        served.mode(PredictParams())  # a config that does not fit is told at once
        return served

    def mode(self, params: PredictParams) -> Mode:
        """The inference mode that a request asks for.

        Raises:
            InputError: an unknown mode, field or class, or one that the model is not made for.
        """
        key = params.key
        with self._lock:
            if key in self._modes:
                self._modes.move_to_end(key)
                return self._modes[key]
        base = self.asked.mode
        if params.mode.get("name", base.get("name")) != base.get("name"):
            base = {}  # another mode's fields would be unknown to this one
        where = params.where if params.mode else self.asked.where
        asked = InferenceRequest({}, deep_merge(base, params.mode), where, params.spelled)
        config = effective_mode(asked, self.predictor, "")
        if params.threshold is not None and self.predictor.task == "segmentation":
            config = config.model_copy(update={"save_probabilities": True})
        mode = make_mode(config, self.network, self._known(config))
        with self._lock:
            self._modes[key] = mode
            if len(self._modes) > _REMEMBERED:
                self._modes.popitem(last=False)
        return mode

    def _known(self, config: object) -> list[ObjClass]:
        """The classes of objects that a request may bring for the mode ``bboxes``: whatever it names."""
        named = config.from_classes if isinstance(config, BboxesConfig) else []
        return [] if isinstance(named, str) else [ObjClass(one, "rectangle", "#808080") for one in named]

    def numbered_classes(self, mode: Mode) -> list[ObjClass]:
        """The classes of a mode's results, as masks number them from 1, whichever of them a request keeps."""
        suffix = mode.config.model_classes.add_suffix
        found = [
            replace(one, title=one.title + suffix) for one in self.network.classes if one.title != BACKGROUND
        ]
        known = {one.title for one in found}
        return [*found, *(one for one in mode.classes if one.title not in known)]

    def describe(self) -> JsonObject:
        """What ``GET /model`` tells."""
        width, height = self.predictor.input_size
        fits = {"segmentation": "sliding_window_det", "detection": "sliding_window"}
        return {
            "name": self.source.name,
            "task": self.predictor.task,
            "classes": [
                {"title": one.title, "shape": one.shape, "color": one.color, "number": number}
                for number, one in enumerate(self.numbered_classes(self.mode(PredictParams())), start=1)
            ],
            "input": {"width": width, "height": height, "channels": "RGB"},
            "modes": [name for name in MODES if name != fits.get(self.predictor.task)],
            "mode": self.mode(PredictParams()).config.model_dump(),
            "device": str(getattr(self.predictor, "device", "cpu")),
            "engine": self.predictor.engine if isinstance(self.predictor, GraphPredictor) else "torch",
            "batch_size": self.network.batch_size,
            "folds": len(self.source.paths),
            "plugin": {"name": self.plugin.name, "version": self.plugin.version},
            "provenance": self._provenance(),
        }

    def _provenance(self) -> JsonObject:
        """Where the model comes from, as far as what lies beside it tells; no paths, and no secrets."""
        first = self.source.paths[0]
        known: JsonObject = {"fingerprint": self.source.fingerprint()}
        if is_graph(first):
            known["export"] = redact(read_description(first).provenance)
        elif first.is_file() or (first / CONFIG).is_file():
            settings = read_config(first).get("settings", {})
            known["settings"] = redact(settings) if isinstance(settings, dict) else {}
        folder = first if first.is_dir() else first.parent
        for place in (folder.parent.parent, folder):  # a fold lies within its parent's run
            record = place / layout.RUN_JSON
            try:
                run = read_json(record) if record.is_file() else {}
            except RavenError:
                continue
            if isinstance(run, dict) and run:
                known["run"] = {"id": run.get("id", place.name), **_public_fields(run)}
                break
        metadata = self._metadata(folder)
        if metadata:
            known["stored"] = {
                name: metadata[name]
                for name in ("name", "created_by", "comments", "dataset", "finished", "metrics")
                if metadata.get(name)
            }
        result: JsonObject = to_jsonable(known, "provenance")
        return result

    def _metadata(self, folder: Path) -> JsonObject:
        for place in (folder / layout.METADATA, folder / f"metadata_{self.source.name}.json"):
            try:
                content = read_json(place) if place.is_file() else None
            except RavenError:
                continue
            if isinstance(content, dict):
                return content
        return {}


def _public_fields(run: JsonObject) -> JsonObject:
    """What of ``run.json`` is of interest to whoever uses the model."""
    known = {name: run[name] for name in _PUBLIC if run.get(name)}
    provenance = known.pop("provenance", None)
    if isinstance(provenance, Mapping):
        places = {name: one for name, one in provenance.items() if isinstance(one, Mapping)}
        commits = {name: one["commit"] for name, one in places.items() if one.get("commit")}
        known["commits"] = commits
    result = known.pop("result", None)
    if isinstance(result, Mapping) and isinstance(result.get("metrics"), Mapping):
        known["metrics"] = result["metrics"]
    dataset = known.get("dataset")
    if isinstance(dataset, Mapping):
        known["dataset"] = {name: one for name, one in dataset.items() if name != "path"}
    return dict(redact(known))
