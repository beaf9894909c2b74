"""What ``install_all.sh`` does: ``python -m ravenml.plugin.install_all ROOT [-ugcnfh] [NAME…]``.

Each plugin's own ``install.sh`` installs and uninstalls it, in the plugin's folder.  One that knows nothing
of ravenML's journal is watched: what appears while it runs has come with its plugin.
"""

from __future__ import annotations

import getopt
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from ravenml.errors import RavenError
from ravenml.plugin import pip as processes
from ravenml.plugin.conda import verify
from ravenml.plugin.environment import Environment, canonical
from ravenml.plugin.install import (
    check_installed,
    half_installed,
    install_folder,
    open_settled_journal,
    require_environment,
    run_script,
)
from ravenml.plugin.inventory import PluginSource, find_plugin_folders, find_to_uninstall
from ravenml.plugin.journal import LOCK, UNPINNED, Journal, NotedPlugin, locked
from ravenml.plugin.pip import explain_failure, run_shown, say
from ravenml.plugin.requirements import has_own_script
from ravenml.plugin.uninstall import UninstallPlan, execute_plan, make_plan, summary_table


def install_each(folders: Sequence[PluginSource], options: Sequence[str], dry_run: bool) -> list[str]:
    """Run each plugin's ``install.sh``; the names of those that failed."""
    failed = []
    for folder in folders:
        if dry_run:
            say(f"would run: {shlex.join([str(folder.script), *_accepted(folder, options)])}")
            continue
        say(f"{folder.name}:")
        try:
            if not install_with_script(folder, options):
                failed.append(folder.name)
        except RavenError as error:
            print(f"Error: {error}", file=sys.stderr, flush=True)
            failed.append(folder.name)
    return failed


def install_with_script(folder: PluginSource, options: Sequence[str]) -> bool:
    """Install a plugin with its ``install.sh``, and note what came with it; False where the script has said
    what went wrong.

    Args:
        folder: the plugin's.
        options: ``-g`` and ``-f`` as they were given.

    Raises:
        RavenError: it failed, and nobody has said so.
    """
    gpu, name = "-g" in options, folder.distribution
    with locked():
        journal = open_settled_journal()
        _adopt(folder, name, gpu, journal, Environment())
        known, changed = set(journal.brought), set(journal.changed)
        noted = journal.plugins.get(name) or NotedPlugin(folder=str(folder.path), gpu=gpu, pins={})
        journal.begin(Environment(), pins=None, plugin=name, noted=noted)
        ended_well, text = False, ""
        try:
            ended_well, text = _run_own_script(folder, options)
        finally:
            journal = Journal.open()
            watched = journal.pending is not None  # a script that keeps the journal itself has settled it
            journal.settle(killed=not ended_well)
        if not watched or (has_own_script(folder.path) and not ended_well):
            return ended_well
        try:
            if not ended_well:
                raise RavenError(explain_failure(text, f"{folder.name}/requirements.in") + ".")
            if name not in Environment().packages:
                say(f"  {folder.script} has not installed {name} itself; installing it from its folder.")
                journal.begin(Environment(), {name: UNPINNED}, plugin=name, noted=noted)
                try:
                    install_folder(folder)
                finally:
                    journal.settle()
        except RavenError as error:
            raise half_installed(folder, error, again="install_all.sh") from error
        for one, change in journal.changed.items():
            if one not in changed:
                say(
                    f"  {one} {change['had']['version']} became {change['now']}; `install_all.sh -u` brings "
                    f"{change['had']['version']} back."
                )
        pins = _pinned_or_new(folder, gpu, journal, known)
        journal.plugins[name] = NotedPlugin(folder=str(folder.path), gpu=gpu, pins=pins)
        journal.save()
    came = f"{len(journal.brought.keys() - known - {name})} packages came with it"
    remove = f"`install_all.sh -u {shlex.quote(folder.name)}`"
    check_installed(folder, gpu, came, again="install_all.sh", remove=remove)
    return True


