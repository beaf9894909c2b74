"""What a plugin's ``install.sh`` does: ``python -m ravenml.plugin.install FOLDER [-g] [-u] [-r] [-f] [-d]``.

Before the first change everything that is there is journaled (:mod:`ravenml.plugin.journal`), so that
``install_all.sh -u`` can bring it back; an installation that was killed resumes from there.
"""

from __future__ import annotations

import getopt
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ravenml.errors import InputError, RavenError
from ravenml.plugin.check import loading_error
from ravenml.plugin.driver import check_driver, cuda_conflict
from ravenml.plugin.environment import Environment, Requirement, accepts, in_environment
from ravenml.plugin.inventory import PluginSource
from ravenml.plugin.journal import UNPINNED, Journal, locked
from ravenml.plugin.pip import pip, say
from ravenml.plugin.requirements import compile_plugin, cpu_index_options
from ravenml.plugin.uninstall import execute_plan, make_plan


def require_environment(anywhere: bool) -> None:
    """Make sure that this Python stands in an environment that may be changed.

    Raises:
        RavenError: it does not, and ``anywhere`` is not set.
    """
    if not anywhere and not in_environment():
        raise RavenError(
            "no virtual or conda environment is active; activate one (or -f: install here all the same)."
        )


def install(folder: PluginSource, gpu: bool = False, recompile: bool = False) -> None:
    """Install a plugin and its pinned requirements into this environment, and see that it loads.

    Args:
        folder: where the plugin lies; it is installed so that changes there count at once.
        gpu: take ``requirements-gpu.txt``, after a look at the driver.
        recompile: compile the requirements again even if they are up to date.

    Raises:
        RavenError: something is missing, pip fails, or the plugin does not load; the sentence names it.
    """
    if not (folder.path / "setup.py").is_file() and not (folder.path / "pyproject.toml").is_file():
        raise InputError(f"{folder.path} has no setup.py; it is not a plugin's folder.")
    if gpu:
        check_driver(folder.pins(gpu=True))
    for compiled in compile_plugin(folder.path, gpu, recompile):
        say(f"Compiled {compiled}.")
    pins, script = folder.pins(gpu), shlex.quote(str(folder.script))
    with locked():
        journal = open_settled_journal()
        if gpu:
            check_driver(pins)
            _check_cuda_conflict(folder, pins, journal)
        environment = Environment()
        _announce_changes(folder, environment, journal, pins, gpu)
        journal.begin(
            environment,
            pins | {folder.distribution: UNPINNED},
            plugin=folder.distribution,
            noted={"folder": str(folder.path), "gpu": gpu, "pins": pins},
        )
        say(f"Installing {folder.name} and {len(pins)} pinned packages for {'GPU' if gpu else 'CPU'}.")
        ended_well = False
        try:
            _install_pins(folder, gpu, pins)
            install_folder(folder)
            ended_well = True
        except RavenError as error:
            raise half_installed(folder, error, again=script) from error
        finally:
            journal.settle(killed=not ended_well)
    check_installed(folder, gpu, f"{len(pins)} pinned packages", again=script, remove=f"{script} -u")


def half_installed(folder: PluginSource, error: RavenError, again: str) -> RavenError:
    """What to say of a plugin whose installation failed: why, and what to run."""
    return RavenError(
        f"{folder.name} is not, or only half, installed: {error} Run {again} again, or "
        f"`install_all.sh -u {shlex.quote(folder.name)}` to undo it."
    )


def check_installed(folder: PluginSource, gpu: bool, came: str, again: str, remove: str) -> None:
    """See that a plugin that was just installed loads, and say so.

    Args:
        came: what came with it, in words.
        again, remove: the commands that install it once more, and that remove it.

    Raises:
        RavenError: it does not load.
    """
    problem = loading_error(folder.distribution, folder.path / "requirements.in")
    if problem:
        raise RavenError(
            f"{folder.name} is installed but does not load: {problem}. Run {again} again, or {remove} to "
            "remove it."
        )
    if problem := pip("check", title=folder.name):
        say(f"Note: pip check finds: {problem.rstrip('.')}.")
    say(f"{folder.name} is installed and loads ({'GPU' if gpu else 'CPU'}, {came}).")


def open_settled_journal() -> Journal:
    """The journal, once what an interrupted installation left behind is removed."""
    journal = Journal.open()
    cleared = journal.settle()
    if cleared:
        say(f"An installation was interrupted; removed what it left: {', '.join(cleared)}.")
    return journal


