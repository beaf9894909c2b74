"""`raven config`: the user's choices."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from as_user import Raven


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
    assert done.returncode == 2 and "`datset` is no known field; did you mean `dataset`?" in done.stderr
    path.write_text("dataset: [\n")
    assert "is not valid YAML in line" in raven("config", "show").stderr


def test_update_without_a_field_and_with_a_wrong_value_is_refused(raven: Raven) -> None:
    assert raven("config", "update").returncode == 2
    done = raven("config", "update", "--cache-gib", "-1")
    assert done.returncode == 2 and "cache_gib" in done.stderr