def _pinned_or_new(folder: PluginSource, gpu: bool, journal: Journal, known: set[str]) -> dict[str, str]:
    """What a plugin needs, by name: what its compiled requirements name, and what else came with it."""
    now = Environment().packages
    came = journal.brought.keys() - known - {folder.distribution}
    return {name: now[name].version for name in sorted((_named(folder, gpu).keys() | came) & now.keys())}


def _named(folder: PluginSource, gpu: bool) -> dict[str, str]:
    """What compiled requirements name, whoever has compiled them, with the version (empty: it says none)."""
    file = folder.compiled(gpu)
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[.*?\])?(?: *== *([^\s;]+))?", text, re.MULTILINE)
    return {canonical(name): version for name, version in found}


def _run_own_script(folder: PluginSource, options: Sequence[str]) -> tuple[bool, str]:
    """Run a plugin's ``install.sh`` in its folder, with this Python first on the PATH.

    It shares our lock.  One that keeps the journal shows its progress itself.

    Returns:
        Whether it ended well, and what it printed, if that was not shown.
    """
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PIP_USE_PEP517": "1",  # without it, an older pip leaves files that no metadata names
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        LOCK: str(processes.inherited[0]),
    }
    runner = [] if os.access(folder.script, os.X_OK) else ["bash"]
    command = [*runner, str(folder.script), *_accepted(folder, options)]
    try:
        if not has_own_script(folder.path):
            code, text = run_shown(command, folder.name, environment=environment, folder=folder.path)
            return code == 0, text
        done = subprocess.run(
            command,
            cwd=folder.path,
            env={**os.environ, **environment},
            pass_fds=processes.inherited,
        )
        return done.returncode == 0, ""
    except OSError as error:
        raise RavenError(f"{folder.script} cannot be run: {error.strerror}.") from error


def _accepted(folder: PluginSource, options: Sequence[str]) -> list[str]:
    """The options that a script understands: -f is ravenML's own."""
    return [option for option in options if option != "-f" or has_own_script(folder.path)]


def uninstall(
    root: Path, names: Sequence[str], options: Sequence[str], dry_run: bool
) -> tuple[UninstallPlan, list[str]]:
    """Remove plugins and all that came only with them; what was done, and what could not be.

    Raises:
        InputError: no plugin has this name.
    """
    with nullcontext() if dry_run else locked():
        journal = Journal.open() if dry_run else open_settled_journal()
        environment = Environment()
        chosen = find_to_uninstall(root, names, environment, journal)
        folders = find_plugin_folders(root)
        unclear: dict[str, str] = {}
        for name, folder in chosen.items():
            unclear |= _adopt(folder, name, "-g" in options, journal, environment)
        plan = make_plan(journal, environment, list(chosen), folders)
        plan.keep = unclear | plan.keep
        if not plan.journaled and plan.plugins:
            say("There is no journal of earlier packages, so dependencies stay.")
        if dry_run or not (plan.plugins or plan.remove or plan.restore or plan.repair or plan.own):
            if not dry_run:
                journal.forget_what_is_as_before(environment)
                journal.save()
            return plan, []
        plan.note_folders(environment)
        journal = _uninstall_with_scripts(plan, journal, chosen, options)
        environment = Environment()
        now = make_plan(journal, environment, list(chosen), folders, already_gone=plan.plugins)
        now.journaled, now.emptied = plan.journaled, plan.emptied
        now.keep = {name: why for name, why in unclear.items() if name in environment.packages} | now.keep
        now.repair += [
            name for name in plan.repair if name in environment.packages and name not in now.repair
        ]
        return now, execute_plan(now, journal, environment)


