"""Which model is meant: a file, a run, a stored model, or the folder of another program's training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject, read_json
from ravenml.common.reading import open_file
from ravenml.config.home import cache_dir
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.description import is_graph
from ravenml.renamed import former_names
from ravenml.runs import layout
from ravenml.store.base import Store
from ravenml.store.factory import bucket, local_models
from ravenml.store.local_store import FolderStore
from ravenml.store.model_state import CONFIG, read_config
from ravenml.store.models import ModelNotFound, find_model, pull_model, read_metadata
from ravenml.store.results import METADATA
from ravenml.store.transfer import path_below

__getattr__ = former_names(__name__, {"one_model": "find_one_model"})


@dataclass(frozen=True)
class ModelSource:
    """A model as it lies on this machine.

    Attributes:
        name: what the user calls it.
        paths: a ``model-state.tar``, a folder or a file with a graph; several are one training's folds.
        transfer_only: it was stored to start trainings from, and not to predict.
        classless: its ``config.json`` names no classes, so that its results could have no names.
    """

    name: str
    paths: tuple[Path, ...]
    transfer_only: bool = False
    classless: bool = False

    def check_use(self, force: bool = False) -> None:
        """Refuse a model that was not stored to predict.

        Raises:
            InputError: it was stored for transfer learning only, or names no classes, and ``force`` is false.
        """
        self.check_transfer(force)
        if self.classless and not force:
            raise InputError(
                f"{self.name} names no classes (`out_classes` of its config.json), like models that "
                "are only meant to initialise trainings; --force uses it anyway."
            )

    def check_transfer(self, force: bool = False) -> None:
        """Refuse a model that was stored for transfer learning only.

        Raises:
            InputError: it was, and ``force`` is false.
        """
        if self.transfer_only and not force:
            raise InputError(
                f"{self.name} was stored for transfer learning only, not for prediction; --force uses it "
                "anyway."
            )

    def fingerprint(self) -> list[str]:
        """What tells this model from others: a digest for each path."""
        return [_digest(path) for path in self.paths]


def find_source(model: str, fold: int | None = None) -> ModelSource:
    """Find a model.

    Args:
        model: a path (a ``model-state.tar``, the folder that one was unpacked into, a run's folder, a folder
            that a plugin knows, a file with a graph), or the beginning of a run's or a stored model's id.
            One that is only in the bucket is fetched into the cache.
        fold: of a k-fold training, only this fold's model.

    Raises:
        InputError: there is no such model, or no such fold.
        RavenError: it cannot be fetched.
    """
    path = Path(model).expanduser()
    if path.exists():
        return _of_path(model, path.absolute(), fold)
    if "/" in model or model.endswith(".tar"):
        raise InputError(f"{path} does not exist; name a model-state.tar, a run or a stored model.")
    if any(name.startswith(model) for name in layout.run_ids()):
        found = layout.find_run(model)
        return _of_run(found.name, found, fold)
    return _of_stores(model, fold)


def find_one_model(model: str) -> Path:
    """Where one model lies: a path as it was given, the folder of a run, or the file of a stored model.

    Args:
        model: a path, or the beginning of a run's or a stored model's id.

    Raises:
        InputError: there is no such model, or it is those of several folds.
        RavenError: it cannot be fetched.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    source = find_source(model)
    if len(source.paths) > 1:
        raise InputError(
            f"{source.name} is {len(source.paths)} models, one of each fold; name one, {source.paths[0]} say."
        )
    (file,) = source.paths
    is_run = file.name == layout.MODEL_STATE and (file.parent / layout.RUN_JSON).is_file()
    return file.parent if is_run else file


def _of_path(name: str, path: Path, fold: int | None) -> ModelSource:
    if path.is_dir() and not (path / CONFIG).is_file():
        is_run = any((path / part).exists() for part in (layout.RUN_JSON, layout.MODEL_STATE, layout.FOLDS))
        if is_run:
            return _of_run(name, path, fold)
    _no_folds(name, fold)
    if is_graph(path):
        return ModelSource(name, (path,))
    transfer_only = classless = False
    if path.is_file():
        config = read_config(path)
        # A file in a store's folder has its metadata beside it.
        entries = (_read(one) for one in path.parent.glob(f"{Path(METADATA).name}*.json"))
        mine = next((one for one in entries if path.name in _names(one)), {})
        transfer_only = bool(mine.get("transfer_only"))
        classless = not (config.get("out_classes") or config.get("classes"))
    return ModelSource(name, (path,), transfer_only, classless)


