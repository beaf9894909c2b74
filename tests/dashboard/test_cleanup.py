"""What the dashboard leaves in the home is swept by age and size; what is in use, or somebody's, stays."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")
from as_user import wait_for
from browsing import Start

from ravenml.dashboard import processes
from ravenml.dashboard.cleanup import Leftovers, leftovers, sweep
from ravenml.dashboard.models import upload

DAY = 86400.0


def written(path: Path, days: float, size: int = 1) -> Path:
    """A file that was written so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_what_is_too_old_goes_and_its_empty_folders_with_it(home: Path) -> None:
    pictures = home / "cache" / "thumbnails"
    old, new = written(pictures / "ab" / "1.jpg", 91), written(pictures / "cd" / "2.jpg", 89)
    half = written(pictures / "cd" / ".3.jpg.tmp", 91)  # of a process that was killed
    assert sweep(leftovers()) == 2
    assert not old.parent.exists() and not half.exists() and new.exists()


def test_where_there_is_too_much_the_oldest_goes(home: Path) -> None:
    files = [written(home / "series" / f"{days}.bin", days, 100) for days in (1, 2, 3, 4)]
    assert Leftovers(home / "series", 90, 250).sweep(time.time()) == 2
    assert [path.exists() for path in files] == [True, True, False, False]
    young = [written(home / "series" / f"young{number}.bin", 0, 100) for number in range(9)]
    Leftovers(home / "series", 90, 250).sweep(time.time())
    assert all(path.exists() for path in young)  # somebody may be reading them


def test_a_log_stays_while_a_process_prints_into_it(home: Path) -> None:
    log = home / "cache" / "dashboard" / "20261121.log"
    begun = processes.start(["run", "--", "sleep", "600"], log)
    try:
        wait_for(log.exists)
        os.utime(log, (0, 0))
        assert sweep(leftovers()) == 0 and log.exists()
    finally:
        begun.process.kill()
        os.killpg(begun.process.pid, 9)
    begun.process.wait()
    os.utime(log, (0, 0))
    wait_for(lambda: sweep(leftovers()) == 1)
    assert not log.exists()


def test_drafts_runs_and_the_files_that_runs_were_started_with_stay(home: Path) -> None:
    kept = [
        written(home / "drafts" / "20200101-000000-aaaaaa.json", 2000),
        written(home / "drafts" / "logs" / "20200101-000000-bbbbbb.yml", 2000),
        written(home / "runs" / "20200101-000000-bbbbbb" / "run.json", 2000),
        written(home / "store" / "models" / "metadata_x.json", 2000),
        written(home / "cache" / "index.json", 2000),
    ]
    gone = [
        written(home / "drafts" / "logs" / "20200101-000000-bbbbbb.log", 2000),
        written(home / "drafts" / "logs" / "20200101-000000-cccccc.yml", 2000),
    ]
    assert sweep(leftovers()) == 2
    assert all(path.exists() for path in kept) and not any(path.exists() for path in gone)


def test_a_link_is_deleted_and_what_it_leads_to_stays(home: Path, tmp_path: Path) -> None:
    mine = written(tmp_path / "mine" / "photo.jpg", 2000)
    (home / "cache" / "thumbnails").mkdir(parents=True)
    (home / "cache" / "thumbnails" / "link").symlink_to(mine.parent)
    (home / "cache" / "thumbnails" / "1.jpg").symlink_to(mine)
    sweep(leftovers(), time.time() + 1000 * DAY)
    assert mine.exists() and not (home / "cache" / "thumbnails" / "1.jpg").is_symlink()


def test_an_upload_of_an_open_page_stays(home: Path) -> None:
    key = upload.start_upload()
    upload.add_part(key, 0, b"one")
    os.utime(upload.upload_path(key), (0, 0))
    other = written(home / "cache" / "dashboard" / "uploads" / "other.tar", 2)
    upload.start_upload()
    assert upload.upload_path(key).exists() and not other.exists()
    upload.forget_upload(key)


def test_a_dashboard_that_starts_sweeps(raven: Any, start: Start) -> None:
    old = written(raven.home / "cache" / "dashboard" / "1.log", 31)
    start()
    wait_for(lambda: not old.exists())
