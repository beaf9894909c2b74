"""How many of the names of ``supervisely_lib`` that real plugins use are there in ravenML's SDK.

    python benchmarks/sly_names.py CHECKOUT [CHECKOUT …] [--missing]

Each checkout is one of Supervisely's repository, or of a fork, of 2018 to 2020: every folder with a
``plugin_info.json`` is a plugin; what lies at one path in several checkouts is one.  Their sources are read
and never run.  Names are counted as the sources write them (``TaskPaths.DATA_DIR``).  Names that exist, but
report when used that they cannot work here, are counted separately.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from ravenml.sly.module_alias import Support, find_support
from ravenml.sly.used_names import find_used_names

LIMITS = {"nn": 1.0, "import": 27 / 34}  # the share of plugins that must resolve completely
NAMES = 225 / 243  # the share of the names


def find_plugins(checkouts: list[Path]) -> dict[str, set[str]]:
    """The names that each plugin uses, by its path in the checkout; without those that use none."""
    used: defaultdict[str, set[str]] = defaultdict(set)
    for checkout in checkouts:
        for file in checkout.rglob("plugin_info.json"):
            path = file.parent.relative_to(checkout).as_posix()
            names = find_used_names(file.parent)
            used[path].update(name for name in names if was_there(checkout / "supervisely_lib", name))
    return {path: names for path, names in sorted(used.items()) if names}


def was_there(library: Path, name: str) -> bool:
    """Whether the checkout's own library has a name: plugins keep files that nothing imports any more."""
    folder = library
    for part in name.split("."):
        if not (folder / part).is_dir():
            beginning = folder / "__init__.py"
            known = beginning.read_text() if beginning.is_file() else ""
            return (folder / f"{part}.py").is_file() or re.search(rf"\b{part}\b", known) is not None
        folder /= part
    return True


def kind_of(path: str) -> str:
    """The kind of a plugin, after its place; the tutorials' are networks."""
    parts = path.split("/")
    return "nn" if parts[0] == "help" else parts[1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT")
    parser.add_argument("--missing", action="store_true", help="list the names that are missing, and users")
    arguments = parser.parse_args()
    plugins = find_plugins(arguments.checkouts)
    support = {name: find_support(name) for name in sorted(set().union(*plugins.values()))}

    count = Counter(support.values())
    there = len(support) - count[Support.MISSING]
    print(f"{len(plugins)} plugins use {len(support)} names: {there} are there,", end=" ")
    print(f"{count[Support.REFUSED]} of them say when used that they cannot work.")
    fails = there / len(support) < NAMES
    for kind in sorted({kind_of(path) for path in plugins}):
        wanted = [names for path, names in plugins.items() if kind_of(path) == kind]
        whole = [names for names in wanted if all(support[name] is not Support.MISSING for name in names)]
        works = [names for names in wanted if all(support[name] is Support.AVAILABLE for name in names)]
        fails |= len(whole) / len(wanted) < LIMITS.get(kind, 0)
        print(f"  {kind:8} {len(whole)} of {len(wanted)} resolve completely, {len(works)} without refusals")
    if arguments.missing:
        for kept in (Support.MISSING, Support.REFUSED):
            print(f"\n{kept.value.capitalize()}:")
            users = {
                name: [path for path, names in plugins.items() if name in names]
                for name, found in support.items()
                if found is kept
            }
            for name, paths in sorted(users.items(), key=lambda item: -len(item[1])):
                print(f"  {len(paths):3} {name}  ({', '.join(paths[:3])})")
    return int(fails)


if __name__ == "__main__":
    sys.exit(main())
