"""An installation, or a removal, that is killed at some instant: the next one brings back the first list."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from documented import write_documented
from local_wheels import Checkout, Environment, killed_after


def duration(environment: Environment, *command: str | Path) -> float:
    start = time.monotonic()
    environment.ok(*command)
    return time.monotonic() - start


@pytest.mark.slow
def test_an_installation_killed_at_any_instant_is_undone_byte_for_byte(
    environment: Environment, checkout: Checkout
):
    checkout.plugin("large", ["gamma==1.0", "alpha==2.0", "twin-b==1.0"])
    environment.pip("install", "-q", "alpha==1.0", "twin-a")
    first, files = environment.freeze(), environment.everything()
    whole = duration(environment, checkout.install_all)
    environment.ok(checkout.install_all, "-u", "-c")
    killed = 0
    for part in (0.15, 0.25, 0.3, 0.35, 0.4, 0.5, 0.65, 0.8):
        killed += killed_after(environment, part * whole, checkout.install_all)
        environment.ok(checkout.install_all, "-u", "-c")
        assert environment.freeze() == first, part
        assert environment.everything() == files, part
    assert killed >= 3


KILLS = int(os.environ.get("RAVENML_TEST_KILLS", "4"))


@pytest.mark.slow
@pytest.mark.timeout(300 + 120 * KILLS)
def test_random_kills_leave_nothing_anywhere_in_the_environment(
    environment: Environment, wheels: Path, tmp_path: Path
):
    """Of files outside of the packages too, with a script that keeps no journal, while versions change."""
    checkout = Checkout.make(tmp_path / "checkout", wheels)
    checkout.plugin("large", ["gamma==1.0", "delta==1.0", "twin-b==1.0"])
    watched = write_documented(checkout.root / "plugins", "watched", ["delta", "alpha>=2"])
    (watched / "ravenml_watched" / "core.py").write_text("import click\n@click.group()\ndef watched(): ...\n")
    environment.pip("install", "-q", "alpha==1.0", "twin-a", "pip-tools")
    files, content = environment.everything(), environment.digest()
    whole = duration(environment, checkout.install_all)
    assert "delta.txt" in environment.everything()
    environment.ok(checkout.install_all, "-u", "-c")
    assert environment.everything() == files and environment.digest() == content
    moments, killed = random.Random(KILLS), 0
    for number in range(KILLS):
        part = moments.uniform(0.05, 1)
        killed += killed_after(environment, part * whole, checkout.install_all)
        environment.ok(checkout.install_all, "-u", "-c")
        assert environment.everything() == files, (number, part)
        assert environment.digest() == content, (number, part)
        print(f"kill {number + 1} at {part:.2f}: nothing is left", flush=True)
    assert killed >= KILLS // 2


def test_what_a_person_put_there_after_a_kill_is_not_taken_for_what_it_left(
    environment: Environment, checkout: Checkout
):
    files = environment.everything()
    environment.ok(checkout.script("tiny"))
    half(environment)
    journal = environment.path / "share" / "ravenml" / "journal.json"
    long_ago = time.time() - 3600
    os.utime(journal, (long_ago, long_ago))
    mine = environment.path / "bin" / "my-script"
    mine.touch()
    environment.ok(checkout.install_all, "-u")
    assert mine.exists()
    mine.unlink()
    left = set(environment.everything()) - set(files)
    assert all("beta" in path or "alpha" in path for path in left)  # the kill was an hour ago, they are new


@pytest.mark.slow
def test_a_removal_killed_at_any_instant_is_finished_by_the_next(
    environment: Environment, checkout: Checkout
):
    checkout.plugin("large", ["gamma==1.0", "alpha==2.0", "twin-b==1.0"])
    environment.pip("install", "-q", "alpha==1.0", "twin-a")
    first, files = environment.freeze(), environment.everything()
    environment.ok(checkout.install_all)
    whole = duration(environment, checkout.install_all, "-u")
    killed = 0
    for part in (0.25, 0.45, 0.6, 0.75):
        environment.ok(checkout.install_all)
        killed += killed_after(environment, part * whole, checkout.install_all, "-u")
        environment.ok(checkout.install_all, "-u", "-c")
        assert environment.freeze() == first, part
        assert environment.everything() == files, part
    assert killed >= 1


@pytest.mark.slow
def test_a_kill_while_pip_has_files_put_aside_loses_nothing(environment: Environment, checkout: Checkout):
    """Killed at the instant at which a distribution is gone and its successor has not come."""
    checkout.plugin("large", ["gamma==1.0", "alpha==2.0", "twin-b==1.0"])
    environment.pip("install", "-q", "alpha==1.0", "twin-a")
    first, files = environment.freeze(), environment.everything()
    moments = [
        ([], "alpha-1.0.dist-info"),  # the user's version gives way
        (["-u"], "gamma-1.0.dist-info"),  # what came goes
        (["-u"], "alpha-2.0.dist-info"),  # the user's version comes back
        (["-u"], "twin_a-1.0.dist-info"),  # what shared its files is installed again
        (["-u"], "twin_a-1.0.dist-info/INSTALLER"),
    ]
    for options, vanishes in moments:
        if options:
            environment.ok(checkout.install_all)
        process = subprocess.Popen(
            [checkout.install_all, *options],
            env=environment.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while (environment.site / vanishes).exists() and process.poll() is None:
            pass
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        environment.ok(checkout.install_all, "-u", "-c")
        assert environment.freeze() == first, vanishes
        assert environment.everything() == files, vanishes


def test_a_pip_that_outlives_its_killed_script_is_waited_for(environment: Environment, checkout: Checkout):
    code = (
        "import os, subprocess, sys\n"
        "from ravenml.plugin import pip\n"
        "from ravenml.plugin.journal import locked\n"
        "with locked():\n"
        "    child = [sys.executable, '-c', 'import time; time.sleep(3)']\n"
        "    subprocess.Popen(child, pass_fds=pip.inherited, stdout=2)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    files = environment.everything()
    python = environment.path / "bin" / "python"
    killed = subprocess.Popen([python, "-P", "-c", code], env=environment.variables())
    assert killed.wait() == -signal.SIGKILL
    done = environment.run(checkout.install_all, "-u")
    assert done.returncode == 1 and "Another install.sh is running" in done.stderr
    time.sleep(3)
    environment.ok(checkout.install_all, "-u")
    assert environment.everything() == files


@pytest.mark.slow  # 30 s: five installations, four of them killed
def test_what_a_killed_installation_left_is_cleared_and_the_next_one_completes_it(
    environment: Environment, checkout: Checkout
):
    first, files = environment.freeze(), environment.everything()
    environment.ok(checkout.script("tiny"))
    # As a kill would have left it: the change is still pending, alpha has no RECORD of pip's yet, beta has
    # files and no metadata, and pip's own folder of replaced files lies about.
    half(environment)
    raven = environment.path / "bin" / "raven"
    assert "an installation of ravenml-tiny was interrupted" in environment.ok(raven, "plugin", "list")
    said = environment.ok(checkout.script("tiny"))
    assert "An installation was interrupted; removed what it left" in said
    assert {"alpha==2.0", "beta==1.0", "ravenml-tiny==0.3"} <= set(environment.freeze().splitlines())
    half(environment)
    environment.ok(checkout.install_all, "-u")
    assert environment.freeze() == first and environment.everything() == files


def half(environment: Environment) -> None:
    """Take an installation of ``tiny`` apart, into what a killed one leaves."""
    journal = environment.path / "share" / "ravenml" / "journal.json"
    written = json.loads(journal.read_text())
    entries = {
        str(folder): [
            path.name
            for path in folder.iterdir()
            if not path.name.startswith(("alpha", "beta", "ravenml_tiny", "__editable__", "__pycache__", "~"))
        ]
        for folder in (environment.site, environment.path / "bin")
    }
    pins = {"alpha": "2.0", "beta": "1.0", "ravenml-tiny": "?"}
    written["pending"] = {
        "plugin": "ravenml-tiny",
        "before": written["before"],
        "pins": pins,
        "entries": entries,
    }
    written["brought"] = {}
    journal.write_text(json.dumps(written))
    (environment.site / "alpha-2.0.dist-info" / "RECORD").unlink()
    shutil.rmtree(environment.site / "beta-1.0.dist-info")
    (environment.site / "~eta").mkdir()
