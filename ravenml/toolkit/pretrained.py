"""What a training may begin from: weights, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject, read_json
from ravenml.common.reading import open_file
from ravenml.data.project import ObjClass
from ravenml.errors import InputError
from ravenml.infer.model_folder import read_classes, read_input_size
from ravenml.renamed import former_names
from ravenml.runs import layout
from ravenml.store.model_state import read_config
from ravenml.toolkit.checkpoints import select_checkpoint

__getattr__ = former_names(
    __name__,
    {
        "Start": "PretrainedWeights",
        "Told": "ReadState",
        "told_by_us": "read_run_state",
        "read_start": "inspect_weights",
        "classes_to_go_on_with": "match_classes",
    },
)

_HEAD = 4096  # bytes of a file that are looked at

ReadState = Callable[[JsonObject], tuple[object, JsonObject]]


@dataclass(frozen=True)
class PretrainedWeights:
    """What trained weights say of themselves; None where they do not.

    Attributes:
        path: a file of weights, or a ``model-state.tar``.
        architecture: as ``--model`` names it.
        size: the input's width and height.
        classes: in index order.
    """

    path: Path
    architecture: str | None = None
    size: tuple[int, int] | None = None
    classes: list[ObjClass] | None = None

    @property
    def is_packed(self) -> bool:
        """Whether it is a ``model-state.tar`` (by its name's end)."""
        return self.path.suffix == ".tar"


def read_run_state(state: JsonObject) -> tuple[object, JsonObject]:
    """Architecture and input size from a run's ``info/ui_state.json``."""
    return state["plugin"]["model"], state["plugin"]["input_size"]


def inspect_weights(path: Path, suffix: str, read_state: ReadState = read_run_state) -> PretrainedWeights:
    """Look at what ``--weights`` names, without reading the weights.

    Args:
        path: weights, a ``model-state.tar``, or the folder of a training.
        suffix: of the plugin's own files of weights.
        read_state: from the content of a training's ``info/ui_state.json`` to the architecture and
            ``{"width", "height"}``.

    Raises:
        InputError: it does not exist, is neither of the three kinds, or says what makes no sense.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(
            f"weights: {path} does not exist; give a {suffix} file, a model-state.tar or a training's folder."
        )
    if path.is_dir():
        found = select_checkpoint(path / layout.CHECKPOINTS, suffix)
        if found is None:
            raise InputError(
                f"weights: {path} has no weights in checkpoints/, such as model_003_best{suffix}."
            )
        return _of_training(path, found, read_state)
    if path.suffix == ".tar":
        return _of_tar(path)
    folder = path.absolute().parent.parent
    if path.absolute().parent.name == layout.CHECKPOINTS and (folder / "info" / "ui_state.json").is_file():
        return _of_training(folder, path, read_state)
    check_binary(path, "weights", suffix)
    return PretrainedWeights(path)


def check_binary(path: Path, field: str, suffix: str) -> None:
    """Refuse a file that can hold no weights, such as a script, without reading it.

    Args:
        path: the file.
        field: the setting that names it.
        suffix: of the plugin's own files of weights.

    Raises:
        InputError: it cannot be read, is empty, or is text.
    """
    try:
        with open_file(path) as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{field}: {path} cannot be read: {error.strerror or error}.") from None
    if not head:
        raise InputError(f"{field}: {path} is empty; give a {suffix} file.")
    # Whatever holds numbers has bytes near its beginning that no text has; the last letter may be cut.
    text = head.decode(errors="replace")[: -3 if len(head) == _HEAD else None]
    if "\ufffd" not in text and not any(letter < " " and not letter.isspace() for letter in text):
        raise InputError(f"{field}: {path} is text, not weights; give a {suffix} file.")


def match_classes(
    start: PretrainedWeights | None, classes: Sequence[ObjClass], init_type: str
) -> list[ObjClass]:
    """A training's classes: those of its data, in the order of the weights that it continues.

    A bare file of weights does not say its classes: continuing from one, only their number can be checked.

    Args:
        start: what it begins from.
        classes: those of its data.
        init_type: the setting ``weights_init_type``.

    Raises:
        InputError: the continued training had other classes.
    """
    if start is None or start.classes is None or init_type == "transfer_learning":
        return list(classes)
    wanted, had = {c.title for c in classes}, {c.title for c in start.classes}
    if wanted != had:
        name = sorted(wanted ^ had)[0]
        where = "the model lacks it" if name in wanted else "the data lack it"
        raise InputError(
            f"weights: the classes of {start.path} differ: {name!r}, {where}; see --classes, or train "
            "with --weights-init-type transfer_learning."
        )
    return start.classes


def _of_tar(path: Path) -> PretrainedWeights:
    config = read_config(path)
    settings = config.get("settings") or {}
    architecture, size, classes = (
        settings.get("architecture"),
        settings.get("input_size"),
        config.get("out_classes"),
    )
    if architecture is not None and not isinstance(architecture, str):
        raise InputError(
            f"weights: {path}: `settings.architecture` should be text, not {architecture!r:.80}."
        )
    return PretrainedWeights(
        path,
        architecture,
        read_input_size(size, f"weights: {path}: `settings.input_size`") if size else None,
        read_classes(classes, f"weights: {path}: `out_classes`") if classes else [],
    )


def _of_training(folder: Path, weights: Path, read_state: ReadState) -> PretrainedWeights:
    state_file, classes_file = folder / "info" / "ui_state.json", folder / "info" / "model_classes.json"
    for file in (state_file, classes_file):
        if not file.is_file():
            raise InputError(f"weights: {folder} is not a training's folder: it has no info/{file.name}.")
    state, own = read_json(state_file), read_json(classes_file)
    try:
        model, size = read_state(state)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{state_file}: {error} is missing or unusable; it should hold the network's name and its input "
            "size, with width and height."
        ) from None
    sides = read_input_size(size, f"{state_file}: the input size")
    return PretrainedWeights(weights, str(model), sides, read_classes(own, str(classes_file)))