def _adopt(
    folder: PluginSource, name: str, gpu: bool, journal: Journal, environment: Environment
) -> dict[str, str]:
    """Note what came with a plugin whose ``install.sh`` was run by hand and keeps no journal.

    It has compiled its requirements and installed them after that: what is older was there before.  Where it
    has not installed the plugin itself, that it was run shows in all of them being there, as compiled.

    Returns:
        What its compiled requirements name and may have been there before, with the reason to keep it.
    """
    compiled, now = folder.compiled(gpu), environment.packages
    keeps_one = name in journal.plugins or has_own_script(folder.path)
    if keeps_one or not folder.script.is_file() or not compiled.is_file():
        return {}
    wanted = _named(folder, gpu)
    pins = {one: now[one].version for one in sorted((wanted.keys() & now.keys()) - {name, "ravenml"})}
    since = compiled.stat().st_mtime
    came = {one: version for one, version in pins.items() if environment.installed_at(one) >= since}
    whole = all(
        one in now and version.split("+")[0] in (now[one].version.split("+")[0], "")
        for one, version in wanted.items()
    )
    if name not in now and not (whole and came):
        return {}
    journal.adopt(environment, name, NotedPlugin(folder=str(folder.path), gpu=gpu, pins=pins), came)
    why = f"it is older than {folder.name}/{compiled.name}, and so may have been there before"
    return {one: why for one in pins if one not in journal.brought}


def _uninstall_with_scripts(
    plan: UninstallPlan, journal: Journal, chosen: Mapping[str, PluginSource], options: Sequence[str]
) -> Journal:
    """Call the ``install.sh -u`` of each installed plugin that still has one; the journal after that."""
    notes = {name: noted for name, noted in journal.plugins.items() if name in plan.plugins}
    changed = set(journal.changed)
    for name in plan.plugins:
        folder = chosen[name]
        if not folder.script.is_file():
            continue
        journal.repair = plan.repair
        journal.begin(Environment(), pins=None)
        ended_well = False
        try:
            ended_well, text = _run_own_script(folder, ["-u", *options])
        finally:
            journal = Journal.open()
            journal.settle(killed=not ended_well)
        if not ended_well:
            why = f": {explain_failure(text)}" if text else ""
            say(f"Note: {folder.script} -u failed, and the plugin is removed without it{why}.")
    for name in plan.plugins:  # it is not to come back
        if name not in changed:
            journal.changed.pop(name, None)
    journal.plugins |= notes  # what they needed is still to be gone through
    return journal


def run(root: Path, given: set[str], names: Sequence[str]) -> int:
    """Do what the options ask for; the exit code.

    Raises:
        RavenError: a plugin failed, or something could not be removed, restored or put back.
    """
    dry_run = "-n" in given
    require_environment("-f" in given)
    options = [option for option in ("-g", "-f") if option in given]
    failed: list[str] = []
    problems: list[str] = []
    plan = None
    if "-u" in given:
        plan, problems = uninstall(root, names, options, dry_run)
    else:
        failed = install_each(find_plugin_folders(root, names), options, dry_run)
    put_back: list[str] = []
    if "-c" in given:
        try:
            put_back, sentence = verify(root / "environment.yml", dry_run)
            say(sentence)
        except RavenError as error:
            problems.append(str(error))
    if plan is not None:
        say(summary_table(plan, put_back, would=dry_run))
    elif put_back:
        say(f"{'would restore' if dry_run else 'restored'}  {', '.join(put_back)}")
    if failed:
        problems.append(f"these failed, see above: {', '.join(failed)}.")
    if problems:
        raise RavenError("\n".join(problems))
    return 0


def main(arguments: Sequence[str]) -> int:
    """The command line behind ``install_all.sh``."""
    root, *rest = arguments
    given: set[str] = set()
    names: list[str] = []
    while rest:  # options may stand behind names as well
        options, rest = getopt.getopt(rest, "ugcnfh")
        given |= {name for name, _ in options}
        names += rest[:1]
        rest = rest[1:]
    if "-h" in given:
        return subprocess.run([Path(root) / "install_all.sh", "-h"]).returncode
    return run(Path(root).resolve(), given, names)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(run_script("install_all.sh", lambda: main(sys.argv[1:])))
