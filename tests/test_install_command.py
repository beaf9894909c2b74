"""The command that a message names for a missing extra: it fits how this ravenML was installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ravenml.common.extras import install_command

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ["fastapi<1,>=0.115", "uvicorn[standard]>=0.32"]


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes what an installer notes about ravenML, in a folder on the path; ``pip`` is this Python's."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")

    def note(origin: dict[str, Any] | None, installer: str = "pip") -> None:
        info = site / "ravenml-2.0.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        lines = [f"Requires-Dist: {line}; extra == 'serve'" for line in REQUIREMENTS]
        lines += ["Requires-Dist: click", "Requires-Dist: onnx; extra == 'engines'"]
        lines += ["Requires-Dist: pywin32; extra == 'serve' and sys_platform == 'win32'"]
        text = "\n".join(["Metadata-Version: 2.1", "Name: ravenml", "Version: 2.0.0", *lines])
        (info / "METADATA").write_text(text + "\n")
        (info / "INSTALLER").write_text(f"{installer}\n")
        if origin is not None:
            (info / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.syspath_prepend(site)

    return note


def test_a_checkout_is_named_by_its_folder(installed: Any, tmp_path: Path) -> None:
    checkout = tmp_path / "my code"
    checkout.mkdir()
    url = f"file://{tmp_path}/my%20code"
    installed({"url": url, "dir_info": {"editable": True}})
    assert install_command("serve") == f"pip install -e '{checkout}[serve]'"
    installed({"url": url, "dir_info": {}})
    assert install_command("serve") == f"pip install '{checkout}[serve]'"


def test_a_wheel_is_named_by_its_file_or_address(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "ravenml-2.0.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": f"file://{wheel}", "archive_info": {}})
    assert install_command("serve") == f"pip install '{wheel}[serve]'"
    installed({"url": "https://x.example/ravenml-2.0.0-py3-none-any.whl", "archive_info": {}})
    assert install_command("serve") == (
        "pip install 'ravenml[serve] @ https://x.example/ravenml-2.0.0-py3-none-any.whl'"
    )


def test_a_repository_is_named_with_its_commit(installed: Any) -> None:
    installed({"url": "https://x.example/r.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}})
    assert install_command("serve") == "pip install 'ravenml[serve] @ git+https://x.example/r.git@c0ffee'"


@pytest.mark.parametrize(
    "origin", [None, {"url": "file:///gone/ravenml.whl", "archive_info": {}}, {"url": 3}]
)
def test_where_its_source_is_unknown_or_gone_the_requirements_themselves_are_named(
    installed: Any, origin: dict[str, Any] | None
) -> None:
    installed(origin)
    assert install_command("serve") == "pip install 'fastapi<1,>=0.115' 'uvicorn[standard]>=0.32'"


def test_with_pipx_the_requirements_join_its_environment(
    installed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed({"url": f"file://{tmp_path}", "dir_info": {}})
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "ravenml"))
    (tmp_path / "ravenml").mkdir()
    (tmp_path / "ravenml" / "pipx_metadata.json").write_text("{}")
    assert install_command("serve") == "pipx inject ravenml 'fastapi<1,>=0.115' 'uvicorn[standard]>=0.32'"


def test_the_pip_is_the_one_of_this_python(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert install_command("serve").startswith(f"{sys.executable} -m pip install 'fastapi")
    installed(None, installer="uv")
    assert install_command("serve").startswith(f"uv pip install --python {sys.executable} 'fastapi")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_pastes_into_every_shell(installed: Any, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    checkout = tmp_path / "it's $HOME [x] * code"
    checkout.mkdir()
    installed({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    program = tmp_path / "bin" / "pip"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [shell, "-c", install_command("serve")],
        env={"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["install", "-e", f"{checkout}[serve]"], done.stderr


def test_the_extras_that_messages_name_exist() -> None:
    named = {
        extra
        for path in (ROOT / "ravenml").rglob("*.py")
        for extra in re.findall(r"install_command\(['\"](\w+)['\"]\)", path.read_text())
    }
    known = set(re.findall(r'^    "(\w+)": \[', (ROOT / "setup.py").read_text(), re.M))
    assert named and named <= known


def test_nothing_tells_anybody_to_install_the_other_program_of_this_name() -> None:
    """PyPI's ``ravenml`` is of 2022 until 2.0.0 is published; paths are fine."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "grep", "-IlEi", r"(pip|pipx|uv)[a-z0-9 -]* (install|inject|add|run)"],
        capture_output=True,
        text=True,
    )
    if listed.returncode > 1:
        pytest.skip("this is not a git checkout")
    word = r"""(?<![\w./@-])ravenml(-unet|-tf-bbox)?(\[[\w,]*\])?([=<>~!][^'"\s]*)?['"`,;)]*(\s|$)(?!@)"""
    wrong = re.compile(r"\b(pip3?|pipx|uv tool|uv)\s+(install|add|download)\b[^`\n#]*?\s['\"]?" + word)
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in listed.stdout.splitlines()
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if wrong.search(line) and name != "tests/test_install_command.py"
    ]
    assert found == []
    for bad in ("pip install 'ravenml[serve]'", "pipx install ravenml", "pip install -U ravenml==2.0.0"):
        assert wrong.search(bad)
    for good in ("pip install -e '.[serve]'", "pipx install dist/ravenml-2.0.0-py3-none-any.whl"):
        assert not wrong.search(good)
