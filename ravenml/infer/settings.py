"""What an inference is asked to do: a file in the contract's shape, a preset, the command line."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.hooks import PRESETS
from ravenml.common.io import JsonObject, read_json
from ravenml.common.merge import deep_merge
from ravenml.common.parsing import read_yaml
from ravenml.data.problems import suggestion
from ravenml.errors import InputError
from ravenml.infer.engines.predictor import GraphPredictor
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.catalog import effective_config
from ravenml.infer.modes.configs import ALL, BboxesConfig, ModeConfig
from ravenml.infer.predictor import GraphMaker, Maker, Predictor
from ravenml.plugin.discovery import Plugin

_IOU = 0.4


@dataclass(frozen=True)
class InferenceRequest:
    """What was asked for, before a model was looked at.

    Attributes:
        model: the content of ``model``, for the plugin alone.
        mode: the content of ``mode``, as far as it was given.
        where: the file, or what else messages call it.
        spelled: for fields that an option gave, that option.
    """

    model: Mapping[str, object]
    mode: Mapping[str, object]
    where: str
    spelled: Mapping[tuple[str, ...], str]


def read_request(
    config: Path | None,
    preset: str | None,
    options: Mapping[tuple[str, ...], tuple[str, object]],
    plugin: Maker,
) -> InferenceRequest:
    """Put a config file or a preset, and above it the command line's options, together.

    Args:
        config: a JSON or YAML file.
        preset: a title in the plugin's ``predefined_run_configs.json``.
        options: by the field's path in the config, an option and its value.
        plugin: whose model it is.

    Raises:
        InputError: the file is broken or has an unknown field, or there is no such preset.
    """
    where, content = "the command line", {}
    if config is not None:
        where, content = str(config), _read(config)
    elif preset is not None:
        where, content = f"the preset {preset!r} of {plugin.name}", _preset(plugin, preset)
    for name, value in content.items():
        if name not in ("model", "mode"):
            near = suggestion(name, ["model", "mode"])
            raise InputError(f"{where}: `{name}` is not a known field; {near}.")
        if not isinstance(value, dict):
            raise InputError(f"{where}: `{name}` should hold fields, not {value!r}.")
    mode = dict(content.get("mode", {}))
    for path, (_, value) in options.items():
        nested: JsonObject = {path[-1]: value}
        for name in reversed(path[1:-1]):
            nested = {name: nested}
        mode = deep_merge(mode, nested)
    spelled = {path: option for path, (option, _) in options.items()}
    return InferenceRequest(content.get("model", {}), mode, where, spelled)


def effective_mode(request: InferenceRequest, predictor: Predictor, suffix: str) -> ModeConfig:
    """The mode's config with every default filled in.

    The command's own defaults lie between what was given and the contract's: windows are of the network's
    size and overlap by an eighth, and of boxes that overlap much the surest stays.

    Args:
        request: what was given.
        predictor: the model.
        suffix: what is added to the names of its classes by default.

    Raises:
        InputError: an unknown mode or field, an unusable value, or a mode that the model is not made for.
    """
    name = request.mode.get("name") or _fitting(request.mode, predictor)
    width, height = predictor.input_size
    window = deep_merge({"width": width, "height": height}, _mapping(request.mode.get("window")))
    eighth = {"x": _eighth(window.get("width")), "y": _eighth(window.get("height"))}
    default: JsonObject = {"name": name, "model_classes": {"add_suffix": suffix}}
    if str(name).startswith("sliding_window"):
        default |= {"window": window, "min_overlap": eighth}
    if name == "sliding_window_det":
        default["nms_after"] = {"enable": True, "iou_threshold": _IOU}
    config = effective_config({**request.mode, "name": name}, default, request.where, request.spelled)
    _check_task(config, predictor, request.where)
    titles = [title for title in predictor.classes]
    field = ("mode", "model_classes", "save_classes")
    label = request.spelled.get(field, f"{request.where}: `{'.'.join(field)}`")
    _check_names(label, config.model_classes.save_classes, titles)
    return config


def check_project(config: ModeConfig, mode: Mode, titles: list[str], where: str) -> None:
    """Check what of a config is about the project's own classes.

    Raises:
        InputError: a class that boxes are taken from is not in the project.
    """
    if isinstance(config, BboxesConfig):
        _check_names(f"{where}: `mode.from_classes`", config.from_classes, titles)


def configure(predictor: Predictor, settings: Mapping[str, object], plugin: Maker, where: str) -> None:
    """Hand the content of ``model`` to the plugin.

    Which device is used is the command's affair: the contract's ``gpu_device`` is passed over.

    Raises:
        InputError: the plugin takes no such settings.
    """
    own = {name: value for name, value in settings.items() if name != "gpu_device"}
    hook = getattr(predictor, "configure", None)
    if hook is not None:
        hook(own)
    elif own:
        why = f"is unknown; the plugin {plugin.name} has no settings for inference"
        if isinstance(plugin, GraphMaker):
            why = "is unknown; an exported file has no settings for inference"
        elif isinstance(predictor, GraphPredictor):
            why = "is a setting of the plugin, which inference engines do not know; use --engine torch"
        raise InputError(f"{where}: `model.{next(iter(own))}` {why}.")


def inference_presets(plugin: Plugin) -> list[JsonObject]:
    """The plugin's presets for inference."""
    package = plugin.entry_point.module.partition(".")[0]
    file = importlib.resources.files(package) / PRESETS
    with importlib.resources.as_file(file) as path:
        found = read_json(Path(path)) if path.exists() else []
    return [one for one in found if one.get("type") == "inference"]


def _preset(plugin: Maker, title: str) -> JsonObject:
    known = inference_presets(plugin) if isinstance(plugin, Plugin) else []
    for one in known:
        if str(one.get("title", "")).lower() == title.lower():
            return dict(one.get("config", {}))
    titles = ", ".join(repr(one.get("title")) for one in known)
    has = f"it has {titles}" if known else "it has none"
    raise InputError(f"--preset: {plugin.name} has no preset {title!r} for inference; {has}.")


def _read(path: Path) -> JsonObject:
    if path.suffix.lower() != ".json":
        return read_yaml(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path} should hold a JSON object, such as {{"mode": {{"name": "full_image"}}}}.')
    return content


def _fitting(mode: Mapping[str, object], predictor: Predictor) -> str:
    """The mode where none is named: windows where windows are spoken of, else the whole image."""
    if "window" in mode or "min_overlap" in mode:
        return "sliding_window_det" if predictor.task == "detection" else "sliding_window"
    return "full_image"


def _check_task(config: ModeConfig, predictor: Predictor, where: str) -> None:
    fits = {"sliding_window": "segmentation", "sliding_window_det": "detection"}
    if fits.get(config.name, predictor.task) != predictor.task:
        other = next(name for name, task in fits.items() if task == predictor.task)
        raise InputError(
            f"{where}: `mode.name` is {config.name}, but the model is for {predictor.task}; use {other}."
        )
    if config.save_probabilities and predictor.task != "segmentation":
        raise InputError(
            f"{where}: `mode.save_probabilities` is for segmentation, but the model is for {predictor.task}; "
            "leave it out."
        )


def _check_names(label: str, chosen: str | list[str], known: list[str]) -> None:
    for title in [] if chosen == ALL else chosen:
        if title not in known:
            raise InputError(f'{label}: there is no class "{title}"; {suggestion(title, known)}.')


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _eighth(side: object) -> int:
    return side // 8 if isinstance(side, int) and side > 0 else 0
