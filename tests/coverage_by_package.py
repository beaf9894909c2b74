"""Prints how many of each package's lines the tests ran, after ``pytest --cov``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path, PurePath


def package_of(file: str) -> str:
    """``ravenml.data`` for a file of the core, ``ravenml_unet`` for one of a plugin."""
    parts = PurePath(file).parts
    if parts[0] == "plugins":
        return parts[2]
    return f"ravenml.{parts[1].removesuffix('.py')}" if len(parts) > 2 else "ravenml"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", report], check=True)
        files = json.loads(report.read_text())["files"]
    packages: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file, found in files.items():
        for name in (package_of(file), "all"):
            packages[name][0] += found["summary"]["covered_lines"]
            packages[name][1] += found["summary"]["num_statements"]
    print(f"{'package':<22}{'lines':>8}{'covered':>9}")
    for name, (covered, lines) in sorted(packages.items(), key=lambda pair: (pair[0] == "all", pair[0])):
        print(f"{name:<22}{lines:>8}{covered / max(lines, 1):>8.0%}")


if __name__ == "__main__":
    main()
