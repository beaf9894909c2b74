"""The configured buckets, and uploads into the store of models, as plugins for ravenML 1 do them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ravenml.config.config import load_config
from ravenml.errors import InputError
from ravenml.store.factory import models_store


class _Buckets(dict[str, str]):
    """The configured buckets; one that is not configured is an error that says how to."""

    def __missing__(self, name: str) -> str:
        if not name.endswith("_bucket_name") or name.startswith("image"):
            raise KeyError(name)
        raise InputError(
            f"No `{name}` is configured; `raven config update --{name.replace('_', '-')} NAME` sets it."
        )


def get_config() -> dict[str, str]:
    """``model_bucket_name`` and ``dataset_bucket_name``.

    Raises:
        InputError: the configuration cannot be read.  Asking for a bucket that is not configured raises one
            too.
    """
    config = load_config()
    names = {"model_bucket_name": config.model_bucket_name, "dataset_bucket_name": config.dataset_bucket_name}
    return _Buckets({name: value for name, value in names.items() if value})


def upload_file_to_s3(
    prefix: str, file_path: str | os.PathLike[str], alternate_name: str | None = None
) -> None:
    """Put a file into the store of models, as ``prefix/name``.

    Raises:
        RavenError: the store cannot be written to.
    """
    path = Path(file_path)
    models_store().put(f"{prefix}/{alternate_name or path.name}", path)


def upload_dict_to_s3_as_json(s3_path: str, obj: Mapping[str, object]) -> None:
    """Put a mapping into the store of models, as the JSON file ``s3_path.json``.

    Raises:
        RavenError: the store cannot be written to.
    """
    models_store().put_content(f"{s3_path}.json", json.dumps(obj, indent=2).encode())
