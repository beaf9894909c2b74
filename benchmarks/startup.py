"""How long `raven train list` takes beside the least that such a command has to do.

    python benchmarks/startup.py [--rounds 40] [--venv DIR]

Makes a virtual environment of its own with ravenML's core and ten small plugins (or takes one that has them,
with ``--venv``), and times in it, taking turns:

- ``raven train list``, piped;
- ``raven train list``, on a terminal (a pty);
- the baseline: a Python that imports click and importlib_metadata and reads one group of entry points.

The limit is 1.5 times the baseline.  Where the U-Net plugin is installed beside this script's Python,
``raven train unet train --help`` is timed there as well; its limit is 0.4 s.
"""

from __future__ import annotations

import argparse
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

from paired import interleave, load, report

BASELINE = "import click, importlib_metadata as m; m.entry_points(group='x')"
PLUGINS = 10
LIMIT = 1.5
HELP_LIMIT = 0.4
ROOT = Path(__file__).resolve().parent.parent


def write_plugin(number: int, folder: Path) -> Path:
    """A wheel of a plugin that is as small as one can be."""
    name = f"ravenml_dummy{number}"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/core.py": "import click\n\n\n@click.group()\ndef group():\n    pass\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: ravenml\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[ravenml.plugins.train]\ndummy{number} = {name}.core:group\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel


def make_environment(folder: Path) -> Path:
    """A virtual environment in ``folder`` with the core, not editable, and the plugins."""
    print("Making a virtual environment with the core and ten plugins.")
    venv.create(folder, with_pip=True)
    wheels = [write_plugin(number, folder) for number in range(PLUGINS)]
    install = [folder / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    source = folder / "core"  # a copy, because building leaves its traces where the source lies
    shutil.copytree(ROOT / "ravenml", source / "ravenml", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    subprocess.run([*install, "-c", ROOT / "plugins" / "constraints.txt", source], check=True)
    subprocess.run([*install, "--no-deps", *wheels], check=True)
    return folder


def piped(command: list[str]) -> None:
    """Run ``command`` with its output in a pipe."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment())


def on_terminal(command: list[str]) -> None:
    """Run ``command`` with a terminal as its input and output."""
    mine, its = pty.openpty()
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment()) as child:
        os.close(its)
        try:
            while os.read(mine, 65536):
                pass
        except OSError:  # Linux says so when the other end is closed
            pass
    os.close(mine)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)


def environment() -> dict[str, str]:
    """This process's environment, with compiled modules kept, as on a user's machine."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    return kept | {"TERM": "xterm-256color"}


def time_list(folder: Path, rounds: int) -> bool:
    """Time ``raven train list`` in the environment ``folder`` and print the figures."""
    python, raven = str(folder / "bin" / "python"), str(folder / "bin" / "raven")
    listed = subprocess.run(
        [raven, "train", "list"], capture_output=True, text=True, check=True, env=environment()
    )
    installed = len(listed.stdout.splitlines())
    if installed < PLUGINS:
        sys.exit(f"{folder} has {installed} plugins; the measurement is meant for {PLUGINS} or more.")
    print(f"\n`raven train list`, {installed} plugins installed, {rounds} rounds; before: {load()}")
    seconds = interleave(
        {
            "baseline, piped": lambda: piped([python, "-c", BASELINE]),
            "raven train list, piped": lambda: piped([raven, "train", "list"]),
            "raven train list, terminal": lambda: on_terminal([raven, "train", "list"]),
        },
        rounds,
        warm_up=3,
    )
    kept = report(seconds, "baseline, piped", LIMIT)
    print(f"after: {load()}")
    return kept


def time_help(rounds: int) -> bool:
    """Time ``raven train unet train --help`` where this Python runs, if the plugin is there."""
    if not any(point.name == "unet" for point in entry_points(group="ravenml.plugins.train")):
        print("\nThe U-Net plugin is not installed beside this Python; its --help is not timed.")
        return True
    command = [str(Path(sys.executable).with_name("raven")), "train", "unet", "train", "--help"]
    print(f"\n`raven train unet train --help`, {rounds} rounds; before: {load()}")
    seconds = interleave(
        {
            "baseline": lambda: piped([sys.executable, "-c", BASELINE]),
            "raven train unet train --help": lambda: piped(command),
        },
        rounds,
        warm_up=2,
    )
    report(seconds, "baseline")
    took = statistics.median(seconds["raven train unet train --help"])
    print(f"after: {load()}; {took:.3f} s, limit {HELP_LIMIT} s")
    return took <= HELP_LIMIT


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="measurements of each side (40)")
    parser.add_argument("--venv", type=Path, help="an environment that has the core and ten plugins")
    chosen = parser.parse_args()
    if chosen.venv:
        kept = time_list(chosen.venv.absolute(), chosen.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            kept = time_list(make_environment(Path(folder)), chosen.rounds)
    return 0 if time_help(chosen.rounds) and kept else 1


if __name__ == "__main__":
    sys.exit(main())
