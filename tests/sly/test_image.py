"""`raven plugin image`: what the image would be built from, and the labels that it would bear."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.agent.plugin_folder import PluginFolder
from ravenml.agent.plugin_image import build, build_command, labels, write_context
from ravenml.errors import InputError, RavenError
from ravenml.plugin.scaffold import write_plugin

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A new plugin, as the scaffold writes it."""
    return write_plugin("my-net", "segmentation", tmp_path / "plugins")


def test_a_new_plugin_offers_all_modes_through_the_contract(plugin: Path) -> None:
    folder = PluginFolder.open(plugin)
    assert folder.modes == ["train", "inference", "deploy"] and folder.version == "ravenml-my-net:0.1.0"
    assert PluginFolder.open(write_plugin("other", "minimal", plugin.parent)).modes == ["train"]


def unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """As ``filter="data"`` does, where Python knows it; that of Debian 12, 3.11.2, does not."""
    tar.extraction_filter = getattr(tarfile, "data_filter", None)
    tar.extractall(folder)  # noqa: S202 - just written


def test_the_context_holds_all_that_the_dockerfile_copies_and_the_labels(
    raven: Raven, plugin: Path, tmp_path: Path
) -> None:
    (plugin / ".venv").mkdir()
    (plugin / ".venv" / "large").write_text("x")
    (plugin / "src" / "__pycache__").mkdir()
    (plugin / "src" / "__pycache__" / "train.pyc").write_text("x")
    (plugin / ".env").write_text("AWS_SECRET_ACCESS_KEY=x")
    (plugin / "src" / ".netrc").write_text("x")
    (plugin / "src" / "alias.py").symlink_to("train.py")
    context = tmp_path / "context.tar"
    assert "docker build" in raven.ok("plugin", "image", plugin, "--context", context)
    with tarfile.open(context) as tar:
        names = set(tar.getnames())
        dockerfile = tar.extractfile("Dockerfile").read().decode()  # type: ignore[union-attr]
        assert all(member.isfile() for member in tar), "links are followed"
        unpack(tar, tmp_path / "built")
    assert {"src/train.py", "src/inference.py", "VERSION", "core/pyproject.toml"} <= names
    assert {"core/ravenml/cli/__init__.py", "core/ravenml/sly/alias/supervisely_lib/__init__.py"} <= names
    hidden = [name for name in names if "/." in f"/{name}" or "__pycache__" in name or name.startswith("/")]
    assert not hidden and "src/alias.py" in names
    instructions = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
    assert instructions[0].startswith("FROM ") and "COPY . ." in instructions

    said = dockerfile[dockerfile.index("LABEL ") + 6 :].replace("\\\n", " ")
    told = dict(word.split("=", 1) for word in shlex.split(said))
    assert told == labels(PluginFolder.open(plugin))
    assert told["VERSION"] == "ravenml-my-net:0.1.0" and told["MODES"] == "train inference deploy"
    assert json.loads(base64.b64decode(told["INFO"]))["type"] == "architecture"
    assert base64.b64decode(told["README"]) == (plugin / "README.md").read_bytes()
    assert json.loads(base64.b64decode(told["CONFIGS"])) == []


@pytest.mark.slow
def test_what_the_context_holds_installs_and_runs(raven: Raven, plugin: Path, tmp_path: Path) -> None:
    """The Dockerfile's steps without Docker: core and plugin are installed from the context alone."""
    raven.ok("plugin", "image", plugin, "--context", tmp_path / "context.tar")
    with tarfile.open(tmp_path / "context.tar") as tar:
        unpack(tar, tmp_path / "workdir")
    target = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
    ]
    done = subprocess.run(
        [*pip, "./core", "."],
        cwd=tmp_path / "workdir",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert (target / "ravenml" / "sly" / "alias" / "supervisely_lib" / "__init__.py").exists()
    code = "import ravenml, sys; from ravenml.plugin.discovery import plugins; "
    code += "print(ravenml.__file__, *plugins())"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    said = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert said.stdout.startswith(str(target)) and "my_net" in said.stdout, said.stderr


def test_the_same_folder_gives_the_same_context(raven: Raven, plugin: Path, tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        raven.ok("plugin", "image", plugin, "--context", tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_the_u_nets_image_is_described(tmp_path: Path) -> None:
    unet = PluginFolder.open(ROOT / "plugins" / "ravenml_unet")
    told = labels(unet)
    assert told["MODES"] == "train inference deploy"
    assert len(json.loads(base64.b64decode(told["CONFIGS"]))) >= 3
    assert build_command(unet) == ["docker", "build", "--tag", unet.version, "-"]


def test_without_docker_the_sentence_says_what_else_there_is(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RavenError, match="--context"):
        build(PluginFolder.open(plugin))


@pytest.mark.parametrize("name", ["README.md", "plugin_info.json", "VERSION", "Dockerfile"])
def test_a_missing_file_is_named(plugin: Path, name: str) -> None:
    (plugin / name).unlink()
    with pytest.raises(InputError, match=name):
        labels(PluginFolder.open(plugin))


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("plugin_info.json", '{"title": "x", "description": "y", "type": "zoo"}', "type must be one of"),
        ("plugin_info.json", '{"title": 3}', "title must be text"),
        ("plugin_info.json", "[]", "JSON object"),
        ("predefined_run_configs.json", "{}", "JSON list"),
        ("predefined_run_configs.json", '[{"title": "a", "type": "train"}]', "'config'"),
        ("VERSION", "no tag", "name:tag"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(plugin: Path, name: str, content: str, wrong: str) -> None:
    (plugin / name).write_text(content)
    with pytest.raises(InputError, match=wrong):
        PluginFolder.open(plugin)


def test_a_link_that_leads_out_of_the_plugin_is_refused(plugin: Path, tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text("x")
    (plugin / "src" / "key.pem").symlink_to(tmp_path / "private.pem")
    with pytest.raises(InputError, match=r"key\.pem is a link that leads out of"):
        write_context(PluginFolder.open(plugin), tmp_path / "context.tar")
    assert not (tmp_path / "context.tar").exists()


def test_an_empty_version_is_told(plugin: Path) -> None:
    (plugin / "VERSION").write_text("\n")
    with pytest.raises(InputError, match="VERSION is empty; write the image into it"):
        PluginFolder.open(plugin)
