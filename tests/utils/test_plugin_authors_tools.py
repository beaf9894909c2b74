"""What plugin authors import: metadata that is asked for once, and frameworks that are imported late."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from ravenml.errors import RavenError
from ravenml.utils.plugins import MissingPackage, fill_basic_metadata, lazy_import


class Training:
    """As much of a ``TrainInput`` as matters here."""

    def __init__(self) -> None:
        self.metadata: dict[str, object] = {"created_by": None, "comments": None}


def test_flags_come_before_the_config():
    train = Training()
    train.metadata = {"created_by": "from the config", "comments": "kept", "more": 1}
    fill_basic_metadata(train, name="from a flag")
    assert train.metadata == {"created_by": "from a flag", "comments": "kept", "more": 1}


def test_a_plain_dictionary_will_do():
    assert fill_basic_metadata({"created_by": "Ada"}, comments="first") == {
        "created_by": "Ada",
        "comments": "first",
    }


def test_without_a_terminal_nothing_is_asked():
    train = Training()
    fill_basic_metadata(train)
    assert train.metadata == {"created_by": None, "comments": None}


def on_a_terminal(code: str, answers: str) -> str:
    """What a Python on a terminal of its own prints when these lines are typed."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", dedent(code)], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the terminal is closed
            break
        if not piece:
            break
        said += piece
    child.wait()
    os.close(ours)
    return said.decode()


def test_on_a_terminal_only_what_is_missing_is_asked():
    code = """
        from ravenml.utils.plugins import fill_basic_metadata
        print(fill_basic_metadata({"created_by": None, "comments": None}))
        print(fill_basic_metadata({"created_by": "Ada", "comments": "x"}))
    """
    said = on_a_terminal(code, "Grace\n\n")
    assert "Your name: " in said and "Comments on this training: " in said
    assert "{'created_by': 'Grace', 'comments': None}" in said
    assert said.count("Your name") == 1


MODULE = """
import sys
print("imported", __name__)
value = 3
def double(x): return 2 * x
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "slow_framework.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_framework"
    sys.modules.pop("slow_framework", None)


def test_a_lazy_module_is_imported_at_its_first_use_and_once(module: str, capsys: pytest.CaptureFixture[str]):
    lazy = lazy_import(module)
    assert module not in sys.modules and "not imported yet" in repr(lazy)
    assert lazy.double(lazy.value) == 6
    assert "double" in dir(lazy)
    lazy.value = 4
    assert sys.modules[module].value == 4
    assert capsys.readouterr().out == f"imported {module}\n"


def test_a_missing_package_gives_a_sentence_with_the_install_command():
    with pytest.raises(
        MissingPackage, match="no_such_framework is not installed; install it with `pip install"
    ):
        print(lazy_import("no_such_framework").anything)
    with pytest.raises(ImportError):
        print(lazy_import("no_such_framework.nn").anything)
    with pytest.raises(RavenError, match=r"`\./install\.sh -g`"):
        print(lazy_import("no_such_framework", install="./install.sh -g").anything)


def test_a_plugin_is_told_its_own_install_sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "ravenml_lazy" / "ravenml_lazy"
    package.mkdir(parents=True)
    (package.parent / "install.sh").touch()
    (package / "__init__.py").write_text("")
    code = "from ravenml.utils.plugins import lazy_import\ntf = lazy_import('no_such_framework')\n"
    (package / "core.py").write_text(code)
    monkeypatch.syspath_prepend(package.parent)
    from ravenml_lazy.core import tf  # type: ignore[import-not-found]

    with pytest.raises(MissingPackage, match=f"`{package.parent}/install.sh`"):
        print(tf.constant)


def test_what_a_package_lacks_itself_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "half_there.py").write_text("import no_such_part\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackage, match="half_there needs no_such_part, which is not installed"):
        print(lazy_import("half_there").anything)


def test_a_type_checker_still_sees_the_module(tmp_path: Path):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from ravenml.utils.plugins import lazy_import\n"
        "if TYPE_CHECKING:\n    import json as js\nelse:\n    js = lazy_import('json')\n"
        "reveal_type(js.dumps)\njs.no_such_name\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "-> str" in done.stdout and 'Module has no attribute "no_such_name"' in done.stdout
