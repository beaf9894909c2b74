"""``raven models export``: a model as one file for other engines.

The plugin that made the model writes the graph (``export`` beside its ``load``, see :class:`Exporter`).  The
core adds the description, OpenVINO's format, and the comparison: a file appears under its name only after it
has predicted what the model predicts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ravenml.common.io import JsonObject, read_json, temporary_folder, to_user_error
from ravenml.common.permissions import make_folder
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.compare import Agreement, ComparisonImages, choose_images, compare, paint_images
from ravenml.infer.engines.description import (
    KEY,
    ONNX,
    OPENVINO,
    SUFFIXES,
    TORCHSCRIPT,
    GraphClass,
    GraphDescription,
    GraphInput,
    Normalisation,
    is_graph,
)
from ravenml.infer.engines.predictor import GraphPredictor
from ravenml.infer.engines.runtime import ENGINES, Runtime, check_engine, installed_engines, short_reason
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.network import Ensemble, result_classes
from ravenml.infer.predictor import Predictor, load_predictor, model_plugin
from ravenml.plugin.discovery import Plugin
from ravenml.runs import layout
from ravenml.store.model_state import CONFIG, read_config

Graph = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Exporter(Protocol):
    """The function ``export`` that a plugin may offer beside ``load``."""

    def __call__(
        self,
        predictors: Sequence[Any],
        kind: str,
        path: Path,
        *,
        dynamic: bool = False,
        half: bool = False,
        note: str = "",
    ) -> Graph | None:
        """Write models as one file.

        The graph takes uint8 RGB ``(N, H, W, 3)`` of the network's input size, normalises the pixels, and
        gives float32 probabilities ``(N, C, H, W)``.

        Args:
            predictors: what ``load`` gave; the graph of several gives the mean of their probabilities.
            kind: ``onnx`` or ``torchscript``.
            path: the file.
            dynamic: let ``N``, ``H`` and ``W`` be any, called ``batch``, ``height`` and ``width`` in ONNX.
            half: with weights of 16 bits.
            note: text to keep in a TorchScript as the extra file ``ravenml``.

        Returns:
            The graph as a function, for a TorchScript, which the core does not open; else None.

        Raises:
            InputError: there is no such kind of export.
        """
        ...


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        path: the file.
        agreement: how well it agrees with the model.
        images: on which images, in words.
    """

    path: Path
    agreement: Agreement
    images: str


def default_path(source: ModelSource, kind: str) -> Path:
    """Where an export goes by default: a file in this folder, called as the model is."""
    name = Path(source.name).name
    stem = source.paths[0].parent.name if name == layout.MODEL_STATE else name.removesuffix(".tar")
    return Path.cwd() / f"{stem}{SUFFIXES[kind]}"


def export_model(
    source: ModelSource,
    kind: str,
    path: Path,
    *,
    dynamic: bool = False,
    half: bool = False,
    images: str | None = None,
    trust_code: bool = False,
) -> Export:
    """Write a model as one file; a k-fold run's models become one graph that averages their probabilities.

    Args:
        source: the model.
        kind: ``onnx``, ``openvino`` or ``torchscript``.
        path: the file; an OpenVINO model is an ``.xml`` with a ``.bin`` beside it.
        dynamic: for images of any size, and any number of them.
        half: with weights of 16 bits.
        images: what it is compared on: a project, a folder of images or an image.
        trust_code: whether the model may name code that is not part of a plugin.

    Raises:
        InputError: the plugin exports no such files, or ``path`` has another suffix or is there already.
        RavenError: what is needed is not installed, the disk is full, or the file does not predict what the
            model predicts; then nothing is written.
    """
    if not path.name.endswith(SUFFIXES[kind]):
        raise InputError(f"-o: {path.name} should end in {SUFFIXES[kind]}, as --format is {kind}.")
    for part in (path, path.with_suffix(".bin")) if kind == OPENVINO else (path,):
        if part.exists():
            raise InputError(f"{part} already exists; name another file with -o.")
    if is_graph(source.paths[0]):
        raise InputError(f"{source.name} is an exported file already; name the model that it was made of.")
    plugin = model_plugin(source.paths[0])
    exporter = find_exporter(plugin)
    if kind == OPENVINO:
        check_engine("openvino")
    if kind == ONNX and not installed_engines():
        check_engine(ENGINES[-1])
    predictors = [load_predictor(one, "cpu", trust_code) for one in source.paths]
    model = predictors[0] if len(predictors) == 1 else Ensemble(predictors, source.name)
    about = _describe(source, model, plugin, dynamic, half)
    chosen = choose_images(images, source.paths, about.size)
    try:
        make_folder(path.parent)
        with temporary_folder(path) as folder:
            made = folder / path.name
            graph = _written(exporter, predictors, kind, made, about)
            agreement = _compare(model, predictors, made, kind, about, graph, chosen)
            put_in_place(folder, path.parent)
    except OSError as error:
        raise to_user_error(error, path) from error
    return Export(path, agreement, chosen.source)


def find_exporter(plugin: Plugin) -> Exporter:
    """A plugin's function ``export``.

    Raises:
        InputError: it has none.
    """
    exporter = _export_of(plugin)
    if exporter is None:
        raise InputError(f"The plugin {plugin.name} exports no files for other engines.")
    return exporter


def offers_export(plugin: Plugin) -> bool:
    """Whether a plugin has a function ``export``."""
    return _export_of(plugin) is not None


def _export_of(plugin: Plugin) -> Exporter | None:
    return cast(Exporter | None, getattr(sys.modules.get(plugin.load().__module__), "export", None))


