"""What plugins for ravenML 1 import does here what it did there."""

from __future__ import annotations

import copy
import importlib
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from former_plugins import write_former_dataset

from ravenml.compat.datasets import Dataset, get_dataset, get_dataset_metadata, get_dataset_names
from ravenml.compat.git import git_patch_tracked, git_patch_untracked, git_sha, is_repo, retrieve_from_pkg
from ravenml.compat.local_cache import LocalCache, RMLCache
from ravenml.compat.prompts import answering, cli_spinner, user_confirms, user_input, user_selects
from ravenml.config.config import Config, save_config
from ravenml.errors import InputError, RavenError
from ravenml.train.config import TrainConfig
from ravenml.train.interfaces import TrainOutput
from ravenml.utils.plugins import fill_basic_metadata


def test_a_cache_is_a_folder_of_ravenmls_and_a_path(home: Path) -> None:
    cache = LocalCache("boxes")
    assert cache.path == home / "cache" / "boxes" == cache and isinstance(cache, Path)
    assert cache / "model.h5" == home / "cache" / "boxes" / "model.h5" and not cache.exists()
    cache.ensure_exists()
    cache.ensure_subpath_exists("a/b")
    assert cache.subpath_exists("a/b") and os.listdir(cache) == ["a"]
    cache.ensure_clean_subpath("a")
    assert not cache.subpath_exists("a")
    assert cache.clean() and not cache.clean() and not (home / "cache" / "boxes").exists()


def test_a_cache_may_be_absolute_and_that_of_datasets_is_their_folder(home: Path, tmp_path: Path) -> None:
    module = importlib.import_module("ravenml.compat.local_cache")
    assert LocalCache(module.global_cache.path / "x") == home / "cache" / "x"
    assert RMLCache(tmp_path / "y").path == tmp_path / "y"
    assert RMLCache("datasets").path == home / "datasets" and RMLCache().path == home / "cache"


def test_a_cache_can_be_copied_and_sent_to_another_process(home: Path) -> None:
    cache = LocalCache("boxes")
    assert copy.deepcopy(cache) == cache == pickle.loads(pickle.dumps(cache))  # noqa: S301 - ours


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.h5").write_bytes(b"weights")
    return tmp_path / "model.h5"


def test_an_output_by_position_in_either_order_is_the_same(model: Path) -> None:
    today = TrainOutput(model, [model], {"architecture": "a"}, model.parent)
    assert TrainOutput({"architecture": "a"}, model.parent, str(model), [str(model)], True) == today  # type: ignore[arg-type]
    assert TrainOutput({"architecture": "a"}, model.parent, model, [model]) == today  # type: ignore[arg-type]
    named = {"metadata": {"architecture": "a"}, "artifact_path": model.parent, "model_path": model}
    assert TrainOutput(**named, extra_files=[model], local_mode=False) == today  # type: ignore[arg-type]
    assert TrainOutput({}) == TrainOutput()  # type: ignore[arg-type]


def test_an_output_in_the_former_order_with_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(RavenError, match=r"gone\.pb, which does not exist"):
        TrainOutput({}, tmp_path, tmp_path / "gone.pb", [], False)  # type: ignore[arg-type]


def test_basic_metadata_with_a_dataset_says_what_it_is_and_since_when(tmp_path: Path) -> None:
    dataset = Dataset("orbit", {"created_by": "Grace"}, tmp_path)
    metadata: dict[str, Any] = {}
    fill_basic_metadata(metadata, dataset, "Ada", "first")
    assert metadata["created_by"] == "Ada" and metadata["comments"] == "first"
    assert metadata["dataset_used"] == {"created_by": "Grace"} and metadata["date_started_at"].endswith("Z")
    assert fill_basic_metadata({}, "Ada", "first") == {"created_by": "Ada", "comments": "first"}


def test_datasets_are_found_by_name_and_folder(home: Path, tmp_path: Path) -> None:
    write_former_dataset(home / "datasets" / "orbit")
    assert get_dataset_names() == ["orbit"]
    found = get_dataset("orbit")
    assert (found.name, found.path) == ("orbit", home / "datasets" / "orbit")
    assert get_dataset_metadata("orbit")["comments"] == "first light" and found.items == []
    assert get_dataset(str(found.path)).metadata == found.metadata
    with pytest.raises(ValueError, match="nowhere"):
        get_dataset("nowhere")