def _announce_changes(
    folder: PluginSource,
    environment: Environment,
    journal: Journal,
    pins: dict[str, str],
    gpu: bool,
) -> None:
    """Say which versions that the user had are about to change."""
    for name, version in pins.items():
        package = environment.packages.get(name)
        if package is None:
            continue
        wrong_build = gpu and name == "torch" and package.version.endswith("+cpu")
        if accepts(Requirement(f"{name}=={version}"), package.version) and not wrong_build:
            continue
        if name not in journal.brought:
            say(
                f"{name} {package.version} becomes {version}, which {folder.name} is pinned to; "
                f"`install_all.sh -u` brings {package.version} back."
            )


def _check_cuda_conflict(folder: PluginSource, pins: dict[str, str], journal: Journal) -> None:
    for name, noted in journal.plugins.items():
        conflict = cuda_conflict(pins, noted["pins"]) if name != folder.distribution else None
        if conflict:
            raise RavenError(
                f"{folder.name} and {name} cannot share an environment on the GPU: {conflict}. Make a second "
                f"virtual environment for {folder.name}, or install one of them for the CPU, without -g; "
                "nothing was changed."
            )


def _install_pins(folder: PluginSource, gpu: bool, pins: dict[str, str]) -> None:
    if not pins:
        return
    with tempfile.TemporaryDirectory() as temporary:
        command = ["install", "-r", str(folder.compiled(gpu))]
        if gpu and "torch" in pins:
            # torch==2.13.0 accepts 2.13.0+cpu, which may be here already, or in a folder that pip looks into
            cuda_only = Path(temporary) / "no-cpu-build.txt"
            cuda_only.write_text(f"torch!={pins['torch']}+cpu\n")
            command += ["-c", str(cuda_only)]
        else:
            command += cpu_index_options(not gpu and "torch" in pins)
        problem = pip(*command, title=folder.name, asked_by=folder.compiled(gpu).name)
    if problem:
        raise RavenError(f"pip says: {problem.rstrip('.')}.")


def install_folder(folder: PluginSource) -> None:
    """Install the plugin itself from its folder, and leave nothing in the folder.

    Raises:
        RavenError: pip fails.
    """
    before = {path.name for path in folder.path.iterdir()}
    # setuptools is a requirement of pip-tools and so of the core: nothing has to be fetched to build it
    problem = pip(
        *("install", "--no-deps", "--no-build-isolation", "-e", str(folder.path)),
        title=folder.name,
        environment={"PIP_USE_PEP517": "1"},  # not as an option: newer versions always do, and forget it
    )
    for made in {path.name for path in folder.path.iterdir()} - before:
        if made.endswith(".egg-info") or made == "build":
            shutil.rmtree(folder.path / made, ignore_errors=True)
    if problem:
        raise RavenError(f"pip says: {problem.rstrip('.')}.")


def uninstall_alone(folder: PluginSource) -> None:
    """Uninstall the plugin and leave its dependencies.

    Raises:
        RavenError: pip fails.
    """
    with locked():
        journal = Journal.open()
        journal.settle()
        environment = Environment()
        plan = make_plan(journal, environment, [folder.installed_name(environment, journal)])
        if not plan.plugins:
            say(f"{folder.name} is not installed.")
            journal.forget_what_is_as_before(environment)
            journal.save()
            return
        # what it needed stays, and stays in the journal, for install_all.sh -u
        plan.remove, plan.restore, plan.own, plan.repair = {}, {}, {}, list(journal.repair)
        problems = execute_plan(plan, journal, environment)
    if problems:
        raise RavenError(f"{folder.name} is not uninstalled: {' '.join(problems)}")
    say(f"{folder.name} is uninstalled; its dependencies stay (`install_all.sh -u` removes them too).")


def run_script(script: str, run: Callable[[], int]) -> int:
    """Do what a script asks for; its exit code: 0, 1 failed, 2 unusable input, 130 interrupted.

    SIGTERM and SIGHUP end this process as an exception does, so that the journal is settled.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        return run()
    except getopt.GetoptError as error:
        print(f"Error: {error}; see {script} -h.", file=sys.stderr)
        return 2
    except RavenError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "Interrupted; run it again to resume, or install_all.sh -u to remove what was installed.",
            file=sys.stderr,
        )
        return 130


def main(arguments: Sequence[str]) -> int:
    """The command line behind ``install.sh``."""
    options, rest = getopt.getopt(list(arguments[1:]), "gurfdh")
    given = {name for name, _ in options}
    if "-h" in given:
        return subprocess.run([Path(arguments[0]) / "install.sh", "-h"]).returncode
    if rest:
        raise InputError(f"install.sh takes no argument '{rest[0]}'; see install.sh -h.")
    require_environment("-f" in given)
    folder = PluginSource(Path(arguments[0]).resolve())
    if "-u" in given:
        uninstall_alone(folder)
    else:
        install(folder, gpu="-g" in given, recompile="-r" in given)
    return 0


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(run_script("install.sh", lambda: main(sys.argv[1:])))
