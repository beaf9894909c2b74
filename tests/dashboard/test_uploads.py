"""A model's file that comes from a browser in parts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")

from ravenml.dashboard.models import upload
from ravenml.errors import InputError


def test_what_was_sent_may_be_read_by_its_owner_alone(home: Path) -> None:
    key = upload.start_upload()
    upload.add_part(key, 0, b"one")
    assert os.stat(upload.upload_path(key)).st_mode & 0o077 == 0


def test_one_page_may_send_one_file_after_the_other(home: Path) -> None:
    key = upload.start_upload()
    upload.add_part(key, 0, b"one")
    assert upload.add_part(key, 0, b"another") == 7  # chosen instead
    upload.delete_upload(key)  # it was stored
    assert upload.add_part(key, 0, b"a third") == 7 and upload.upload_path(key).read_bytes() == b"a third"


def test_a_page_that_is_open_for_days_may_still_send_one(home: Path) -> None:
    key = upload.start_upload()
    upload.add_part(key, 0, b"one")
    os.utime(upload.upload_path(key), (0, 0))
    upload.start_upload()  # deletes what is left of other days
    assert upload.add_part(key, 0, b"one") == 3


def test_what_no_page_asked_for_is_not_taken(home: Path) -> None:
    key = upload.start_upload()
    upload.add_part(key, 0, b"one")
    path = upload.upload_path(key)
    upload.forget_upload(key)
    assert not path.exists()
    for wrong in (key, "../../config", "", "0" * 32):
        with pytest.raises(InputError, match="reload the page"):
            upload.add_part(wrong, 0, b"one")
