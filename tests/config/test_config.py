"""`raven config`: the user's choices."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import get_args

from as_user import Raven

from ravenml.cli.config import FIELDS
from ravenml.config.config import Config, is_single


def test_a_field_is_set_shown_and_set_back(raven: Raven) -> None:
    raven.ok("config", "update", "--dataset", "somewhere")
    assert json.loads(raven.ok("config", "show", "--json"))["dataset"] == "somewhere"
    assert "dataset: somewhere" in raven.ok("config", "show")
    raven.ok("config", "update", "--dataset", "")
    assert json.loads(raven.ok("config", "show", "--json"))["dataset"] is None


def test_the_file_is_readable_by_its_owner_alone(raven: Raven) -> None:
    raven.ok("config", "update", "--dataset", "somewhere")
    path = Path(raven.ok("config", "path").strip())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unknown_field_gets_a_suggestion_and_broken_yaml_its_line(raven: Raven) -> None:
    raven.home.mkdir()
    path = raven.home / "config.yaml"
    path.write_text("datset: x\n")
    done = raven("config", "show")
    assert done.returncode == 2 and "`datset` is not a known field; did you mean `dataset`?" in done.stderr
    path.write_text("dataset: [\n")
    assert "is not valid YAML in line" in raven("config", "show").stderr


def test_update_without_a_field_and_with_a_wrong_value_is_refused(raven: Raven) -> None:
    assert raven("config", "update").returncode == 2
    done = raven("config", "update", "--cache-gib", "-1")
    assert done.returncode == 2 and "--cache-gib" in done.stderr


def test_a_tracker_that_nobody_knows_is_refused_with_those_that_there_are(raven: Raven) -> None:
    done = raven("config", "update", "--track", "tensorboard,mlfow")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "no tracker 'mlfow'" in done.stderr and "clearml, mlflow, tensorboard, or none" in done.stderr
    assert not Path(raven.ok("config", "path").strip()).exists()


def test_a_tracker_that_is_not_installed_is_set_with_a_note_on_how_to_install_it(
    raven: Raven, tmp_path: Path
) -> None:
    code = "import importlib.util as util\nfind = util.find_spec\n"
    code += "util.find_spec = lambda name, *more: None if name == 'mlflow' else find(name, *more)\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(tmp_path), raven.env()["PYTHONPATH"]])
    for track, said in [("mlflow", "Note: mlflow is not installed; install it with: "), ("none", "")]:
        done = raven("config", "update", "--track", track, fork=False, PYTHONPATH=path)
        assert done.returncode == 0 and done.stdout.startswith(f"track is now {track} ")
        assert done.stderr.startswith(said) and bool(done.stderr) == bool(said)


def test_every_field_says_where_its_value_comes_from(raven: Raven) -> None:
    raven.ok("config", "update", "--region", "eu-central-1", "--profile", "mine")
    shown = raven.ok("config", "show", "--checksums", "when_required", RAVENML_REGION="us-west-2")
    assert "region: us-west-2  (environment)" in shown and "profile: mine  (file)" in shown
    assert "checksums: when_required  (flag)" in shown and "ec2_policy: keep  (default)" in shown
    sources = json.loads(raven.ok("config", "show", "--json", RAVENML_REGION="x"))["sources"]
    assert sources["region"] == "environment" and sources["cache_gib"] == "default"


def test_what_the_environment_says_is_never_written_into_the_file(raven: Raven) -> None:
    raven.ok("config", "update", "--profile", "mine", RAVENML_REGION="us-west-2")
    assert "region" not in (raven.home / "config.yaml").read_text()


def test_a_wrong_value_is_named_by_where_it_stands(raven: Raven) -> None:
    done = raven("config", "show", RAVENML_CHECKSUMS="never")
    assert done.returncode == 2 and "RAVENML_CHECKSUMS should be 'when_supported' or" in done.stderr
    done = raven("config", "update", "--addressing-style", "diagonal")
    assert done.returncode == 2 and "--addressing-style should be 'auto'" in done.stderr


def test_the_options_are_the_fields_of_the_configuration() -> None:
    singles = {name for name, field in Config.model_fields.items() if is_single(field)}
    assert set(FIELDS) == singles
    for name, (kind, _) in FIELDS.items():
        if isinstance(kind, tuple):
            assert kind == get_args(Config.model_fields[name].annotation)


def test_a_file_that_cannot_be_written_is_left_as_it_was(raven: Raven) -> None:
    raven.ok("config", "update", "--region", "here")
    before = (raven.home / "config.yaml").read_bytes()
    assert raven("config", "update", "--region", "there", "--cache-gib", "-3").returncode == 2
    assert (raven.home / "config.yaml").read_bytes() == before
