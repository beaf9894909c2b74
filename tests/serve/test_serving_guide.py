"""The examples of docs/serving.md: they work as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from serving import TOKEN, Tints, picture, serving

from ravenml.serve.access import Access

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[Access]:
    with serving(Tints()) as access:
        yield access


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("photo.png", "other.png"):
        (tmp_path / name).write_bytes(picture())
    return tmp_path


def example(language: str, server: Access) -> str:
    """The guide's block in a language, for this server and its token."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None
    return found[1].replace(":8000", f":{server.port}").replace("0a1b…", TOKEN)


def test_the_examples_for_curl_work_as_they_stand(server: Access, folder: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = "set -e\n" + example("bash", server).replace("curl ", "curl -sSf ")
    subprocess.run(["bash", "-c", script], cwd=folder, check=True, timeout=60)
    assert b'"classTitle":"red"' in (folder / "photo.png.json").read_bytes()
    assert (folder / "overlay.png").read_bytes().startswith(b"\x89PNG")
    names = zipfile.ZipFile(folder / "masks.zip").namelist()
    assert names == ["000_photo.png", "001_other.png"]


def test_the_example_for_python_works_as_it_stands(server: Access, folder: Path) -> None:
    code = (
        example("python", server) + "print(mask[0, 0], numbers[1], len(several), len(annotation['objects']))"
    )
    environment = os.environ | {"RAVENML_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "1 red 2 1\n", done.stderr
