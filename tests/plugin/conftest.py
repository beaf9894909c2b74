"""An environment with the core alone, made once, and wheels for plugins that need nothing from an index."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_wheels import Checkout, Environment, core_wheel, repack, write_wheel

from ravenml.plugin.environment import Environment as Installed

CORE = ["click", "packaging", "importlib-metadata", "setuptools", "wheel"]  # what the scripts touch


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels: what the core's scripts need, and tiny packages for the plugins."""
    folder = tmp_path_factory.mktemp("wheels")
    here = Installed()
    for name in {*CORE, *here.dependencies_of(CORE)} & (here.distributions.keys() | here.external.keys()):
        repack(folder, name)
    for version in ("1.0", "2.0"):
        write_wheel(folder, "alpha", version)
    write_wheel(folder, "beta", "1.0", requires=["alpha>=1"])
    write_wheel(folder, "gamma", "1.0", files={f"gamma/part{n}.py": "x = 1\n" for n in range(400)})
    write_wheel(folder, "leans-on-beta", "1.0", requires=["beta"])
    write_wheel(folder, "wants-alpha-2", "1.0", requires=["alpha>=2"])
    twin = {"twins/__init__.py": "", "twins/same.py": "x = 1\n"}
    for name in ("twin-a", "twin-b"):
        write_wheel(folder, name, "1.0", files=twin | {f"{name.replace('-', '_')}_own.py": ""})
    points = "[ravenml.plugins.train]\nstranger = stranger:group\n"
    write_wheel(folder, "stranger", "7.0", entry_points=points)
    return folder


@pytest.fixture(scope="session")
def made_once(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment.make(tmp_path_factory.mktemp("env") / "venv", wheels)
    core_wheel(wheels, tmp_path_factory.mktemp("build"))
    environment.pip("install", "-q", *CORE)
    environment.pip("install", "-q", "--no-deps", "ravenml")
    return environment


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


@pytest.fixture
def checkout(tmp_path: Path, wheels: Path) -> Checkout:
    """A checkout with the plugin ``tiny``, which needs beta and alpha 2."""
    made = Checkout.make(tmp_path / "checkout", wheels)
    made.plugin("tiny", ["beta==1.0", "alpha==2.0"])
    return made
