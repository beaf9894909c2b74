"""Taking plugins away without a trace: what came only with them goes, what they changed comes back.

A plan is made first and can be shown without doing it; doing it can be interrupted at any instant and begun
again, because the journal says what was to be done.  Only pip, as a process of its own, changes anything, and
all that this process needs is imported before: the environment may lose what it stands on.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ravenml.plugin.environment import Environment, InstalledPackage, accepts, canonical, origin_path
from ravenml.plugin.inventory import PluginSource
from ravenml.plugin.journal import Journal, package_from_journal
from ravenml.plugin.leftovers import remove_empty
from ravenml.plugin.pip import pip
from ravenml.plugin.requirements import cpu_index_options

_JOINED = "\x1f"  # a space at which no line is broken


@dataclass
class UninstallPlan:
    """What uninstalling would do.

    Attributes:
        plugins: the plugins that go, name to version.
        remove: what came only with them, name to version.
        keep: what stays although it came with them, name to the reason.
        restore: what gets back the version that it had: name to the version now (None: it is missing) and
            the package as it was.
        repair: what is installed again because a removed distribution owns files of it.
        own: what the user has changed since; from now on it is the user's, name to the reason.
        journaled: whether there is a journal of how these plugins came.
        emptied: what goes if nothing is left in it: folders in which files of what goes lie, and the file by
            which Python finds a plugin's folder.
    """

    plugins: dict[str, str] = field(default_factory=dict)
    remove: dict[str, str] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)
    restore: dict[str, tuple[str | None, InstalledPackage]] = field(default_factory=dict)
    repair: list[str] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)
    journaled: bool = True
    emptied: set[str] = field(default_factory=set)

    def note_folders(self, environment: Environment) -> None:
        """Note where the files lie of what goes, as long as it is there."""
        for name in {*self.plugins, *self.remove, *self.restore} & environment.distributions.keys():
            self.emptied |= {os.path.dirname(file) for file in environment.files(name)}
            if name in environment.links:
                self.emptied.add(str(environment.links[name].with_name("easy-install.pth")))


def make_plan(
    journal: Journal,
    environment: Environment,
    chosen: Sequence[str],
    folders: Sequence[PluginSource] = (),
    already_gone: Mapping[str, str] | None = None,
) -> UninstallPlan:
    """Work out what goes, stays and comes back when the plugins ``chosen`` are taken away.

    Args:
        journal: settled.
        environment: as it is now.
        chosen: canonical names of the plugins' distributions.
        folders: the plugins of the checkout: for those that were installed by hand, and so stand in no
            journal, the compiled file says what they need.
        already_gone: those of the chosen that are uninstalled already, name to version.
    """
    now = environment.packages
    plan = UninstallPlan(journaled=not journal.is_empty)
    plan.plugins = {name: now[name].version for name in chosen if name in now} | dict(already_gone or {})
    installed = environment.plugins()
    pins_of_others = {
        name: noted["pins"] for name, noted in journal.plugins.items() if name not in chosen and name in now
    }
    for name in installed:
        if name in chosen or name in pins_of_others:
            continue
        found = environment.distributions.get(name) or environment.external[name]
        for folder in folders:
            if folder.path == origin_path(found) or canonical(folder.name) == name:
                pins_of_others[name] = {**folder.pins(gpu=True), **folder.pins()}
    strangers = [name for name in installed if name not in chosen and name not in pins_of_others]

    brought = {}
    for name, version in journal.brought.items():
        if name in now and name not in plan.plugins and name not in pins_of_others:
            if now[name].version == version:
                brought[name] = version
            else:
                plan.own[name] = f"you changed it since, from {version} to {now[name].version}"
    if strangers:
        plan.keep = dict.fromkeys(brought, _foreign_reason(strangers))
    else:
        plan.keep = _still_needed(environment, brought, set(plan.plugins), pins_of_others)
        plan.remove = {name: version for name, version in brought.items() if name not in plan.keep}
    _plan_versions(plan, journal, environment, pins_of_others, strangers)
    known = [journal.plugins[name]["pins"] for name in chosen if name in journal.plugins]
    if len(known) == len(plan.plugins) > 0:  # what came with another plugin need not be spoken of
        plan.keep = {name: why for name, why in plan.keep.items() if any(name in pins for pins in known)}
    gone = [*plan.plugins, *plan.remove]
    plan.repair = _sharing_files(environment, gone, set(plan.restore))
    plan.repair += [name for name in journal.repair if name in now and name not in [*gone, *plan.repair]]
    return plan


def _foreign_reason(strangers: Sequence[str]) -> str:
    return f"{', '.join(strangers)} is a training plugin from elsewhere, and may need it without saying so"


def _still_needed(
    environment: Environment,
    brought: Mapping[str, str],
    going: set[str],
    pins_of_others: Mapping[str, Mapping[str, str]],
) -> dict[str, str]:
    """Which of ``brought`` somebody else needs, and who."""
    reasons: dict[str, str] = {}
    for plugin, pins in pins_of_others.items():
        reasons |= {name: f"{plugin} needs it" for name in pins if name in brought and name not in reasons}
    everything = environment.distributions.keys() | environment.external.keys()
    roots = (everything - going - brought.keys()) | reasons.keys()
    for name, by in environment.dependencies_of(roots).items():
        if name in brought:
            reasons.setdefault(name, f"{by} needs it")
    return {name: reasons[name] for name in sorted(reasons)}


def _plan_versions(
    plan: UninstallPlan,
    journal: Journal,
    environment: Environment,
    pins_of_others: Mapping[str, Mapping[str, str]],
    strangers: Sequence[str],
) -> None:
    now = environment.packages
    for name, change in sorted(journal.changed.items()):
        had = package_from_journal(name, change["had"])
        version = now[name].version if name in now else None
        others = [plugin for plugin, pins in pins_of_others.items() if name in pins]
        if version is not None and version != change["now"]:
            plan.own[name] = f"you changed it since, from {change['now']} to {version}"
        elif version is not None and strangers:
            plan.keep[name] = _foreign_reason(strangers)
        elif version is not None and others:
            plan.keep[name] = f"{others[0]} needs it at {version}"
        elif version is not None and (who := _would_break(plan, journal, environment, had)):
            plan.keep[name] = f"{who} does not work with {had.version}, which was there before"
        else:
            plan.restore[name] = (version, had)


def _would_break(
    plan: UninstallPlan, journal: Journal, environment: Environment, had: InstalledPackage
) -> str | None:
    """Who came, or was changed, after ours and cannot live with the former version."""
    for name, package in environment.packages.items():
        noted = journal.before.get(name)
        is_as_before = noted is not None and package.version == noted["version"]
        ours = name in journal.changed and name not in plan.own
        if ours or name in plan.plugins or name in plan.remove or is_as_before:
            continue
        for requirement in environment.needs(name):
            if canonical(requirement.name) == had.name and not accepts(requirement, had.version):
                return f"{name} {package.version}"
    return None


def _sharing_files(environment: Environment, gone: Sequence[str], restored: set[str]) -> list[str]:
    """The distributions that stay and own files which one of ``gone`` owns as well."""
    files = {name: environment.files(name) for name in gone if name in environment.distributions}
    leaving = set().union(*files.values()) if files else set()
    return [
        name
        for name in sorted(environment.distributions)
        if name not in files and name not in restored and leaving & environment.files(name)
    ]


def execute_plan(plan: UninstallPlan, journal: Journal, environment: Environment) -> list[str]:
    """Do what the plan says; what could not be done comes back, a sentence each.

    The journal forgets what was done and remembers what was not, so that it can be tried again.
    """
    gone = [name for name in (*plan.plugins, *plan.remove) if name in environment.distributions]
    journal.repair = plan.repair
    journal.begin(environment, pins={})
    problems = []
    plan.note_folders(environment)
    if gone and (problem := pip("uninstall", "-y", *gone, title="Removing")):
        problems.append(f"pip could not uninstall: {problem}")
    for name in _install_again([package for _, package in plan.restore.values()], problems):
        plan.restore.pop(name)
    repairs = [environment.packages[name] for name in plan.repair]
    failed = _install_again(repairs, problems)
    journal.repair = [name for name in plan.repair if name in failed]
    for name in plan.own:
        journal.brought.pop(name, None)
        journal.changed.pop(name, None)
    remove_empty(plan.emptied, environment)
    journal.settle(killed=False)
    journal.forget_what_is_as_before(Environment())
    journal.save()
    return problems


def _install_again(packages: Sequence[InstalledPackage], problems: list[str]) -> list[str]:
    """Install these at just these versions, and nothing else; the names of those where it failed."""
    if not packages:
        return []
    has_cpu_build = any("+cpu" in package.version for package in packages)
    command = ["install", "--force-reinstall", "--no-deps", *cpu_index_options(has_cpu_build)]
    together = [argument for package in packages for argument in package.requirement()]
    if pip(*command, *together, title="Restoring") is None:
        return []
    failed = []  # one of them is at fault; the others should not suffer
    for package in packages:
        problem = pip(*command, *package.requirement(), title=package.name)
        if problem:
            failed.append(package.name)
            problems.append(f"{package.name} {package.version} could not be installed again: {problem}")
    return failed


def summary_table(plan: UninstallPlan, put_back: Sequence[str] = (), would: bool = False) -> str:
    """The short table at the end: removed, kept and why, restored.

    Args:
        plan: what was done, or is to be done.
        put_back: what ``-c`` has put back.
        would: nothing was done yet.
    """
    removed = [
        f"{name}{_JOINED}{version}" for name, version in sorted({**plan.plugins, **plan.remove}.items())
    ]
    why: dict[str, list[str]] = {}
    for name, reason in sorted({**plan.keep, **plan.own}.items()):
        why.setdefault(reason, []).append(name)
    kept = [f"{', '.join(names)}: {reason}" for reason, names in why.items()]
    restored = [
        f"{name} {package.version} ({f'was {version}' if version else 'was missing'})"
        for name, (version, package) in plan.restore.items()
    ]
    restored += [f"{name} (installed again: a removed one owned files of it)" for name in plan.repair]
    restored += put_back
    words = ("would remove", "would keep", "would restore") if would else ("removed", "kept", "restored")
    return "\n".join(
        _row(*row)
        for row in (
            (words[0], [", ".join(removed)] if removed else []),
            (words[1], kept),
            (words[2], restored),
        )
    )


def _row(title: str, lines: Sequence[str]) -> str:
    indent = " " * 15
    text = "\n".join(
        textwrap.fill(line, 110, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for line in (lines or ["nothing"])
    )
    return f"{title:<15}{text[len(indent) :]}".replace(_JOINED, " ")
