"""Measures which lines of the core and the plugins the tests run: ``make test-all COVERAGE=1``.

Tracing every line would make the tests take 1.75 times as long. Slipcover instruments the code as it is
imported instead, and nothing of other packages. What counts are the tests' own processes and the forks that
run ``raven``; an interpreter that a test starts for itself, or that is killed, does not. Importing this
module starts it, if ``RAVENML_TEST_COVERAGE`` names a folder for the notes.

``python tests/line_coverage.py FOLDER`` prints the share of each package.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / "ravenml"), *map(str, sorted(ROOT.glob("plugins/ravenml_*/ravenml_*")))]
OMIT = ["*/ravenml_unet/models/*"]  # torch.compile, which reads bytecode, finds what Slipcover put there
FOLDER = os.environ.get("RAVENML_TEST_COVERAGE")

if FOLDER:  # instrument what this process and its forks import from now on
    import slipcover

    # Code that has run stays instrumented: replacing it under a running server would save little.
    _slipcover = slipcover.Slipcover(d_miss_threshold=2**31 - 1)
    slipcover.ImportManager(_slipcover, slipcover.FileMatcher(sources=SOURCES, omit=OMIT)).__enter__()
    os.register_at_fork(after_in_child=_slipcover.signal_child_process)


def save_coverage() -> None:
    """Write down what ran in this process since it began."""
    if FOLDER:
        seen: dict[str, set[int]] = defaultdict(set)
        for lines_of in (_slipcover.all_seen, _slipcover.newly_seen):
            for file, lines in list(lines_of.items()):
                seen[file] |= lines
        note = json.dumps({file: sorted(lines) for file, lines in seen.items()})
        (Path(FOLDER) / f"{uuid.uuid4().hex}.json").write_text(note)


def package_of(file: str) -> str:
    """``ravenml.data`` for a file of the core, ``ravenml_unet`` for one of a plugin."""
    parts = Path(file).relative_to(ROOT).parts
    if parts[0] == "plugins":
        return parts[2]
    return f"ravenml.{parts[1].removesuffix('.py')}" if len(parts) > 2 else "ravenml"


def main() -> None:
    import slipcover

    ran: dict[str, set[int]] = defaultdict(set)
    for note in Path(sys.argv[1]).glob("*.json"):
        for file, lines in json.loads(note.read_text()).items():
            ran[file].update(lines)
    packages: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    os.chdir(ROOT)
    for file, found in slipcover.Slipcover(source=SOURCES, omit=OMIT).get_coverage()["files"].items():
        lines = set(found["missing_lines"])
        for name in (package_of(str(ROOT / file)), "all"):
            packages[name][0] += len(lines & ran[str(ROOT / file)])
            packages[name][1] += len(lines)
    print(f"{'package':<22}{'lines':>8}{'covered':>9}")
    for name, (covered, total) in sorted(packages.items(), key=lambda pair: (pair[0] == "all", pair[0])):
        print(f"{name:<22}{total:>8,}{covered / max(total, 1):>9.0%}")


if __name__ == "__main__":
    main()
