"""Plugins written after the documents of ravenML 1 install, list, train and go without a trace."""

from __future__ import annotations

import json
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
from as_user import Raven
from documented import write_documented
from local_wheels import Checkout, Environment

from ravenml.data.demo import write_demo
from ravenml.plugin.check import find_problems
from ravenml.plugin.environment import Environment as Installed
from ravenml.plugin.inventory import PluginSource


@pytest.fixture
def compiling(environment: Environment) -> Environment:
    """The environment with pip-tools, which such an install.sh calls."""
    environment.pip("install", "-q", "pip-tools")
    return environment


@pytest.fixture
def spaced(tmp_path: Path, wheels: Path) -> Checkout:
    """A checkout without plugins, in a folder with a space in its name."""
    return Checkout.make(tmp_path / "check out", wheels)


@pytest.mark.slow  # 60 s of pip and pip-compile
@pytest.mark.timeout(900)
def test_such_plugins_are_installed_listed_trained_and_leave_no_trace(
    compiling: Environment, spaced: Checkout, tmp_path: Path
):
    """One that does not install itself; and one that does, from a ZIP file's folder."""
    compiling.pip("install", "-q", "alpha==1.0")
    first, content = compiling.freeze(), compiling.digest()
    write_documented(spaced.root / "plugins", "plain", ["beta", "alpha>=2"])
    itself = write_documented(spaced.root / "plugins", "itself", ["gamma"], folder="ravenml_itself-main")
    script = itself / "install.sh"
    script.write_text(
        script.read_text().replace("else\n", "    pip install --no-build-isolation -e .\nelse\n")
    )
    borrowed = compiling.site / "core.pth"  # what the core needs to train, which the tests have
    borrowed.write_text(f"{Path(pytest.__file__).parent.parent}\n")
    said = compiling.ok(spaced.install_all, cwd=tmp_path)
    assert "ravenml_plain is installed and loads (CPU, " in said and "Traceback" not in said
    assert "ravenml_itself-main is installed and loads" in said and "%20" not in said
    raven = compiling.path / "bin" / "raven"
    assert {"itself", "plain"} <= set(compiling.ok(raven, "train", "list").split())
    listed = compiling.ok(raven, "plugin", "list")
    assert "check out/plugins/ravenml_itself-main" in listed and "%20" not in listed
    write_demo(tmp_path / "demo", images=6)
    home = {"RAVENML_STORAGE_PATH": str(tmp_path / "home"), "HOME": str(tmp_path)}
    compiling.ok(raven, "train", "--dataset", tmp_path / "demo", "plain", "train", **home)
    borrowed.unlink()
    said = compiling.ok(spaced.install_all, "-u", "-c")
    assert said.count("Uninstalling...") == 2  # their own install.sh -u was asked
    assert "kept           nothing\nrestored       alpha 1.0 (was 2.0)\n" in said
    assert (compiling.freeze(), compiling.digest()) == (first, content)


@pytest.mark.slow  # 60 s of pip and pip-compile
def test_those_that_a_person_has_installed_by_their_script_leave_no_trace(
    compiling: Environment, spaced: Checkout, tmp_path: Path
):
    """One that installs itself, to whose folder an older pip links; and one that does not."""
    first, content = compiling.freeze(), compiling.digest()
    plain = write_documented(spaced.root / "plugins", "plain", ["beta", "alpha>=2"])
    itself = write_documented(spaced.root / "plugins", "itself", ["gamma"])
    script = itself / "install.sh"
    script.write_text(
        script.read_text().replace("else\n", "    pip install --no-build-isolation -e .\nelse\n")
    )
    for folder in (plain, itself):
        compiling.ok(folder / "install.sh", cwd=folder)
    assert {"beta==1.0", "ravenml-itself==0.1"} <= set(compiling.freeze().splitlines())
    said = compiling.ok(spaced.install_all, "-u", "-c", cwd=tmp_path)
    assert "removed        alpha 2.0, beta 1.0, gamma 1.0, ravenml-itself 0.1\nkept           nothing" in said
    assert (compiling.freeze(), compiling.digest()) == (first, content)