def _of_run(name: str, folder: Path, fold: int | None) -> ModelSource:
    transfer_only = bool(_read(folder / layout.METADATA).get("transfer_only"))
    if (folder / layout.MODEL_STATE).is_file():
        _no_folds(name, fold)
        return ModelSource(name, (folder / layout.MODEL_STATE,), transfer_only)
    folds = {
        int(place.name): place / layout.MODEL_STATE
        for place in (folder / layout.FOLDS).glob("*")
        if place.name.isdigit() and (place / layout.MODEL_STATE).is_file()
    }
    if folds:
        return ModelSource(name, _chosen(name, folds, fold), transfer_only)
    # A task of the agent records its config as a Supervisely app does, and has a model only once it is done.
    is_task = "agent" in _read(folder / layout.RUN_JSON)
    if (folder / layout.INFO / "ui_state.json").is_file() and not is_task:
        _no_folds(name, fold)
        return ModelSource(name, (folder,), transfer_only)
    raise InputError(
        f"{folder} has no {layout.MODEL_STATE}: its training has not finished, or made no model."
    )


def _of_stores(model: str, fold: int | None) -> ModelSource:
    remote = bucket("models")
    stores: list[Store] = [local_models(), *([remote] if remote is not None else [])]
    try:
        store, model_id = find_model(stores, model)
    except ModelNotFound:
        raise InputError(
            f"No file, folder, run or stored model is called {model!r} or begins like that; "
            "`raven runs list` and `raven models list` show them."
        ) from None
    metadata = read_metadata(store, model_id)
    if isinstance(store, FolderStore):
        root = store.root
    else:
        root = cache_dir() / "models" / "pulled"
        pull_model(store, model_id, root, extras=False)
    keys = metadata.get("models")
    if not isinstance(keys, dict):
        raise RavenError(f"{store.name}: the metadata of {model_id} names no models under `models`.")
    files = {str(suffix): path_below(root, str(key), "The metadata") for suffix, key in keys.items()}
    transfer_only = bool(metadata.get("transfer_only"))
    if set(files) == {""}:
        _no_folds(model_id, fold)
        return ModelSource(model_id, (files[""],), transfer_only)
    folds = {int(name[2:]): file for name, file in files.items() if name[:2] == "-f" and name[2:].isdecimal()}
    if not folds:
        raise InputError(f"{store.name}: {model_id} has no model, only other files of one.")
    return ModelSource(model_id, _chosen(model_id, folds, fold), transfer_only)


def _chosen(name: str, folds: dict[int, Path], fold: int | None) -> tuple[Path, ...]:
    if fold is None:
        return tuple(folds[number] for number in sorted(folds))
    if fold not in folds:
        known = ", ".join(map(str, sorted(folds)))
        raise InputError(f"--fold: {name} has the folds {known}, and no fold {fold}.")
    return (folds[fold],)


def _no_folds(name: str, fold: int | None) -> None:
    if fold is not None:
        raise InputError(f"--fold: {name} is one model, and has no folds; leave it out.")


def _names(metadata: JsonObject) -> set[str]:
    models = metadata.get("models")
    return {Path(str(key)).name for key in models.values()} if isinstance(models, dict) else set()


def _read(path: Path) -> JsonObject:
    try:
        content = read_json(path)
    except RavenError:
        return {}
    return content if isinstance(content, dict) else {}


def _digest(path: Path) -> str:
    if is_graph(path):
        parts = [path, *(path.with_suffix(suffix) for suffix in (".bin", ".yaml", ".yml"))]
        digests = [_digest_file(one) for one in parts if one.is_file()]
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
    if path.is_file():
        return _digest_file(path)
    entries = [
        (one.relative_to(path).as_posix(), one.stat().st_size, one.stat().st_mtime_ns)
        for one in sorted(path.rglob("*"))
        if one.is_file()
    ]
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:32]


def _digest_file(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
