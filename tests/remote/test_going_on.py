"""Going on with a run elsewhere: what was asked of its earlier attempt no longer counts."""

from __future__ import annotations

import json
from pathlib import Path

from ravenml.remote.client.submit import REMOTE, _reset_mirror
from ravenml.remote.layout import RemoteRun
from ravenml.store.local_store import FolderStore


def test_a_run_that_was_stopped_is_not_stopped_again_when_it_goes_on(tmp_path: Path) -> None:
    folder, remote_run = tmp_path / "run", RemoteRun(FolderStore(tmp_path / "store"), "r")
    record = {
        "id": "r",
        "process": {"host": "x", "pid": 1},
        "attempts": [{"started": "2026-01-01T00:00:00.000Z"}],
    }
    folder.mkdir()
    (folder / REMOTE).write_text("{}")
    (folder / "run.json").write_text(json.dumps({**record, "result": {"status": "interrupted"}}))
    (folder / "control.json").write_text('{"request": "stop"}')
    for name in ("control.json", "control-0.json", "heartbeat.json", "heartbeat-0.json", "waiting.json"):
        remote_run.write(name, {"request": "stop"})
    remote_run.write("files/kept.json", {})
    _reset_mirror(folder, remote_run)
    assert not (folder / "control.json").exists()
    kept = [entry.key for entry in remote_run.store.list(remote_run.key(""))]
    assert kept == [remote_run.key("files/kept.json"), remote_run.key("files/run.json")]
    assert json.loads((folder / "run.json").read_text()) == {**record, "result": None}