def put_in_place(made: Path, folder: Path) -> None:
    """Move a finished model's files to where they belong; the one that is opened comes last."""
    for part in sorted(made.iterdir(), key=lambda one: one.suffix == SUFFIXES[OPENVINO]):
        os.replace(part, folder / part.name)


def _written(
    exporter: Exporter, predictors: Sequence[Predictor], kind: str, path: Path, about: GraphDescription
) -> Graph | None:
    try:
        return _write(exporter, predictors, kind, path, about)
    except (RavenError, OSError):
        raise
    except Exception as error:  # of the framework's own kinds: a layer that the format does not have, say
        raise RavenError(
            f"{about.architecture or 'The network'} cannot be exported: {short_reason(error)}."
        ) from error


def _write(
    exporter: Exporter, predictors: Sequence[Predictor], kind: str, path: Path, about: GraphDescription
) -> Graph | None:
    note = write_note(about)
    half = about.precision == "16"
    if kind == TORCHSCRIPT:
        return exporter(predictors, kind, path, dynamic=about.dynamic, half=half, note=note)
    onnx = path.with_suffix(SUFFIXES[ONNX])
    exporter(predictors, ONNX, onnx, dynamic=about.dynamic, half=half and kind == ONNX)
    if kind == ONNX:
        with onnx.open("ab") as file:
            file.write(_metadata_entry(KEY, note))
        return None
    import openvino

    model = openvino.Core().read_model(onnx)
    model.set_rt_info(note, KEY)
    openvino.save_model(model, str(path), compress_to_fp16=half)
    onnx.unlink()
    return None


def _compare(
    model: Predictor | Ensemble,
    predictors: Sequence[Predictor],
    path: Path,
    kind: str,
    about: GraphDescription,
    graph: Graph | None,
    images: ComparisonImages,
) -> Agreement:
    """Compare a file with the model; a dynamic one at a second size too.

    Raises:
        RavenError: they do not agree.
    """
    engine = "openvino" if kind == OPENVINO or "onnxruntime" not in installed_engines() else "onnxruntime"

    def opened(description: GraphDescription) -> GraphPredictor:
        if graph is not None:
            return GraphPredictor(description, lambda count: [graph] * count, kind)
        return GraphPredictor(description, Runtime(path, description, engine, "32").compile, engine)

    agreement = compare(model, opened(about), images.read())
    _check(agreement, about, path)
    if about.dynamic:
        width, height = about.size
        other = about.model_copy(
            update={"input": about.input.model_copy(update={"width": width + 13, "height": height + 7})}
        )
        try:
            for one in (model, *predictors):
                one.input_size = other.size
            _check(compare(model, opened(other), paint_images(*other.size, count=2)), about, path)
        finally:
            for one in (model, *predictors):
                one.input_size = about.size
    return agreement


def _check(agreement: Agreement, about: GraphDescription, path: Path) -> None:
    if not agreement.pixels:
        raise RavenError("None of the images to compare on can be read; name others with --images.")
    if not agreement.is_close(about.precision):
        half = "; try it without --half" if about.precision == "16" else ""
        raise RavenError(
            f"{path.name} does not predict what the model predicts: {agreement}; nothing was written{half}."
        )


def _describe(
    source: ModelSource, model: Predictor | Ensemble, plugin: Plugin, dynamic: bool, half: bool
) -> GraphDescription:
    width, height = model.input_size
    first = getattr(model, "predictors", [model])[0]
    try:
        return GraphDescription(
            task=model.task,  # type: ignore[arg-type]  # checked here
            classes=[
                GraphClass(title=one.title, shape=one.shape, color=one.color)
                for one in result_classes(cast(Predictor, model), source.paths[0])
            ],
            input=GraphInput(width=width, height=height, dtype="uint8", layout="nhwc"),
            normalisation=_normalisation(source.paths[0]),
            architecture=str(getattr(first, "architecture", "")),
            precision="16" if half else "32",
            dynamic=dynamic,
            plugin=plugin.name,
            provenance=_provenance(source, plugin),
        )
    except ValidationError:
        raise InputError(
            f"{source.name}: a model for {model.task} of {len(model.classes)} classes cannot be exported."
        ) from None


def _normalisation(model: Path) -> Normalisation | None:
    if model.is_dir() and not (model / CONFIG).is_file():
        return None
    said = read_config(model).get("settings", {}).get("normalization")
    try:
        return Normalisation.model_validate(said)
    except ValidationError:
        return None


def _provenance(source: ModelSource, plugin: Plugin) -> JsonObject:
    """Where the model comes from; no paths."""
    known: JsonObject = {
        "model": Path(source.name).name,
        "fingerprint": source.fingerprint(),
        "plugin_version": plugin.version,
        "ravenml": version("ravenml"),
    }
    first = source.paths[0]
    folder = first if first.is_dir() else first.parent
    for place in (folder.parent.parent, folder):  # a fold lies within its parent's run
        try:
            run = read_json(place / layout.RUN_JSON)
        except RavenError:
            continue
        if isinstance(run, dict):
            dataset = run.get("dataset")
            known["run"] = str(run.get("id", place.name))
            known["dataset"] = dataset.get("name") if isinstance(dataset, dict) else None
            break
    return known


def write_note(about: GraphDescription) -> str:
    """The description as it is written into a file."""
    return json.dumps({"v": about.v, **about.model_dump(mode="json", exclude_defaults=True)})


def _metadata_entry(key: str, value: str) -> bytes:
    """An entry of ONNX's ``metadata_props``; what stands at a file's end belongs to the message as well."""

    def field(number: int, content: bytes) -> bytes:
        return _varint(number << 3 | 2) + _varint(len(content)) + content

    return field(14, field(1, key.encode()) + field(2, value.encode()))


def _varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
