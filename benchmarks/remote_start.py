"""From the command to the script's first line: `raven run --remote local` beside a bare Ray job.

    python benchmarks/remote_start.py [--rounds 5]

Both sides use the same Ray of this machine, which is up already, and the same script, which prints the time.
The bare job is submitted by Ray's own command line (`ray job submit`), as a user would; for orientation also
through Ray's HTTP API, without starting any command.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ravenml.remote.client import local_ray
from ravenml.remote.client.ray_api import RayJobs

SCRIPT = "import time\nprint('first line', time.time(), flush=True)\n"


def first_line(text: str) -> float | None:
    """The time that the script printed."""
    for line in text.splitlines():
        if line.startswith("first line"):
            return float(line.split()[2])
    return None


def raven(home: Path, code: Path, jobs: RayJobs) -> float:
    """Seconds until the first line of a run."""
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "ravenml", "run", "--remote", "local", "--", "python", "script.py"],
        cwd=code,
        capture_output=True,
        text=True,
        check=True,
    )
    run_id = done.stdout.split()[1]
    mirror = home / "remote" / "mirror" / "remote" / run_id / "grow"
    while True:
        for piece in mirror.glob("console.log@*"):
            if (seen := first_line(piece.read_text())) is not None:
                return seen - begun
        time.sleep(0.05)


def bare(code: Path, jobs: RayJobs, number: int) -> float:
    """Seconds until the first line of a job of `ray job submit`."""
    begun = time.time()
    name = f"bare-{number}"
    subprocess.run(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit", f"--address={jobs.address}"),
            *(f"--submission-id={name}", "--no-wait", "--working-dir", str(code), "--"),
            *(sys.executable, "script.py"),
        ],
        capture_output=True,
        check=True,
        env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": str(jobs.token)},
    )
    return wait(jobs, name) - begun


def api(code: Path, jobs: RayJobs, number: int) -> float:
    """Seconds until the first line of a job that is one HTTP request."""
    begun = time.time()
    jobs.submit(f"api-{number}", f"{sys.executable} {code / 'script.py'}", {}, {})
    return wait(jobs, f"api-{number}") - begun


def wait(jobs: RayJobs, name: str) -> float:
    """The time that the job's script printed."""
    while True:
        if (seen := first_line(jobs.logs(name))) is not None:
            return seen
        time.sleep(0.05)


def main() -> int:
    """Measure in turns, and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="remote-start-") as scratch:
        home, code = Path(scratch) / "home", Path(scratch) / "code"
        os.environ["RAVENML_STORAGE_PATH"] = str(home)
        code.mkdir()
        (code / "script.py").write_text(SCRIPT)
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(code)]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run([*git, *words], check=True)
        try:
            with local_ray.in_use() as jobs:
                pass
            times: dict[str, list[float]] = {"raven": [], "ray job submit": [], "HTTP request": []}
            for number in range(rounds + 1):
                one = raven(home, code, jobs), bare(code, jobs, number), api(code, jobs, number)
                if number:  # the first round fills Ray's and the system's caches
                    for name, seconds in zip(times, one, strict=True):
                        times[name].append(seconds)
            for name, found in times.items():
                print(f"{name:16s} {statistics.median(found):5.2f} s  ({min(found):.2f} to {max(found):.2f})")
            more = statistics.median(times["raven"]) - statistics.median(times["ray job submit"])
            print(f"raven takes {more:.2f} s more than a bare job (limit 1.5 s)")
            return 0 if more <= 1.5 else 1
        finally:
            local_ray.stop()


if __name__ == "__main__":
    sys.exit(main())