@pytest.mark.slow  # 5 s of pip
def test_packages_of_a_plugin_that_nobody_has_installed_are_left_alone(
    environment: Environment, spaced: Checkout
):
    """Its compiled requirements came with the checkout, and some are here, newer and at the same version."""
    folder = write_documented(spaced.root / "plugins", "plain", ["beta", "alpha>=2"])
    (folder / "requirements.txt").write_text("alpha==2.0\nbeta==1.0\n")
    environment.pip("install", "-q", "alpha==2.0")
    said = environment.ok(spaced.install_all, "-u")
    assert "removed        nothing\nkept           nothing\n" in said
    assert "alpha==2.0" in environment.freeze()


def test_a_plugin_to_whose_folder_an_older_pip_links_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_documented(tmp_path, "net", [], folder="net 1")
    (folder / "ravenml_net.egg-info").mkdir()
    (folder / "ravenml_net.egg-info" / "PKG-INFO").write_text("Name: ravenml_net\nVersion: 0.1\n")
    link = tmp_path / "packages" / "ravenml-net.egg-link"
    link.parent.mkdir()
    link.write_text(f"{folder}\n.")
    paths = {"purelib": str(link.parent), "platlib": str(link.parent), "scripts": str(tmp_path / "bin")}
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths)
    installed = Installed()
    assert installed.packages["ravenml-net"].requirement() == ["-e", str(folder)]
    assert installed.files("ravenml-net") == {str(link)}


@pytest.mark.slow
def test_what_such_a_script_cannot_have_is_one_sentence_with_who_wants_it(
    compiling: Environment, spaced: Checkout
):
    first = compiling.freeze()
    folder = write_documented(spaced.root / "plugins", "wishful", ["wants-alpha-1", "wants-alpha-2"])
    done = compiling.run(spaced.install_all)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "alpha<2, wanted by wants-alpha-1 1.0; and alpha>=2, wanted by wants-alpha-2 1.0" in done.stderr
    raven = compiling.path / "bin" / "raven"
    (folder / "requirements.in").write_text("wants-ghost\n")
    done = compiling.run(raven, "plugin", "compile", folder)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"The requirements of {folder} cannot be compiled: no package index has ghost>=3" in done.stderr
    assert "wanted by wants-ghost" in done.stderr
    (folder / "requirements.in").write_text("-e .\nbeta\n")
    (folder / "requirements-gpu.in").write_text("# nothing\n")
    said = compiling.ok(raven, "plugin", "compile", folder)  # on a machine without a GPU
    assert f"Compiled {folder}/requirements-gpu.txt.\n" in said
    assert "beta==1.0" in (folder / "requirements.txt").read_text()
    assert compiling.freeze() == first


def test_the_distribution_has_the_name_that_setup_py_says(tmp_path: Path):
    folder = write_documented(tmp_path, "net", [], folder="ravenml_net-main (1)")
    assert PluginSource(folder).distribution == "ravenml-net"


def test_check_accepts_it_and_says_what_it_lacks_for_supervisely(raven: Raven, tmp_path: Path):
    folder = write_documented(tmp_path, "net", ["-e .", "tqdm", "https://example.org/a.tar.gz"])
    assert find_problems(folder) == []
    inside = replace(raven, cwd=folder / "ravenml_net")
    said = inside.ok("plugin", "check", "..")
    assert "it lacks plugin_info.json, VERSION, Dockerfile, src/train.py.\n" in said
    assert f"Nothing is wrong with {folder}." in said
    (folder / "requirements.in").write_text("tqdm ?\n")
    assert len(find_problems(folder)) == 1


def test_check_accepts_a_plugin_for_supervisely_and_says_what_it_lacks_for_raven_train(
    raven: Raven, tmp_path: Path
):
    folder = tmp_path / "contract"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "train.py").write_text("print(1)\n")
    info = {"title": "Net", "description": "A net.", "type": "architecture"}
    (folder / "plugin_info.json").write_text(json.dumps(info))
    said = raven.ok("plugin", "check", folder)
    assert "for `raven train`, it lacks setup.py, install.sh, requirements.in, requirements-gpu.in" in said
    assert "for `raven agent run` and Supervisely, it lacks VERSION, Dockerfile.\n" in said
    (folder / "plugin_info.json").write_text(json.dumps(info | {"type": "net"}))
    done = raven("plugin", "check", folder)
    assert done.returncode == 1 and "type must be one of" in done.stderr
