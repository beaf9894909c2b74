"""An environment with the core alone, made once, and wheels for plugins that need nothing from an index."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_wheels import Checkout, Environment, make_wheels


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels: what the core's scripts need, and tiny packages for the plugins."""
    return make_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def made_once(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    scratch = tmp_path_factory.mktemp("env")
    return Environment.with_core(scratch / "venv", wheels, scratch)


@pytest.fixture
def environment(made_once: Environment) -> Iterator[Environment]:
    """A virtual environment with the core alone; after each test it must be so again."""
    first, files = made_once.freeze(), made_once.everything()
    yield made_once
    if made_once.freeze() != first or made_once.everything() != files:
        extra = {line.split("==")[0] for line in made_once.freeze().splitlines()}
        extra -= {line.split("==")[0] for line in first.splitlines()}
        if extra:
            made_once.pip("uninstall", "-q", "-y", *extra)
        shutil.rmtree(made_once.path / "share", ignore_errors=True)
        for left in sorted(set(made_once.everything()) - set(files), reverse=True):
            path = made_once.path / left
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def checkout(tmp_path: Path, wheels: Path) -> Checkout:
    """A checkout with the plugin ``tiny``, which needs beta and alpha 2."""
    made = Checkout.make(tmp_path / "checkout", wheels)
    made.plugin("tiny", ["beta==1.0", "alpha==2.0"])
    return made
