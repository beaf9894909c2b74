"""Tiny wheels made by the tests, a checkout with tiny plugins, and real virtual environments for them."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from ravenml.plugin.environment import Environment as Installed
from ravenml.plugin.requirements import inputs_digest

CORE = ["click", "packaging", "importlib-metadata", "setuptools", "wheel"]  # what the scripts touch

ROOT = Path(__file__).resolve().parent.parent.parent


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    entry_points: str = "",
) -> Path:
    """Write a wheel of pure Python.

    Args:
        folder: where to; one that pip searches.
        files: path to content; by default one module of the distribution's name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    requirements = "".join(f"Requires-Dist: {line}\n" for line in requires)
    content = dict(files or {f"{module}.py": f"version = {version!r}\n"})
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}"
    content[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if entry_points:
        content[f"{info}/entry_points.txt"] = entry_points
    path = folder / f"{module}-{version}-py3-none-any.whl"
    _zip(path, {file: text.encode() for file, text in content.items()}, f"{info}/RECORD")
    return path


def repack(folder: Path, name: str) -> None:
    """Make a wheel again from a distribution that is installed here."""
    found = distribution(name)
    files = {str(file): Path(str(file.locate())) for file in found.files or []}
    content = {
        file: path.read_bytes()
        for file, path in files.items()
        if not file.startswith("..") and path.is_file() and path.suffix != ".pyc"
    }
    info = next(file for file in content if file.endswith(".dist-info/METADATA")).split("/")[0]
    for made_by_pip in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json"):
        content.pop(f"{info}/{made_by_pip}", None)
    wheel = content[f"{info}/WHEEL"].decode()
    tag = next(line.split(": ")[1] for line in wheel.splitlines() if line.startswith("Tag: "))
    module = info.removesuffix(".dist-info")
    _zip(folder / f"{module}-{tag}.whl", content, f"{info}/RECORD")


def _zip(path: Path, content: Mapping[str, bytes], record: str) -> None:
    lines = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, text in content.items():
            archive.writestr(file, text)
            checksum = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
            lines.append(f"{file},sha256={checksum},{len(text)}\n")
        archive.writestr(record, "".join([*lines, f"{record},,\n"]))


@dataclass
class Environment:
    """A virtual environment, and where its pip finds wheels."""

    path: Path
    wheels: Path | None = None

    @classmethod
    def make(cls, path: Path, wheels: Path | None = None) -> Environment:
        venv.create(path, with_pip=True, symlinks=True)
        return cls(path, wheels)

    @classmethod
    def with_core(cls, path: Path, wheels: Path, scratch: Path) -> Environment:
        """An environment with ravenML's core, which is built in ``scratch``, and what its scripts touch."""
        environment = cls.make(path, wheels)
        core_wheel(wheels, scratch)
        environment.pip("install", "-q", *CORE)
        environment.pip("install", "-q", "--no-deps", "ravenml")
        return environment

    def variables(self, **more: str) -> dict[str, str]:
        """The variables of processes in it: it is the active one, and no index is asked for tiny wheels."""
        mine = {
            k: v for k, v in os.environ.items() if not k.startswith(("RAVENML_", "PYTHON", "VIRTUAL_ENV"))
        }
        mine["PATH"] = f"{self.path / 'bin'}:/usr/bin:/bin"
        mine["COLUMNS"] = "120"
        mine["PIP_NO_COMPILE"] = "1"  # it takes minutes for two frameworks
        if self.wheels is not None:
            mine = {k: v for k, v in mine.items() if not k.startswith("PIP_")}
            mine |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
            mine |= {"RAVENML_TORCH_INDEX": ""}
        return mine | more

    def run(
        self, *command: str | Path, cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, without a terminal."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.path,
            env=self.variables(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def ok(self, *command: str | Path, cwd: Path | None = None, **more: str) -> str:
        """What a command prints on both streams; it must end well."""
        done = self.run(*command, cwd=cwd, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pip(self, *arguments: str | Path) -> str:
        return self.ok(self.path / "bin" / "python", "-m", "pip", *arguments)

    def freeze(self) -> str:
        """``pip list --format=freeze``, pip and setuptools and all."""
        return self.run(self.path / "bin" / "python", "-m", "pip", "list", "--format=freeze").stdout

    @property
    def site(self) -> Path:
        (site,) = (self.path / "lib").glob("python3.*/site-packages")
        return site

    def digest(self) -> str:
        """Of the paths and contents of all that rests in it, less what Python compiles by itself."""
        total = hashlib.sha256()
        for name in self.everything():
            path = self.path / name
            total.update(f"{name}\0".encode() + (path.read_bytes() if path.is_file() else b""))
        return total.hexdigest()

    def everything(self) -> list[str]:
        """The paths of all that rests in it, less what Python compiles by itself."""
        return sorted(
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if "__pycache__" not in path.parts
        )


@dataclass
class Checkout:
    """A checkout of ravenML with its scripts, constraints and tiny plugins."""

    root: Path
    wheels: Path

    @classmethod
    def make(cls, root: Path, wheels: Path) -> Checkout:
        (root / "plugins").mkdir(parents=True)
        shutil.copy(ROOT / "install_all.sh", root)
        (root / "setup.py").write_text('install_requires = ["click>=8"]\n')
        (root / "environment.yml").write_text(
            "name: ravenml\nchannels:\n  - conda-forge\ndependencies:\n  - python>=3.11\n  - pip\n"
            "  - pip:\n      - click>=8\n"
        )
        return cls(root, wheels)

    def plugin(self, name: str, pins: Sequence[str], gpu: Sequence[str] = (), fault: str = "") -> Path:
        """Add the plugin ``ravenml_<name>`` with these pins; its module begins with the code ``fault``."""
        package = f"ravenml_{name}"
        folder = self.root / "plugins" / package
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text('__version__ = "0.3"\n')
        (folder / package / "core.py").write_text(
            f"{fault}\nimport click\n\n@click.group()\ndef {name}(): ...\n"
        )
        (folder / "setup.py").write_text(
            "from setuptools import setup\n"
            f"setup(name={package!r}, version='0.3', packages=[{package!r}],\n"
            f"      entry_points={{'ravenml.plugins.train': ['{name}={package}.core:{name}']}})\n"
        )
        (folder / "requirements.in").write_text("".join(f"{pin}\n" for pin in pins))
        (folder / "requirements-gpu.in").write_text("".join(f"{pin}\n" for pin in gpu or pins))
        shutil.copy(ROOT / "plugins" / "ravenml_unet" / "install.sh", folder)
        self.compiled()
        return folder

    def compiled(self) -> None:
        """Write compiled files that are up to date: the ``.in`` files' own lines, which are pins here."""
        sources = sorted(self.root.glob("plugins/*/requirements*.in"))
        lines = {source: source.read_text().split() for source in sources}
        of_all = ["click>=8"]
        for source in sources:
            of_all += lines[source] if source.stem == "requirements" else []
        pins = list(dict.fromkeys(of_all[1:]))
        constraints = self.root / "plugins" / "constraints.txt"
        constraints.write_text(
            f"# inputs: sha256={inputs_digest(of_all)}\n" + "".join(f"{pin}\n" for pin in pins)
        )
        for source in sources:
            head = f"# inputs: sha256={inputs_digest([*lines[source], *pins])}\n"
            source.with_suffix(".txt").write_text(head + "".join(f"{pin}\n" for pin in lines[source]))

    @property
    def install_all(self) -> Path:
        return self.root / "install_all.sh"

    def script(self, name: str) -> Path:
        return self.root / "plugins" / f"ravenml_{name}" / "install.sh"


def core_wheel(folder: Path, scratch: Path) -> Path:
    """Build ravenML's own wheel, from a copy, so that nothing is written into the checkout."""
    source = scratch / "source"
    source.mkdir(parents=True)
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    shutil.copytree(ROOT / "ravenml", source / "ravenml", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-P", "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(source)], check=True, cwd=scratch)
    (wheel,) = folder.glob("ravenml-*.whl")
    return wheel


def make_wheels(folder: Path) -> Path:
    """A folder of wheels: what the core's scripts need, and tiny packages for the plugins."""
    here = Installed()
    for name in {*CORE, "pip-tools", *here.dependencies_of([*CORE, "pip-tools"])} & (
        here.distributions.keys() | here.external.keys()
    ):
        repack(folder, name)
    for version in ("1.0", "2.0"):
        write_wheel(folder, "alpha", version)
    write_wheel(folder, "beta", "1.0", requires=["alpha>=1"])
    write_wheel(folder, "gamma", "1.0", files={f"gamma/part{n}.py": "x = 1\n" for n in range(400)})
    manual = {f"delta-1.0.data/data/share/man/man{n % 9}/delta{n}.1": f"page {n}\n" for n in range(200)}
    elsewhere = {"delta-1.0.data/data/etc/delta/delta.conf": "", "delta-1.0.data/data/delta.txt": "x\n"}
    write_wheel(folder, "delta", "1.0", files={"delta/__init__.py": ""} | manual | elsewhere)
    write_wheel(folder, "wants-alpha-1", "1.0", requires=["alpha<2"])
    write_wheel(folder, "wants-ghost", "1.0", requires=["ghost>=3"])
    write_wheel(folder, "leans-on-beta", "1.0", requires=["beta"])
    write_wheel(folder, "wants-alpha-2", "1.0", requires=["alpha>=2"])
    twin = {"twins/__init__.py": "", "twins/same.py": "x = 1\n"}
    for name in ("twin-a", "twin-b"):
        write_wheel(folder, name, "1.0", files=twin | {f"{name.replace('-', '_')}_own.py": ""})
    points = "[ravenml.plugins.train]\nstranger = stranger:group\n"
    write_wheel(folder, "stranger", "7.0", entry_points=points)
    return folder


def killed_after(environment: Environment, seconds: float, *command: str | Path) -> bool:
    """Run ``command`` and kill it and all its children after ``seconds``; whether it was still running."""
    process = subprocess.Popen(
        command,
        env=environment.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
