"""The stores that the configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ravenml.config.config import Config, load_config
from ravenml.config.home import store_dir
from ravenml.store.base import Store
from ravenml.store.local_store import FolderStore

if TYPE_CHECKING:
    from ravenml.store.s3 import S3Store

Kind = Literal["models", "datasets"]
FIELDS: dict[Kind, str] = {"models": "model_bucket_name", "datasets": "dataset_bucket_name"}


def local_models() -> FolderStore:
    """The folder of models on this machine; there always is one."""
    return FolderStore(store_dir())


def bucket(kind: Kind, config: Config | None = None, address: str | None = None) -> S3Store | None:
    """The bucket of models, or of datasets; None where none is configured.

    Args:
        kind: which.
        config: without it, the user's.
        address: the user's own choice for this once.

    Raises:
        InputError: the configuration or the address is not usable.
    """
    from ravenml.store.address import parse_address

    config = load_config() if config is None else config
    field = FIELDS[kind]
    text = address or getattr(config, field)
    if not text:
        return None
    from ravenml.store.s3 import Connection, S3Store

    parsed = parse_address(text, "--store" if address else f"`{field}`")
    return S3Store(parsed, Connection.of(config, parsed), field)


def models_store() -> Store:
    """Where finished trainings go: the bucket, or without one the folder on this machine."""
    return bucket("models") or local_models()
