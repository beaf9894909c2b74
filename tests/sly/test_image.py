"""`raven plugin image`: what the image would be built from, and the labels that it would bear."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.agent.plugin_folder import PluginFolder
from ravenml.agent.plugin_image import ImageRequest, build, build_command, labels, write_context
from ravenml.errors import InputError, RavenError
from ravenml.plugin.scaffold import write_plugin

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A new plugin, as the scaffold writes it."""
    return write_plugin("my-net", "segmentation", tmp_path / "plugins")


def request(folder: Path, **more: str) -> ImageRequest:
    """The image of a plugin's folder."""
    return ImageRequest(PluginFolder.open(folder), **more)


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
    assert told == labels(request(plugin))
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
    unet = request(ROOT / "plugins" / "ravenml_unet")
    told = labels(unet)
    assert told["MODES"] == "train inference deploy"
    assert len(json.loads(base64.b64decode(told["CONFIGS"]))) >= 3
    assert build_command("docker", unet.name) == ["docker", "build", "--tag", unet.plugin.version, "-"]


def test_without_docker_the_sentence_says_what_else_there_is(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RavenError, match="--context"):
        build(request(plugin))


def test_a_readme_may_be_missing(plugin: Path) -> None:
    (plugin / "README.md").unlink()
    assert labels(request(plugin))["README"] == ""


@pytest.mark.parametrize("name", ["plugin_info.json", "VERSION", "Dockerfile"])
def test_a_missing_file_is_named(plugin: Path, name: str) -> None:
    (plugin / name).unlink()
    with pytest.raises(InputError, match=name):
        labels(request(plugin))


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
        write_context(request(plugin), tmp_path / "context.tar")
    assert not (tmp_path / "context.tar").exists()


def test_an_empty_version_is_told(plugin: Path) -> None:
    (plugin / "VERSION").write_text("\n")
    with pytest.raises(InputError, match="VERSION is empty; write the image into it"):
        PluginFolder.open(plugin)


# A Dockerfile that was written for Supervisely's own build.

CONTRACT = """ARG REGISTRY
arg TAG
FROM ${REGISTRY}/base-py:${TAG}
ARG MODULE_PATH
ARG KEPT=1
COPY $MODULE_PATH /workdir
COPY supervisely_lib /workdir/supervisely_lib
"""


@pytest.fixture
def contract(printing: Path) -> Path:
    """The printing plugin, to be built as the contract's documents say."""
    (printing / "Dockerfile").write_text(CONTRACT)
    (printing / "src" / "main.py").write_text("")
    (printing / "src" / "deploy_smart.py").write_text("")
    return printing


def unpacked(image: ImageRequest, folder: Path) -> Path:
    """An image's build context as a folder."""
    write_context(image, folder.with_suffix(".tar"))
    with tarfile.open(folder.with_suffix(".tar")) as tar:
        unpack(tar, folder)
    return folder


@pytest.mark.parametrize(
    ("version", "registry", "arguments"),
    [
        ("mine:1.2", None, "REGISTRY=supervisely TAG=1.2"),
        ("mine:1.2", "host:5000/team", "REGISTRY=host:5000/team TAG=1.2"),
        ("host/team/mine:2", None, "REGISTRY=host/team TAG=2"),
    ],
)
def test_the_build_s_arguments_get_their_values(
    contract: Path, tmp_path: Path, version: str, registry: str | None, arguments: str
) -> None:
    (contract / "VERSION").write_text(version)
    image = request(contract, **({"registry": registry} if registry else {}))
    context = unpacked(image, tmp_path / "context")
    lines = (context / "Dockerfile").read_text().splitlines()
    given, tag = arguments.split()
    assert lines[:5] == [f"ARG {given}", f"arg {tag}", lines[2], "ARG MODULE_PATH=plugin", "ARG KEPT=1"]
    assert image.name == (f"{registry}/{version}" if registry else version)
    assert labels(image)["VERSION"] == image.name
    assert labels(image)["MODES"] == "main train inference deploy_smart"
    assert (context / "plugin" / "src" / "train.py").is_file() and not (context / "src").exists()
    assert not (context / "core").exists(), "only what the Dockerfile copies"


def test_the_library_in_an_image_is_ravenml_s_and_stands_alone(contract: Path, tmp_path: Path) -> None:
    context = unpacked(request(contract), tmp_path / "context")
    code = "import supervisely_lib as sly, ravenml; from supervisely_lib.task.progress import Progress; "
    code += "print(sly.__file__, sly.TaskPaths.TASK_DIR, ravenml.__file__)"
    installed = [place for place in sys.path if "packages" in place]
    path = os.pathsep.join([str(context), *installed])
    said = subprocess.run(
        [sys.executable, "-P", "-S", "-c", code], env={"PYTHONPATH": path}, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    places = said.stdout.split()
    assert len(places) == 3, said.stderr
    assert places[0].startswith(str(context)) and places[1] == "/sly_task_data"
    assert places[2].startswith(str(context)), "it needs no ravenML that is installed"
    assert "numpy" in (context / "supervisely_lib" / "requirements.txt").read_text()


def test_another_library_is_copied_where_there_is_one(contract: Path, tmp_path: Path) -> None:
    def library(folder: Path) -> str:
        folder.mkdir()
        (folder / "__init__.py").write_text(f"# {folder.parent.name}")
        return f"# {folder.parent.name}"

    def copied(name: str, **more: str) -> str:
        context = unpacked(request(contract, **more), tmp_path / name)
        return (context / "supervisely_lib" / "__init__.py").read_text()

    beside = library(contract.parent / "supervisely_lib")
    assert copied("beside") == beside
    (tmp_path / "named").mkdir()
    named = library(tmp_path / "named" / "supervisely_lib")
    assert copied("named-lib", library=str(tmp_path / "named")) == named
    assert "ravenML's SDK" in copied("ours", library="ravenml")
    own = library(contract / "supervisely_lib")
    assert copied("own") == own


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("buildah") is None or os.geteuid() != 0,
    reason="needs buildah (apt install buildah) and root",
)
def test_an_image_is_built_for_real_and_bears_its_labels(
    raven: Raven, contract: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "buildah").symlink_to(str(shutil.which("buildah")))
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/images"\nrunroot = "{tmp_path}/run"\n'
    )
    environment = {
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "PATH": str(tools),
    }

    def buildah(*words: str) -> str:
        done = subprocess.run(
            ["buildah", *words], env={**os.environ, **environment, "PATH": os.environ["PATH"]},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    (contract / "VERSION").write_text("mine:1.2")
    buildah("commit", buildah("from", "scratch"), "localhost/base-py:1.2")
    said = raven.ok("plugin", "image", contract, "--registry", "localhost", **environment)
    assert "Built localhost/mine:1.2." in said
    found = json.loads(buildah("inspect", "--type", "image", "localhost/mine:1.2"))
    assert (
        found["OCIv1"]["config"]["Labels"].items() >= labels(request(contract, registry="localhost")).items()
    )
    root = Path(buildah("mount", buildah("from", "localhost/mine:1.2")))
    assert (root / "workdir" / "src" / "train.py").read_text() == (contract / "src" / "train.py").read_text()
    assert (root / "workdir" / "supervisely_lib" / "_core" / "ravenml" / "sly" / "__init__.py").is_file()
