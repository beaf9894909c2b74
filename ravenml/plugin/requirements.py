"""Compiling a plugin's ``requirements.in`` into pins that a user elsewhere can install.

``raven plugin compile DIR`` compiles a plugin's two files, for the GPU on a machine without one as well.
``python -m ravenml.plugin.requirements compile`` (``make requirements``) compiles whatever is out of date,
``… check`` only says what is.

One set of pins holds the core and all plugins to each other: ``plugins/constraints.txt`` is compiled from
``setup.py`` and every ``requirements.in`` together, and each plugin's files are compiled under it, as is
``tests/requirements.txt``, what the tests need beside them.  Whether a
compiled file is out of date is decided by a hash of what it was made from, recorded in its first lines, and
not by file times, which a fresh clone does not keep.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import threading
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ravenml.common.io import write_bytes
from ravenml.errors import InputError, RavenError
from ravenml.plugin.environment import Requirement, canonical
from ravenml.plugin.pip import explain_failure, run_shown

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")


def read_requirements(source: Path) -> list[str]:
    """What a ``.in`` file asks for, comments left out; another file that it includes (``-r``) is followed.

    Raises:
        InputError: the file, or one that it includes, does not exist.
    """
    if not source.is_file():
        raise InputError(f"{source} does not exist; the requirements cannot be compiled without it.")
    wanted: list[str] = []
    for line in source.read_text(encoding="utf-8").splitlines():
        text = line.split(" #")[0].strip()
        if text.startswith("-r "):
            wanted += read_requirements(source.parent / text[3:].strip())
        elif text and not text.startswith("#"):
            wanted.append(text)
    return wanted


def core_requirements(root: Path) -> list[str]:
    """The ranges of ``install_requires`` in ``setup.py``, read without running it.

    Raises:
        InputError: there is no such list of plain strings in it.
    """
    wanted = _setup_value(root, "install_requires")
    if wanted is None:
        raise InputError(
            f"{root / 'setup.py'} has no list install_requires; "
            "run this from the root of a checkout of ravenML."
        )
    return list(wanted)


def requirements_for_tests(root: Path) -> list[str]:
    """The ranges of the core, of its optional parts and of ``development`` in ``setup.py``."""
    optional = _setup_value(root, "optional") or {}
    development = _setup_value(root, "development") or []
    return [*core_requirements(root), *(line for extra in optional.values() for line in extra), *development]


def _setup_value(root: Path, name: str) -> Any:
    """What ``setup.py`` assigns to ``name``, if that is plain values, and None where there is none."""
    setup = root / "setup.py"
    if setup.is_file():
        for node in ast.walk(ast.parse(setup.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return ast.literal_eval(node.value)
    return None


def has_own_script(folder: Path) -> bool:
    """Whether a plugin's ``install.sh`` is ravenML's own, as `raven plugin new` writes it, or missing.

    It keeps the journal, and takes part in ``plugins/constraints.txt``; any other stands for itself.
    """
    script = folder / "install.sh"
    return not script.is_file() or b"ravenml.plugin.install" in script.read_bytes()


def inputs_digest(wanted: Sequence[str]) -> str:
    """The SHA-256 of requirements in their order."""
    return hashlib.sha256("".join(f"{line}\n" for line in wanted).encode()).hexdigest()


def is_up_to_date(compiled: Path, wanted: Sequence[str]) -> bool:
    """Whether ``compiled`` was made from just these requirements."""
    if not compiled.is_file():
        return False
    return f"# inputs: sha256={inputs_digest(wanted)}\n" in compiled.read_text(encoding="utf-8")


def clean_pins(lines: str) -> str:
    """What pip-compile printed, less all that is true on one machine only.

    A local version (``torch==2.13.0+cpu``) loses its label: no public index has it, and ``==2.13.0``
    accepts it.  Options (``--find-links …``), comments and blank lines go, and so does ``pip``, which a
    requirements file must not change under the feet of the pip that reads it.

    Raises:
        RavenError: a line is not a pin, such as a path or an address: nobody else could install it.
    """
    pins = []
    for line in lines.splitlines():
        text = line.split(" #")[0].rstrip()
        if not text or text.startswith(("#", "-")):
            continue
        pin = _PIN.match(text)
        if not pin or " @ " in text or "/" in text.split(";")[0]:
            raise RavenError(
                f"pip-compile gave '{text}', which is not a pin that others could install; edit the .in file."
            )
        name, version = pin.groups()
        if name.lower() != "pip":
            pins.append(f"{name}=={version.split('+')[0]}{text[pin.end() :]}")
    return "".join(f"{pin}\n" for pin in pins)


def cpu_index(environment: Mapping[str, str] = os.environ, seconds: float = 2.0) -> str | None:
    """The index that offers torch built for the CPU, or None where the default index has to serve.

    ``RAVENML_TORCH_INDEX`` overrides it unasked (empty: none).  Otherwise it is PyTorch's own, if that
    answers within ``seconds``; the name look-up counts, which no socket timeout limits, hence the thread.
    """
    if "RAVENML_TORCH_INDEX" in environment:
        return environment["RAVENML_TORCH_INDEX"] or None
    return TORCH_CPU_INDEX if is_reachable(f"{TORCH_CPU_INDEX}/torch/", seconds) else None


def cpu_index_options(wanted: bool = True) -> list[str]:
    """pip's options for that index; none where there is none, or torch for the CPU is not wanted."""
    index = cpu_index() if wanted else None
    return ["--extra-index-url", index] if index else []


