"""`raven infer` with a model that is only in the bucket."""

from __future__ import annotations

import json
from pathlib import Path

from as_user import Raven
from predicting import pack, write_predicting_plugins

from ravenml.data.project import Project


def test_a_model_in_the_bucket_is_fetched_by_its_id(
    cloud: Raven, site: Path, project: Path, tmp_path: Path
) -> None:
    write_predicting_plugins(site)
    cloud.ok("models", "push", pack(tmp_path / "model.tar"))
    (stored,) = json.loads(cloud.ok("models", "list", "--remote", "--json"))
    told = cloud.ok("infer", stored["id"], "--data", project, "--out", tmp_path / "out")
    assert told.startswith("12 images: ") and len(Project.open(tmp_path / "out").items) == 12
    assert len(list((cloud.home / "cache").rglob("*.tar"))) == 1
    cloud.ok("models", "push", pack(tmp_path / "other.tar"), "--transfer-only")
    other = next(
        one["id"]
        for one in json.loads(cloud.ok("models", "list", "--remote", "--json"))
        if one["transfer_only"]
    )
    refused = cloud("infer", other, "--data", project, "--out", tmp_path / "other")
    assert refused.returncode == 2 and "for transfer learning only" in refused.stderr
