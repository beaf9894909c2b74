"""The pages of models and queues in a real browser, and what is behind them."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_user import PATIENCE, wait_for
from browsing import Dashboard, Start, Tab, answer
from predicting import pack, write_predicting_plugins

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")

from ravenml.dashboard.models import servers, upload
from ravenml.errors import InputError

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import write_run


def tar_of(path: Path, members: dict[str, bytes], link: bool = False) -> Path:
    """A tar with these files, and a link that leaves it where that is wanted."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo("away")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    return path


CONFIG = json.dumps({"v": 1, "settings": {"plugin": "unet", "architecture": "UNet"}}).encode()


def test_a_file_is_uploaded_checked_and_stored_for_transfer_learning(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab], tmp_path: Path
) -> None:
    page = browse(dashboard).go("/models")
    page.get_by_text("No models yet.").wait_for()
    file = page.get_by_label("The model's file")
    store = page.get_by_role("button", name="Store", exact=True)

    file.set_input_files(tar_of(tmp_path / "bad.tar", {"config.json": CONFIG}, link=True))
    store.click()
    page.get_by_text("'away' is not allowed in a model").wait_for()
    page.get_by_role("button", name="OK").click()
    page.get_by_text("'away' is not allowed in a model").wait_for(state="hidden")

    good = tar_of(tmp_path / "good.tar", {"config.json": CONFIG, "model.pth": os.urandom(40 << 20)})
    file.set_input_files(good)
    page.get_by_text("40.0 MiB of 40.0 MiB").wait_for()
    store.click()
    page.get_by_text("has no `out_classes`").wait_for()  # it cannot predict
    page.get_by_role("button", name="OK").click()
    page.get_by_text("for transfer learning only").click()
    store.click()
    page.get_by_role("link", name="good", exact=True).wait_for()
    assert page.get_by_role("button", name="Try or serve").count() == 0
    (metadata,) = (raven.home / "store" / "models").glob("metadata_*.json")
    told = json.loads(metadata.read_text())
    assert told["transfer_only"] is True and told["name"] == "good"
    (stored,) = (raven.home / "store" / "models").glob("*.tar")
    assert stored.read_bytes() == good.read_bytes()
    assert not list((raven.home / "cache" / "dashboard" / "uploads").glob("*.tar"))


def test_a_model_is_renamed_gets_an_alias_and_is_removed_on_its_page(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab], tmp_path: Path
) -> None:
    tar = tar_of(tmp_path / "made.tar", {"config.json": CONFIG, "model.pth": b"weights"})
    raven.ok("models", "push", tar, "--transfer-only")
    page = browse(dashboard).go("/models")
    page.get_by_role("link", name="made", exact=True).click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("<b>better</b>")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="<b>better</b>").wait_for()
    page.get_by_role("button", name="Alias").click()
    page.get_by_label("Alias, such as production").fill("no spaces")
    page.get_by_role("button", name="Set").click()
    page.get_by_text("'no spaces' cannot be used").wait_for()
    page.get_by_role("button", name="OK").click()
    page.get_by_role("button", name="Alias").click()
    page.get_by_label("Alias, such as production").fill("production")
    page.keyboard.press("Enter")
    page.get_by_role("definition").get_by_text("production").wait_for()
    model = raven.ok("models", "alias", "production").strip()
    page.goto(f"{dashboard.origin}/models")
    page.locator(".chip", has_text="production").wait_for()
    page.goto(f"{dashboard.origin}/models/{model}")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_text("No models yet.").wait_for()
    assert not [path for path in (raven.home / "store").rglob("*") if path.is_file()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path))
    return tmp_path


def test_parts_of_an_upload_follow_each_other_and_have_a_limit(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = upload.start_upload()
    assert upload.add_part(key, 0, b"one") == 3
    with pytest.raises(InputError, match="byte 3"):
        upload.add_part(key, 7, b"late")
    assert upload.add_part(key, 3, b"two") == 6
    assert upload.upload_path(key).read_bytes() == b"onetwo"
    assert upload.add_part(key, 0, b"another") == 7  # another file was chosen
    monkeypatch.setattr(upload, "LIMIT", 8)
    with pytest.raises(InputError, match="at most"):
        upload.add_part(key, 7, b"xx")
    for wrong in ("", "../../x", "0" * 32, f"../{key}"):
        with pytest.raises(InputError, match="is unknown"):
            upload.upload_path(wrong)
    upload.forget_upload(key)
    with pytest.raises(InputError):
        upload.upload_path(key)


def test_parts_are_taken_with_the_token_alone(dashboard: Dashboard) -> None:
    request = urllib.request.Request(f"{dashboard.origin}/models/upload/{'0' * 32}?at=0", b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    assert refused.value.code == 401
    request.add_header("Authorization", f"Bearer {dashboard.token}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    assert refused.value.code == 413


def test_a_server_that_cannot_start_says_why_and_is_forgotten_when_dismissed(home: Path) -> None:
    name = servers.serve("no-such-model")
    (one,) = wait_for(lambda: [s for s in servers.servers() if not s.alive])
    assert one.id == name and one.address is None and one.last_line
    servers.stop(name)
    assert servers.servers() == []


def test_a_model_is_served_from_its_page_outlives_the_dashboard_and_is_stopped(
    raven: Any, start: Start, browse: Callable[..., Tab], tmp_path: Path
) -> None:
    write_predicting_plugins(raven.site)
    raven.ok("models", "push", pack(tmp_path / "model-state.tar"), "--name", "tinting")
    first = start(RAVENML_TOKEN="of-the-dashboard-alone")
    page = browse(first).go("/models")
    page.get_by_role("button", name="Try or serve").click()
    address = page.get_by_role("link", name="Open http://127.0.0.1").get_attribute("href")
    own, token = f"{address.partition('?')[0]}healthz", address.partition("=")[2]
    assert answer(own, Authorization=f"Bearer {token}")[0] == 200
    assert (
        first.token == "of-the-dashboard-alone"
        and answer(own, Authorization=f"Bearer {first.token}")[0] == 401
    )
    assert answer(f"{first.origin}/models", Authorization=f"Bearer {token}")[0] == 401
    first.kill()
    second = start()
    tab = browse(second)
    page = tab.go("/models")
    assert page.get_by_role("link", name="Open http://127.0.0.1").get_attribute("href") == address
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Try or serve").wait_for()
    assert not list((raven.home / "serving").iterdir())


def test_without_a_configured_queue_a_sentence_helps(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go("/queues")
    page.get_by_text("A queue is a name for a Ray cluster.").wait_for()
    page.get_by_text("Not running; starts automatically").wait_for()


def test_what_waits_says_why(raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]) -> None:
    import time

    config = {"queues": {"gpu": {"address": "http://127.0.0.1:9", "resources": {"GPU": 1}}}}
    (raven.home / "config.yaml").write_text(json.dumps(config))
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    (folder / "remote.json").write_text(
        json.dumps({"v": 1, "queue": "gpu", "id": folder.name, "store": "/nowhere"})
    )
    beat = {"state": "waiting", "at": time.time(), "waits_for": "a GPU that is free"}
    (folder / "heartbeat.json").write_text(json.dumps(beat))
    page = browse(dashboard).go("/queues")
    page.get_by_role("heading", name="Queue gpu").wait_for()
    page.get_by_text("waiting for a GPU that is free").wait_for()
    page.get_by_text("127.0.0.1:9").first.wait_for()