def is_reachable(address: str, seconds: float) -> bool:
    """Whether ``address`` gives a good HTTP answer within ``seconds``."""
    good = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=seconds):
                good.set()
        except (OSError, ValueError):
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return good.is_set()


def pip_compile(
    wanted: Sequence[str], constraints: Path | None, gpu: bool, folder: Path, asked_by: Mapping[str, str]
) -> str:
    """The pins that pip-compile finds for ``wanted`` under ``constraints``, cleaned.

    For the GPU, what this machine adds to pip's search (wheels in a folder, further indexes) is left out, so
    that torch's public builds are found, which name their CUDA packages.

    Args:
        wanted: requirements, whose paths are relative to ``folder``.
        constraints: a file that they are held to.
        gpu: leave out builds for the CPU.
        folder: where they lie.
        asked_by: which file wants what.

    Raises:
        RavenError: pip-compile is missing or finds no solution, or found CUDA where the CPU was meant.
    """
    environment = {}
    command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--strip-extras", "--allow-unsafe"]
    command += ["--no-header", "--no-annotate", "--no-emit-options", "--output-file=-", "-"]
    if gpu:
        environment = {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull}
    else:
        command += cpu_index_options()
    if constraints is not None:
        command += ["--constraint", str(constraints)]
    code, text = run_shown(
        command,
        f"{folder.name}: compiling requirements",
        environment=environment,
        folder=folder,
        tells=lambda line: False,
        given="\n".join(wanted),
    )
    if code:
        sentence = explain_failure(text, " and ".join(sorted(set(asked_by.values()))), asked_by)
        raise RavenError(f"The requirements of {folder} cannot be compiled: {sentence}.")
    pins = clean_pins(text)
    if not gpu and re.search(r"^nvidia-(?!ml-py==)", pins, re.MULTILINE):
        raise RavenError(
            "pip found no CPU build of torch; set RAVENML_TORCH_INDEX or PIP_FIND_LINKS to where one is."
        )
    return pins


