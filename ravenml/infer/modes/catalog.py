"""The inference modes by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, create_model

from ravenml.common.merge import deep_merge
from ravenml.common.validation import validate
from ravenml.data.meta import ObjClass
from ravenml.errors import InputError
from ravenml.infer.modes.areas import Bboxes, FullImage, Roi
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.configs import ModeConfig
from ravenml.infer.modes.interface import Network
from ravenml.infer.modes.sliding import SlidingWindow, SlidingWindowDet

MODES: dict[str, type[Mode]] = {
    "full_image": FullImage,
    "roi": Roi,
    "bboxes": Bboxes,
    "sliding_window": SlidingWindow,
    "sliding_window_det": SlidingWindowDet,
}


def effective_config(
    given: Mapping[str, object],
    default: Mapping[str, object],
    where: str,
    spelled: Mapping[tuple[str, ...], str] | None = None,
) -> ModeConfig:
    """A mode's config: what was given, over the default where that is of the same mode, over the mode's own.

    Args:
        given: the content of ``mode`` in a config; without a name, the default's.
        default: the plugin's, or the command's, own choice.
        where: the file (or command) that ``given`` comes from.
        spelled: for fields that an option gave, that option.

    Raises:
        InputError: an unknown mode or field, or an unusable value; names the path, such as
            ``mode.window.width``.
    """
    given, default = _with_own_names(given), _with_own_names(default)
    name = given.get("name", default.get("name"))
    if not isinstance(name, str) or name not in MODES:
        raise InputError(f"{where}: `mode.name` should be one of {', '.join(MODES)}, not {name!r}.")
    base = MODES[name].make_default_config("")
    if default.get("name") == name:
        base = deep_merge(base, default)
    schema: type[BaseModel] = create_model(
        "Config", __config__=ConfigDict(extra="forbid"), mode=(MODES[name].config_class, ...)
    )
    checked = validate(schema, {"mode": deep_merge(base, given)}, where, spelled)
    config: ModeConfig = checked.mode  # type: ignore[attr-defined]
    return config


def _with_own_names(config: Mapping[str, object]) -> dict[str, object]:
    """A mode's config whose choices of names have the field's own name; the contract takes either."""
    found = dict(config)
    for part, own, other in (
        ("model_classes", "save_classes", "save_names"),
        ("model_tags", "save_names", "save_classes"),
    ):
        chosen = found.get(part)
        if isinstance(chosen, Mapping) and other in chosen:
            kept = {name: value for name, value in chosen.items() if name != other}
            found[part] = (
                {own: chosen[other], **kept} if other == "save_classes" else {**kept, own: chosen[other]}
            )
    return found


def make_mode(config: ModeConfig, network: Network, known: Sequence[ObjClass] = ()) -> Mode:
    """The mode that a config describes; see `Mode`."""
    return MODES[config.name](config, network, known)
