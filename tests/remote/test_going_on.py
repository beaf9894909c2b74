"""Going on with a run elsewhere: what was asked of its earlier attempt no longer counts."""

from __future__ import annotations

import json
from pathlib import Path

from ravenml.remote.client.submit import REMOTE, _hand_over
from ravenml.remote.layout import Place
from ravenml.store.local_store import FolderStore


def test_a_run_that_was_stopped_is_not_stopped_again_when_it_goes_on(tmp_path: Path) -> None:
    folder, place = tmp_path / "run", Place(FolderStore(tmp_path / "store"), "r")
    folder.mkdir()
    (folder / REMOTE).write_text("{}")
    (folder / "run.json").write_text(json.dumps({"id": "r", "result": {"status": "interrupted"}}))
    (folder / "control.json").write_text('{"request": "stop"}')
    for name in ("control.json", "control-0.json", "heartbeat.json", "heartbeat-0.json", "waiting.json"):
        place.write(name, {"request": "stop"})
    place.write("files/kept.json", {})
    _hand_over(folder, place)
    assert not (folder / "control.json").exists()
    kept = [entry.key for entry in place.store.list(place.key(""))]
    assert kept == [place.key("files/kept.json"), place.key("files/run.json")]
    assert json.loads((folder / "run.json").read_text()) == {"id": "r", "result": None}
