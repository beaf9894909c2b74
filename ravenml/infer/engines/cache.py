"""Models that were exported to be run here: kept in ravenML's cache, and found by the models' content."""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.metadata import version
from pathlib import Path

from ravenml.common.locks import exclusive_lock
from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir
from ravenml.infer.engines.description import ONNX, SCHEMA, SUFFIXES
from ravenml.infer.engines.export import Export, export_model
from ravenml.infer.model_resolver import ModelSource
from ravenml.infer.predictor import model_plugin
from ravenml.plugin.user_code import REFERENCE, digest_code
from ravenml.store.model_state import CONFIG, read_config

MOST_KEPT = 8  # models
_FILE = f"model{SUFFIXES[ONNX]}"


def export_folder(source: ModelSource) -> Path:
    """Where a model's export lies, or would.

    A changed model, plugin or ravenML has another, and so has changed code of the user's own that the model
    names (``package.module:name``).
    """
    plugin = model_plugin(source.paths[0])
    about = [
        *source.fingerprint(),
        *_own_code(source),
        plugin.name,
        plugin.version,
        version("ravenml"),
        str(SCHEMA),
    ]
    return cache_dir() / "engines" / hashlib.sha256("\n".join(about).encode()).hexdigest()[:32]


def _own_code(source: ModelSource) -> list[str]:
    """A digest of each code of the user's own that the model names, such as its network's."""
    first = source.paths[0]
    if first.is_dir() and not (first / CONFIG).is_file():
        return []  # of another program's training
    config = read_config(first)
    named = [config, config.get("settings") or {}]
    values = {value for one in named for value in one.values() if isinstance(value, str)}
    return [digest_code(value) for value in sorted(values) if REFERENCE.fullmatch(value)]


def cached_export(source: ModelSource, images: str | None = None, trust_code: bool = False) -> Path:
    """A model as an ONNX file, which both engines open; it is exported when it is first asked for.

    Once it is there, neither the plugin's framework nor the plugin is imported.

    Args:
        source: the model.
        images: what the export is compared on; see :func:`ravenml.infer.engines.compare.choose_images`.
        trust_code: whether the model may name code that is not part of a plugin.

    Raises:
        RavenError: it cannot be exported; see :func:`ravenml.infer.engines.export.export_model`.
    """
    folder = export_folder(source)
    path = folder / _FILE
    make_folder(folder.parent)
    with exclusive_lock(folder.parent / "lock"):
        if not path.is_file():
            done: Export = export_model(source, ONNX, path, images=images, trust_code=trust_code)
            path = done.path
            _drop_oldest(folder.parent)
        os.utime(folder)
    return path


def _drop_oldest(folder: Path) -> None:
    """Keep the exports that were used last."""
    known = sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
    for old in known[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
