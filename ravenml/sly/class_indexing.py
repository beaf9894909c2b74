"""From a project's classes to a network's: which become outputs, and with which index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ravenml.common.io import JsonObject, read_json
from ravenml.sly.bitmap import Bitmap
from ravenml.sly.geometry import Geometry
from ravenml.sly.project_meta import ObjClass, ObjClassCollection

BACKGROUND = "background"
NEUTRAL = "neutral"
TRANSFER_LEARNING = "transfer_learning"
CONTINUE_TRAINING = "continue_training"
_BACKGROUND_COLOR = [34, 34, 34]


def make_out_classes(
    in_project_classes: Iterable[ObjClass],
    geometry_type: type[Geometry],
    exclude_titles: Iterable[str] = (),
    extra_classes: Mapping[str, list[int]] | None = None,
) -> ObjClassCollection:
    """The network's classes: the project's with one shape for all, less some and more others (with colours).

    Raises:
        RuntimeError: a class is to be left out and added.
    """
    excluded, extra = set(exclude_titles), dict(extra_classes or {})
    if excluded & set(extra):
        raise RuntimeError(
            f"These classes are both left out and added: {', '.join(sorted(excluded & set(extra)))}."
        )
    kept = [
        ObjClass(one.name, geometry_type, one.color) for one in in_project_classes if one.name not in excluded
    ]
    names = {one.name for one in kept}
    added = [ObjClass(name, geometry_type, color) for name, color in extra.items() if name not in names]
    return ObjClassCollection([*kept, *added])


def make_new_class_to_idx_map(
    in_project_classes: Iterable[ObjClass],
    start_class_id: int,
    preset_class_ids: Mapping[str, int] | None = None,
    exclude_titles: Iterable[str] = (),
) -> dict[str, int]:
    """Indices for a project's classes: those that are set, then the others by title, counted from a start.

    Raises:
        RuntimeError: a class is to be left out, and its index is set.
    """
    indices, excluded = dict(preset_class_ids or {}), set(exclude_titles)
    if excluded & set(indices):
        raise RuntimeError(
            f"These classes are left out, and have an index: {', '.join(sorted(excluded & set(indices)))}."
        )
    following = start_class_id
    for title in sorted(one.name for one in in_project_classes):
        if title in indices or title in excluded:
            continue
        while following in indices.values():
            following += 1
        indices[title] = following
    return indices


def infer_training_class_to_idx_map(
    weights_init_type: str,
    in_project_class_to_idx: dict[str, int],
    model_config_fpath: str,
    class_to_idx_config_key: str,
    special_class_ids: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The indices that the training uses: new ones, or, where it goes on, those of the model.

    Raises:
        RuntimeError: the model's classes are others than the project's, or a special class has another
            index than it must have.
    """
    if weights_init_type == TRANSFER_LEARNING:
        indices = in_project_class_to_idx
    elif weights_init_type == CONTINUE_TRAINING:
        indices = _read_model_indices(
            model_config_fpath, class_to_idx_config_key, set(in_project_class_to_idx)
        )
    else:
        raise RuntimeError(
            f"weights_init_type should be {TRANSFER_LEARNING} or {CONTINUE_TRAINING}, "
            f"not {weights_init_type!r}."
        )
    for title, wanted in (special_class_ids or {}).items():
        if indices[title] != wanted:
            raise RuntimeError(f"The class {title!r} has the index {indices[title]} and must have {wanted}.")
    return indices


def create_segmentation_classes(
    in_project_classes: Iterable[ObjClass],
    special_classes_config: Mapping[str, str],
    bkg_input_idx: int,
    weights_init_type: str,
    model_config_fpath: str,
    class_to_idx_config_key: str,
    start_class_id: int = 1,
) -> tuple[ObjClassCollection, dict[str, int]]:
    """A segmentation network's classes and indices.

    Of ``special_classes_config``, ``background`` names a class that is added where the project lacks it, and
    has the index ``bkg_input_idx``; ``neutral`` names one that the network does not learn.
    """
    background, neutral = special_classes_config.get(BACKGROUND), special_classes_config.get(NEUTRAL)
    special = {} if background is None else {background: bkg_input_idx}
    excluded = [] if neutral is None else [neutral]
    known = list(in_project_classes)
    extra = {title: _BACKGROUND_COLOR for title in special}
    out_classes = make_out_classes(known, Bitmap, excluded, extra)
    fresh = make_new_class_to_idx_map(known, start_class_id, special, excluded)
    indices = infer_training_class_to_idx_map(
        weights_init_type, fresh, model_config_fpath, class_to_idx_config_key, special
    )
    return out_classes, indices


def _read_model_indices(path: str, key: str, titles: set[str]) -> dict[str, int]:
    if not Path(path).is_file():
        raise RuntimeError(f"{CONTINUE_TRAINING} needs the model's {path}, which is not there.")
    config: JsonObject = read_json(Path(path))
    indices = config.get(key)
    if not isinstance(indices, dict):
        raise RuntimeError(f"{path} has no {key}, which {CONTINUE_TRAINING} needs.")
    if set(indices) != titles:
        raise RuntimeError(
            f"{CONTINUE_TRAINING} needs the same classes: the model has {', '.join(sorted(indices))}; "
            f"the project {', '.join(sorted(titles))}."
        )
    return dict(indices)
