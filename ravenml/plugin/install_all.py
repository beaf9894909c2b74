"""What ``install_all.sh`` does: ``python -m ravenml.plugin.install_all ROOT [-ugcnfh] [NAME…]``."""

from __future__ import annotations

import getopt
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from ravenml.errors import RavenError
from ravenml.plugin.conda import verify
from ravenml.plugin.environment import Environment
from ravenml.plugin.install import open_settled_journal, require_environment, run_script, say
from ravenml.plugin.inventory import PluginSource, find_plugin_folders
from ravenml.plugin.journal import Journal, locked
from ravenml.plugin.uninstall import UninstallPlan, execute_plan, make_plan, summary_table


def install_each(folders: Sequence[PluginSource], pass_on: Sequence[str], dry_run: bool) -> list[str]:
    """Run each plugin's ``install.sh``, with this Python first on the PATH; those that failed."""
    failed = []
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    for folder in folders:
        if dry_run:
            say(" ".join(["would run:", str(folder.script), *pass_on]))
            continue
        say(f"{folder.name}:")
        if subprocess.run([folder.script, *pass_on], env=environment).returncode:
            failed.append(folder.name)
    return failed


def uninstall(root: Path, chosen: Sequence[PluginSource], dry_run: bool) -> tuple[UninstallPlan, list[str]]:
    """Remove plugins and all that came only with them; what was done, and what could not be."""
    with nullcontext() if dry_run else locked():
        journal = Journal.open() if dry_run else open_settled_journal()
        environment = Environment()
        names = [folder.distribution for folder in chosen]
        plan = make_plan(journal, environment, names, find_plugin_folders(root))
        if not plan.journaled and plan.plugins:
            say("There is no journal of earlier packages, so dependencies stay.")
        if dry_run or not (plan.plugins or plan.remove or plan.restore or plan.repair or plan.own):
            if not dry_run:
                journal.forget_what_is_as_before(environment)
                journal.save()
            return plan, []
        return plan, execute_plan(plan, journal, environment)


def run(root: Path, given: set[str], names: Sequence[str]) -> int:
    """Do what the options ask for; the exit code.

    Raises:
        RavenError: a plugin failed, or something could not be removed, restored or put back.
    """
    dry_run = "-n" in given
    require_environment("-f" in given)
    folders = find_plugin_folders(root, names)
    failed: list[str] = []
    problems: list[str] = []
    plan = None
    if "-u" in given:
        plan, problems = uninstall(root, folders, dry_run)
    else:
        pass_on = [option for option in ("-g", "-f") if option in given]
        failed = install_each(folders, pass_on, dry_run)
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
