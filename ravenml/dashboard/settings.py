"""What a dashboard is started with."""

from __future__ import annotations

from dataclasses import dataclass

from ravenml.serve.access import Access
from ravenml.serve.allowed_paths import AllowedPaths

PORT = 8420


@dataclass(frozen=True)
class Settings:
    """A dashboard's settings.

    Attributes:
        access: what is demanded of whoever speaks to it.
        roots: the folders below which a path may lie that a person types.
    """

    access: Access
    roots: AllowedPaths
