"""What is seen of pip while it works, and why it failed, as a sentence."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ravenml.plugin.pip import explain_failure, run_shown

BOTH = "these contradict each other"
PIP = """\
ERROR: Cannot install -r r.in (line 2) and alpha==1.0 because these versions have conflicting dependencies.

The conflict is caused by:
    The user requested alpha==1.0
    wants-alpha-2 1.0 depends on alpha>=2

To fix this you could try to:
1. loosen the range of package versions you've specified
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/dependency-resolution/
"""
PIP_COMPILE = """\
Traceback (most recent call last):
  File "piptools/resolver.py", line 677, in _do_resolve
pip._vendor.resolvelib.resolvers.ResolutionImpossible: [RequirementInformation(requirement=\
SpecifierRequirement(\
'left<2'), parent=LinkCandidate('https://index.example.org/wants_left-1.5.tar.gz')), RequirementInformation(\
requirement=SpecifierRequirement('left>=2'), parent=None)]

The above exception was the direct cause of the following exception:

pip._internal.exceptions.DistributionNotFound: ResolutionImpossible: for help visit https://pip.pypa.io
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PIP, f"{BOTH}: alpha==1.0, wanted by it.in; and alpha>=2, wanted by wants-alpha-2 1.0"),
        (
            PIP_COMPILE,
            f"{BOTH}: left<2, wanted by wants-left 1.5; and left>=2, wanted by it.in",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement ghost>=3 (from wants-ghost) "
            "(from versions: none)\nERROR: No matching distribution found for ghost>=3\n",
            "no package index has ghost>=3, wanted by wants-ghost",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement alpha==9 "
            "(from versions: 1.0, 2.0)\n",
            "no package index has alpha==9, wanted by it.in; it has 1.0, 2.0",
        ),
        (
            "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken\n"
            "ERROR: Could not find a version that satisfies the requirement x (from versions: none)\n",
            "the package index cannot be reached, and so no package index has x, wanted by it.in",
        ),
        ("Traceback (most recent call last):\n  File 'x'\nKeyError: 'a b'\n", "KeyError: 'a b'"),
        ("ERROR: [Errno 28] No space left on device\n", "ERROR: [Errno 28] No space left on device"),
    ],
)
def test_why_pip_failed_is_a_sentence(text: str, sentence: str):
    assert explain_failure(text, "it.in") == sentence


PROGRAM = """\
echo "Obtaining file:///a%20folder"
echo "Downloading a long name of a wheel that is wider than the terminal by far"
sleep 0.6
echo "  at work"
python3 -c "import nothing_like_it"
"""
SHOWN = """\
import sys
from ravenml.plugin.pip import run_shown
code, text = run_shown(["bash", "-c", sys.argv[1]], "ravenml_x")
print(f"ended with {code}: {text.splitlines()[-1]}")
"""


def test_on_a_terminal_one_line_shows_what_is_being_done_and_for_how_long():
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "40", "LINES": "10"}
    command = [sys.executable, "-c", SHOWN, PROGRAM]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=os.environ | size)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # which says that nobody has the other end any more
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 0
    *live, last = shown.decode().replace("\r\n", "").split("\r\x1b[K")
    assert any(re.fullmatch(r"ravenml_x \(\d s\)  Downloading a long na…", line) for line in live)
    assert any(re.fullmatch(r"ravenml_x \(\d s\)  at work", line) for line in live)
    assert all(len(line) < 40 for line in live)
    assert last == "ended with 1: ModuleNotFoundError: No module named 'nothing_like_it'"


def test_in_a_pipe_these_are_plain_lines_without_tracebacks():
    command = [sys.executable, "-c", SHOWN, PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == (
        "  Obtaining file:///a folder\n"
        "  Downloading a long name of a wheel that is wider than the terminal by far\n"
        "  at work\n"
        "ended with 1: ModuleNotFoundError: No module named 'nothing_like_it'\n"
    )


def test_with_an_input_the_standard_output_alone_comes_back(tmp_path: Path):
    command = ["bash", "-c", "cat; echo noise >&2; pwd"]
    assert run_shown(command, "x", given="in\n", folder=tmp_path) == (0, f"in\n{tmp_path}\n")
    assert run_shown(["bash", "-c", "echo noise >&2; exit 3"], "x", given="") == (3, "noise\n")
