"""The files that a repository and a release have beside the code: they parse, and say what the code says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import yaml

from ravenml import __version__

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(ROOT.glob("plugins/ravenml_*"))


def test_one_version_is_everywhere() -> None:
    assert f"\n## [{__version__}] - " in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    for plugin in PLUGINS:
        assert (plugin / "VERSION").read_text().strip().split(":")[1] == __version__
        assert f'"ravenml>={__version__.rpartition(".")[0]},<' in (plugin / "setup.py").read_text()


def test_every_package_has_the_license() -> None:
    for plugin in PLUGINS:
        assert (plugin / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_classifiers_name_the_pythons_that_the_documentation_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    said = f"Python {named[0]} to {named[-1]}"
    assert project["requires-python"] == f">={named[0]}"
    assert (
        said in (ROOT / "docs" / "installation.md").read_text() and said in (ROOT / "README.md").read_text()
    )


def test_the_forms_and_the_workflow_parse_and_name_what_exists() -> None:
    for form in (ROOT / ".github").rglob("*.yml"):
        assert isinstance(yaml.safe_load(form.read_text()), dict), form
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    for text in (container["postCreateCommand"], (ROOT / "CONTRIBUTING.md").read_text()):
        for command in re.findall(r"make ([a-z -]+)", text):
            assert command.split()[0] in targets, command


def test_the_hooks_before_a_commit_run_the_tools_of_make_lint() -> None:
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert tool == "python" or tool in lint, hook["id"]


def test_links_between_the_files_at_the_top_lead_somewhere() -> None:
    for page in ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), f"{page}: {target}"


def test_the_image_is_made_from_what_the_context_lets_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    assert {"ravenml", "plugins", "setup.py", "pyproject.toml", "README.md", "LICENSE"} == let_in
    described = (ROOT / "docs" / "installation.md").read_text()
    for argument in re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        assert f"`{argument}`" in described, argument
