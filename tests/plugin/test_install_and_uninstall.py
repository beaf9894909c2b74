"""Plugins come and go without a trace, in a real virtual environment, with wheels that the tests make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from local_wheels import Checkout, Environment


def test_everything_in_and_everything_out_leaves_the_list_byte_for_byte(
    environment: Environment, checkout: Checkout, tmp_path: Path
):
    first, files = environment.freeze(), environment.everything()
    said = environment.ok(checkout.install_all, cwd=tmp_path)
    assert "ravenml_tiny is installed and loads" in said
    assert {"alpha==2.0", "beta==1.0", "ravenml-tiny==0.3"} <= set(environment.freeze().splitlines())
    said = environment.ok(checkout.install_all, "-u", "-c", cwd=tmp_path)
    assert environment.freeze() == first
    assert environment.everything() == files  # no journal, no script, no file of any kind
    assert "removed        alpha 2.0, beta 1.0, ravenml-tiny 0.3\nkept           nothing\n" in said
    assert sorted(path.name for path in (checkout.root / "plugins" / "ravenml_tiny").iterdir()) == [
        "install.sh",
        "ravenml_tiny",
        "requirements-gpu.in",
        "requirements-gpu.txt",
        "requirements.in",
        "requirements.txt",
        "setup.py",
    ]


@pytest.mark.slow  # 13 s of pip
def test_a_version_that_the_user_had_is_changed_with_a_sentence_and_comes_back(
    environment: Environment, checkout: Checkout
):
    environment.pip("install", "-q", "alpha==1.0")
    first, files = environment.freeze(), environment.everything()
    said = environment.ok(checkout.install_all)
    assert "alpha 1.0 becomes 2.0, which ravenml_tiny is pinned to" in said
    said = environment.ok(checkout.install_all, "-u", "-c")
    assert environment.freeze() == first
    assert environment.everything() == files
    assert "restored       alpha 1.0 (was 2.0)\n" in said


@pytest.mark.slow  # 20 s of pip
def test_plugins_whose_folders_are_gone_go_with_all_that_came(environment: Environment, checkout: Checkout):
    """By name, and together; the journal knows what they brought and changed."""
    checkout.plugin("large", ["gamma==1.0"])
    environment.pip("install", "-q", "alpha==1.0")
    first, files = environment.freeze(), environment.everything()
    environment.ok(checkout.install_all)
    shutil.rmtree(checkout.root / "plugins")
    said = environment.ok(checkout.install_all, "-u", "tiny")
    assert "removed        beta 1.0, ravenml-tiny 0.3\n" in said
    assert "restored       alpha 1.0 (was 2.0)\n" in said
    assert "removed        gamma 1.0, ravenml-large 0.3\n" in environment.ok(checkout.install_all, "-u")
    assert (environment.freeze(), environment.everything()) == (first, files)


@pytest.mark.slow  # 15 s of pip
def test_install_sh_u_takes_the_plugin_alone_and_install_all_the_rest(
    environment: Environment, checkout: Checkout
):
    first = environment.freeze()
    environment.ok(checkout.script("tiny"))
    said = environment.ok(checkout.script("tiny"), "-u", "-d")
    assert "its dependencies stay" in said
    assert set(environment.freeze().splitlines()) - set(first.splitlines()) == {"alpha==2.0", "beta==1.0"}
    environment.ok(checkout.install_all, "-u")
    assert environment.freeze() == first


def test_one_plugin_goes_and_what_the_other_needs_stays(environment: Environment, checkout: Checkout):
    checkout.plugin("other", ["alpha==2.0", "gamma==1.0"])
    first = environment.freeze()
    environment.ok(checkout.install_all)
    said = environment.ok(checkout.install_all, "-u", "tiny")
    assert "removed        beta 1.0, ravenml-tiny 0.3" in said
    assert "kept           alpha: ravenml-other needs it" in said
    environment.ok(checkout.install_all, "-u", "ravenml_other")
    assert environment.freeze() == first


@pytest.mark.slow
def test_both_orders_of_installation_end_in_the_same_environment(
    environment: Environment, checkout: Checkout
):
    checkout.plugin("other", ["alpha==2.0", "gamma==1.0"])
    environment.ok(checkout.script("tiny"))
    environment.ok(checkout.script("other"))
    one = environment.freeze()
    environment.ok(checkout.install_all, "-u")
    environment.ok(checkout.script("other"))
    environment.ok(checkout.script("tiny"))
    assert environment.freeze() == one
    environment.ok(checkout.install_all, "-u")


@pytest.mark.slow
def test_what_something_of_the_users_needs_meanwhile_is_kept(environment: Environment, checkout: Checkout):
    environment.ok(checkout.install_all)
    environment.pip("install", "-q", "leans-on-beta")
    said = environment.ok(checkout.install_all, "-u")
    assert "alpha: beta needs it" in said and "beta: leans-on-beta needs it" in said
    environment.pip("uninstall", "-q", "-y", "leans-on-beta")
    assert "removed        alpha 2.0, beta 1.0" in environment.ok(checkout.install_all, "-u")


@pytest.mark.slow
def test_what_the_user_installed_meanwhile_is_not_touched(environment: Environment, checkout: Checkout):
    environment.ok(checkout.install_all)
    environment.pip("install", "-q", "gamma")
    environment.ok(checkout.install_all, "-u", "-c")
    assert "gamma==1.0" in environment.freeze()


@pytest.mark.slow
def test_a_version_that_the_user_changed_since_is_the_users(environment: Environment, checkout: Checkout):
    environment.ok(checkout.install_all)
    environment.pip("install", "-q", "alpha==1.0")
    said = environment.ok(checkout.install_all, "-u")
    assert "alpha: you changed it since, from 2.0 to 1.0" in said
    assert "alpha==1.0" in environment.freeze()


@pytest.mark.slow
def test_a_former_version_is_not_restored_under_something_that_came_since(
    environment: Environment, checkout: Checkout
):
    environment.pip("install", "-q", "alpha==1.0")
    environment.ok(checkout.install_all)
    environment.pip("install", "-q", "wants-alpha-2")
    said = environment.ok(checkout.install_all, "-u")
    assert "alpha: wants-alpha-2 1.0 does not work with 1.0, which was there before" in said
    environment.pip("uninstall", "-q", "-y", "wants-alpha-2")
    assert "alpha 1.0 (was 2.0)" in environment.ok(checkout.install_all, "-u")
    environment.pip("uninstall", "-q", "-y", "alpha")


@pytest.mark.slow  # 20 s of pip
def test_dependencies_stay_while_a_training_plugin_from_elsewhere_is_installed(
    environment: Environment, checkout: Checkout
):
    environment.ok(checkout.install_all)
    environment.pip("install", "-q", "stranger")
    said = environment.ok(checkout.install_all, "-u", "-c")
    assert "removed        ravenml-tiny 0.3\n" in said
    assert "alpha, beta: stranger is a training plugin from elsewhere" in said
    environment.pip("uninstall", "-q", "-y", "stranger")
    assert "removed        alpha 2.0, beta 1.0\n" in environment.ok(checkout.install_all, "-u")


@pytest.mark.slow  # 20 s of pip
def test_a_distribution_whose_files_a_removed_one_shared_is_installed_again(
    environment: Environment, checkout: Checkout
):
    environment.pip("install", "-q", "twin-a")
    first, files = environment.freeze(), environment.everything()
    checkout.plugin("shares", ["twin-b==1.0"])
    environment.ok(checkout.script("shares"))
    said = environment.ok(checkout.install_all, "-u", "shares")
    assert "twin-a (installed again: a removed one owned files of it)" in said
    environment.ok(environment.path / "bin" / "python", "-c", "import twins.same")
    assert (environment.freeze(), environment.everything()) == (first, files)


@pytest.mark.slow
def test_nothing_is_removed_that_no_journal_says_we_brought(environment: Environment, checkout: Checkout):
    environment.pip("install", "-q", "beta", "alpha==2.0")
    folder = checkout.script("tiny").parent
    environment.pip("install", "-q", "--no-deps", "--no-build-isolation", folder)
    said = environment.ok(checkout.install_all, "-u")
    assert "There is no journal of earlier packages" in said
    assert "beta==1.0" in environment.freeze() and "ravenml-tiny" not in environment.freeze()


def test_n_says_what_would_happen_and_does_nothing(environment: Environment, checkout: Checkout):
    first = environment.everything()
    said = environment.ok(checkout.install_all, "-n", "-g")
    assert f"would run: {checkout.script('tiny')} -g" in said
    assert environment.everything() == first
    environment.ok(checkout.install_all)
    first = environment.everything()
    said = environment.ok(checkout.install_all, "-n", "-u", "-c", "tiny")
    assert "would remove   alpha 2.0, beta 1.0, ravenml-tiny 0.3" in said
    assert environment.everything() == first


@pytest.mark.slow
def test_the_journal_holds_everything_that_was_there_before(environment: Environment, checkout: Checkout):
    first = environment.freeze()
    environment.ok(checkout.install_all)
    journal = json.loads((environment.path / "share" / "ravenml" / "journal.json").read_text())
    assert len(journal["before"]) == len(first.splitlines())
    assert {"pip", "setuptools", "wheel", "ravenml"} <= journal["before"].keys()
    assert journal["brought"].keys() == {"alpha", "beta", "ravenml-tiny"}
    assert journal["pending"] is None


@pytest.mark.slow
def test_a_plugin_that_does_not_load_is_named_with_what_to_do(environment: Environment, checkout: Checkout):
    folder = checkout.plugin("broken", ["alpha==2.0"], fault="import no_such_module")
    done = environment.run(folder / "install.sh")
    assert done.returncode == 1
    assert "ravenml_broken is installed but does not load" in done.stderr
    assert "no_such_module" in done.stderr and f"{folder}/install.sh -u" in done.stderr


def test_a_requirement_that_cannot_be_had_leaves_no_trace_and_names_the_plugin(
    environment: Environment, checkout: Checkout
):
    first = environment.freeze()
    folder = checkout.plugin("wishful", ["unheard-of==1.0"])
    done = environment.run(folder / "install.sh")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "ravenml_wishful is not, or only half, installed" in done.stderr and "unheard-of" in done.stderr
    assert environment.freeze() == first


def test_an_unknown_name_is_told_from_those_that_there_are(environment: Environment, checkout: Checkout):
    done = environment.run(checkout.install_all, "-u", "tinny")
    assert done.returncode == 2 and "there are: ravenml_tiny" in done.stderr


@pytest.mark.parametrize("option", ["-x", "--all"])
def test_an_unknown_option_is_unusable_input(environment: Environment, checkout: Checkout, option: str):
    assert environment.run(checkout.install_all, option).returncode == 2
    assert environment.run(checkout.script("tiny"), option).returncode == 2


def test_changed_inputs_are_compiled_before_they_are_installed(environment: Environment, checkout: Checkout):
    (checkout.root / "plugins" / "ravenml_tiny" / "requirements.in").write_text("beta==1.0\n")
    done = environment.run(checkout.script("tiny"))
    assert "No module named piptools" in done.stderr  # it is not in this small environment, but it was asked
    assert "alpha" not in environment.freeze()


def test_two_installations_at_once_do_not_disturb_each_other(environment: Environment, checkout: Checkout):
    import fcntl
    import os

    folder = environment.path / "share" / "ravenml"
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = environment.run(checkout.script("tiny"))
    os.close(descriptor)
    assert done.returncode == 1 and "Another install.sh is running" in done.stderr
    assert "alpha" not in environment.freeze()
    folder.rmdir()
    folder.parent.rmdir()
