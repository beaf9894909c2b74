"""`raven runs show`: what a run was told and what it made, here and in the store."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from as_user import Raven
from many_runs import write_run

from ravenml.runs.contents import list_contents
from ravenml.runs.overview import details
from ravenml.runs.record import read_record

SCRIPT = """
from ravenml import Task
task = Task.init("roads", "baseline", output_uri={store!r}, tags=["night"])
task.connect({{"lr": 0.25, "size": {{"w": 7}}}})
task.upload_artifact("report", {{"a": 1}})
open("plain.txt", "w").write("plain")
task.upload_artifact("plain", "plain.txt")
"""


def test_a_scripts_parameters_tags_artifacts_and_addresses_are_shown(raven: Raven, tmp_path: Path) -> None:
    store = tmp_path / "elsewhere"
    (tmp_path / "script.py").write_text(SCRIPT.format(store=str(store)))
    raven.ok("run", "--", sys.executable, str(tmp_path / "script.py"))
    (run,) = raven.runs()
    facts = {line.split(":")[0]: line for line in details(run)}
    assert "lr=0.25  size.w=7" in facts["Parameters"]
    assert facts["Tags"].split()[1:] == ["night"] and facts["Name"].endswith("roads / baseline")
    assert str(store) in facts["Stored"] and "(2 of 2 files)" in facts["Stored"]
    contents = list_contents(run, read_record(run))
    assert all(one.kind == "artifact" and one.path and one.size for one in contents)
    assert all(one.address and Path(one.address).stat().st_size == one.size for one in contents)


def test_a_trainings_model_has_its_place_and_its_address(home: Path) -> None:
    store = home / "store"
    for key in ("net_20260101-000000-aaaaaa-f0.tar", "net_20260101-000000-aaaaaa-f1.tar"):
        (store / "models").mkdir(parents=True, exist_ok=True)
        (store / "models" / key).write_bytes(b"model")
    metadata = store / "models" / "metadata_20260101-000000-aaaaaa.json"
    metadata.write_text("{}")
    result = {
        "status": "completed",
        "stored": str(metadata),
        "models": {"-f0": "folds/0/model-state.tar", "-f1": "folds/1/model-state.tar"},
    }
    run = write_run(home, "20260101-000000-aaaaaa", more={"result": result})
    (run / "folds" / "0").mkdir(parents=True)
    (run / "folds" / "0" / "model-state.tar").write_bytes(b"model")
    keys = {f"-f{n}": f"models/net_20260101-000000-aaaaaa-f{n}.tar" for n in range(2)}
    (run / "metadata.json").write_text(json.dumps({"models": keys}))
    first, second = list_contents(run, read_record(run))
    assert first.path == (run / "folds/0/model-state.tar").resolve() and first.size == 5
    assert [Path(one.address or "").read_bytes() for one in (first, second)] == [b"model", b"model"]
    assert second.path is None and any("not on this machine" in line for line in details(run))
    metadata.unlink()
    assert any(line.startswith("Stored:") and "no longer" in line for line in details(run))
    assert all(one.address is None for one in list_contents(run, read_record(run)))
