"""docs/python.md: its examples run, one after the other, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.data.demo import write_demo

PAGE = Path(__file__).resolve().parent.parent / "docs" / "python.md"


@pytest.mark.slow
def test_the_examples_run_as_they_stand_there(raven: Raven) -> None:
    """Two short trainings of the real U-Net plugin take a minute."""
    pytest.importorskip("ravenml_unet", reason="the plugin ravenml_unet is not installed")
    write_demo(raven.home / "datasets" / "demo", images=12)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    script = raven.cwd / "guide.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], env=raven.env(), cwd=raven.cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(raven.runs()) == 2