def test_off_a_terminal_questions_take_their_answer_or_default() -> None:
    assert user_input("Name:", default="x") == "x" and user_input("Name:") == ""
    assert user_confirms("Go on?") is False and user_confirms("Go on?", default=True) is True
    assert user_selects("Which?", ["only"]) == "only"
    with answering({"NAME": "Ada", "Go on": "no", "which": "b", "some": "a, b"}):
        assert user_input("Name:") == "Ada" and user_confirms("Go on?", default=True) is False
        assert user_selects("Which?", ["a", "b"]) == "b"
        assert user_selects("Some:", ["a", "b", "c"], selection_type="checkbox") == ["a", "b"]
        with pytest.raises(InputError, match="It has no 'b'"):
            user_selects("Which?", ["a"])
    with pytest.raises(InputError, match=r"one of a, b.*--set 'answers\.Which=a'"):
        user_selects("Which?", ["b", "a"])
    with answering({"go on": "perhaps"}), pytest.raises(InputError, match="one of yes, no"):
        user_confirms("Go on?")


def test_a_spinner_puts_the_streams_back_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), sys.stderr
    monkeypatch.setattr(sys, "stdout", out)

    def fails() -> None:
        sys.stdout = sys.stderr = io.StringIO()
        raise ImportError("no framework")

    with pytest.raises(ImportError):
        cli_spinner("Importing...", fails)
    assert (sys.stdout, sys.stderr) == (out, err) and out.getvalue() == "Importing...Failed.\n"
    assert cli_spinner("Adding...", lambda a, b: a + b, 1, b=2) == 3


def test_the_buckets_are_the_configured_ones(home: Path) -> None:
    from ravenml.compat.buckets import get_config

    with pytest.raises(InputError, match="raven config update --dataset-bucket-name NAME"):
        get_config()["dataset_bucket_name"]
    save_config(Config.model_validate({"dataset_bucket_name": "data"}))
    assert get_config() == {"dataset_bucket_name": "data"}


def test_uploads_go_to_the_store_of_models(home: Path, model: Path) -> None:
    from ravenml.compat.buckets import upload_dict_to_s3_as_json, upload_file_to_s3

    upload_file_to_s3("extras/1", model)
    upload_file_to_s3("models", model, alternate_name="a_1.h5")
    upload_dict_to_s3_as_json("models/metadata_1", {"a": 1})
    store = home / "store"
    assert (store / "extras" / "1" / "model.h5").read_bytes() == b"weights"
    assert (store / "models" / "a_1.h5").exists() and (store / "models" / "metadata_1.json").exists()


def test_image_sets_are_gone_and_say_what_to_do() -> None:
    from ravenml.compat.datasets import get_imageset_names

    with pytest.raises(RavenError, match="raven data import"):
        get_imageset_names()


def test_commit_and_changes_of_a_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *names, *arguments], check=True, capture_output=True)

    assert is_repo(tmp_path) is None
    (tmp_path / "plugin").mkdir()
    (tmp_path / "known.txt").write_text("one\n")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        git(*command)
    (tmp_path / "known.txt").write_text("two\n")
    (tmp_path / "new file.txt").write_text("three\n")
    assert is_repo(tmp_path / "plugin") == tmp_path
    assert len(git_sha(tmp_path)) == 40 and "+two" in git_patch_tracked(tmp_path)
    assert "+three" in git_patch_untracked(tmp_path) and "two" not in git_patch_untracked(tmp_path)
    assert retrieve_from_pkg(tmp_path / "plugin") == {}
    (tmp_path / "git_info.json").write_text('{"plugin_git_sha": "abc"}')
    assert retrieve_from_pkg(tmp_path / "plugin") == {"plugin_git_sha": "abc"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("stop", "stop"), ("terminate", "terminate"), ("none", "keep"), (False, "keep"), (None, None)],
)
def test_the_former_spellings_of_ec2_policy(written: object, meant: str | None) -> None:
    assert TrainConfig.model_validate({"ec2_policy": written}).ec2_policy == meant


def test_a_misspelt_ec2_policy_is_refused_rather_than_left_running() -> None:
    with pytest.raises(ValueError, match="ec2_policy"):
        TrainConfig.model_validate({"ec2_policy": "stopp"})


def test_verbose_opt_and_raise_parameter_error_are_clicks() -> None:
    from ravenml.compat.prompts import raise_parameter_error, verbose_opt

    command = click.command()(verbose_opt(lambda verbose: verbose))
    assert command.main(["-v"], standalone_mode=False) is True
    with pytest.raises(click.BadParameter, match="yolo"):
        raise_parameter_error("yolo", "model")
    with pytest.warns(DeprecationWarning, match=r"raise_parameter_error is now ravenml\.compat\.prompts"):
        assert importlib.import_module("ravenml.utils.plugins").raise_parameter_error is raise_parameter_error