def read_pins(compiled: Path) -> dict[str, str]:
    """The pins of a compiled file, canonical name to version, less those whose marker excludes this machine.

    Raises:
        InputError: there is no such file, or a line is not a pin.
    """
    if not compiled.is_file():
        raise InputError(f"{compiled} does not exist; `raven plugin compile` compiles it.")
    pins = {}
    for number, line in enumerate(compiled.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        pin = _PIN.match(text)
        if not pin:
            raise InputError(f"{compiled}, line {number}: '{text}' is not a pin such as torch==2.13.0.")
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            pins[canonical(pin[1])] = pin[2].rstrip(";")
    return pins


def update_compiled(
    compiled: Path,
    wanted: Sequence[str],
    under: Path | None,
    made_from: str,
    gpu: bool = False,
    force: bool = False,
    only_check: bool = False,
    by: str = "make requirements",
    asked_by: Mapping[str, str] | None = None,
) -> bool:
    """Compile one file if it is out of date; whether it was.

    Args:
        compiled: the file.
        wanted: the requirements that it is compiled from.
        under: the constraints that hold it, if any.
        made_from: what its first line says about that.
        gpu: leave out builds for the CPU.
        force: take it as out of date.
        only_check: write nothing.
        by: the command that compiles it.
        asked_by: which file wants what, where that is more than one.
    """
    inputs = [*wanted, *(read_requirements(under) if under else [])]
    if not force and is_up_to_date(compiled, inputs):
        return False
    if not only_check:
        asked_by = dict.fromkeys(wanted, made_from) | dict(asked_by or {})
        header = f"# Compiled from {made_from} by `{by}`; do not edit.\n"
        pins = pip_compile(wanted, under, gpu, compiled.parent, asked_by) if wanted else ""
        write_bytes(compiled, f"{header}# inputs: sha256={inputs_digest(inputs)}\n{pins}".encode())
    return True


def compile_plugin(folder: Path, gpu: bool, force: bool = False, only_check: bool = False) -> list[Path]:
    """Compile what one plugin's installation needs and is out of date; the files that were.

    A plugin of a checkout (``plugins/NAME``, with ``plugins/constraints.txt``) is compiled under the
    constraints that hold all plugins to each other, which are brought up to date first; one that lies
    elsewhere stands for itself.

    Raises:
        RavenError: its ``.in`` file is missing, or pip-compile finds no solution.
    """
    name = "requirements-gpu" if gpu else "requirements"
    compiled, source = folder / f"{name}.txt", folder / f"{name}.in"
    constraints, root = folder.parent / "constraints.txt", folder.parent.parent
    if not (constraints.is_file() and (root / "setup.py").is_file() and has_own_script(folder)):
        stale = update_compiled(
            compiled,
            read_requirements(source),
            None,
            source.name,
            gpu=gpu,
            force=force,
            only_check=only_check,
            by="raven plugin compile",
        )
        return [compiled] if stale else []
    return compile_all(root, only_check, force, only={compiled})


def compile_all(
    root: Path, only_check: bool = False, force: bool = False, only: Collection[Path] | None = None
) -> list[Path]:
    """Compile what is out of date below ``root``; the files that were, are given back.

    Args:
        root: the checkout, with ``setup.py`` and ``plugins/``.
        only_check: write nothing.
        force: take everything as out of date, to move to the newest versions.
        only: of the plugins' files, look at these alone.

    Raises:
        RavenError: a source is missing, or pip-compile finds no solution.
    """
    constraints = root / "plugins" / "constraints.txt"
    sources = sorted(root.glob("plugins/*/requirements*.in"))
    plugins = [source for source in sources if has_own_script(source.parent)]
    stale: list[Path] = []

    def look_after(
        compiled: Path,
        wanted: list[str],
        under: Path | None,
        made_from: str,
        gpu: bool,
        asked_by: Mapping[str, str] | None = None,
    ) -> None:
        if update_compiled(compiled, wanted, under, made_from, gpu, force, only_check, asked_by=asked_by):
            stale.append(compiled)

    of_all = core_requirements(root)
    asked_by = dict.fromkeys(of_all, "setup.py")
    for source in plugins:
        if source.stem == "requirements":
            lines = read_requirements(source)
            of_all += lines
            asked_by |= dict.fromkeys(lines, source.relative_to(root).as_posix())
    look_after(constraints, of_all, None, "setup.py and plugins/*/requirements.in", False, asked_by)
    if not constraints.is_file():
        return stale
    for source in plugins:
        compiled, gpu = source.with_suffix(".txt"), source.stem.endswith("-gpu")
        if only is None or compiled in only:
            made_from = f"{source.name} under ../constraints.txt"
            look_after(compiled, read_requirements(source), constraints, made_from, gpu=gpu)
    if only is None and (root / "tests").is_dir():
        compiled, made_from = root / "tests" / "requirements.txt", "setup.py under plugins/constraints.txt"
        look_after(compiled, requirements_for_tests(root), constraints, made_from, gpu=False)
    return stale


def main(arguments: Sequence[str]) -> int:
    """The command line of this file; it is for ``make``, not for people."""
    action, *rest = arguments or [""]
    root = Path.cwd()
    if action not in ("compile", "check"):
        print("usage: python -m ravenml.plugin.requirements compile [--all] | check", file=sys.stderr)
        return 2
    try:
        stale = compile_all(root, only_check=action == "check", force="--all" in rest)
    except RavenError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    for path in stale:
        print(f"{path.relative_to(root)} {'is out of date' if action == 'check' else 'compiled'}")
    return 1 if stale and action == "check" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
