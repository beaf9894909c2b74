"""Which pages there are.  A page is a module of its own; what is not listed here is not linked anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ravenml.serve.access import Access
from ravenml.serve.allowed_paths import AllowedPaths

# In the order of the navigation.  Each has NAV (None for a page without a place there) and register().
MODULES = (
    "ravenml.dashboard.train.page",
    "ravenml.dashboard.runs.page",
    "ravenml.dashboard.models.page",
    "ravenml.dashboard.queues.page",
)


PATIENCE = 60.0  # seconds that a page may read before it is sent


@dataclass(frozen=True)
class Nav:
    """A page's place in the navigation: its title, its address, and one of Material's icons."""

    title: str
    address: str
    icon: str


class PageModule(Protocol):
    """What a page's module offers."""

    NAV: Nav | None

    def register(self, settings: Settings) -> None:
        """Declare the page's addresses with ``@ui.page`` and, for files, ``app.get``; called once."""


def modules() -> Iterator[PageModule]:
    """The pages' modules, in order."""
    for name in MODULES:
        yield cast(PageModule, import_module(name))


def navigation() -> list[Nav]:
    """What the header links to."""
    return [module.NAV for module in modules() if module.NAV is not None]


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
