"""A model's file that comes from a browser in parts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ravenml.dashboard.models import uploads
from ravenml.errors import InputError


def test_what_was_sent_may_be_read_by_its_owner_alone(home: Path) -> None:
    key = uploads.begin()
    uploads.add(key, 0, b"one")
    assert os.stat(uploads.path_of(key)).st_mode & 0o077 == 0


def test_one_page_may_send_one_file_after_the_other(home: Path) -> None:
    key = uploads.begin()
    uploads.add(key, 0, b"one")
    assert uploads.add(key, 0, b"another") == 7  # chosen instead
    uploads.clear(key)  # it was stored
    assert uploads.add(key, 0, b"a third") == 7 and uploads.path_of(key).read_bytes() == b"a third"


def test_a_page_that_is_open_for_days_may_still_send_one(home: Path) -> None:
    key = uploads.begin()
    uploads.add(key, 0, b"one")
    os.utime(uploads.path_of(key), (0, 0))
    uploads.begin()  # deletes what is left of other days
    assert uploads.add(key, 0, b"one") == 3


def test_what_no_page_asked_for_is_not_taken(home: Path) -> None:
    key = uploads.begin()
    uploads.add(key, 0, b"one")
    path = uploads.path_of(key)
    uploads.forget(key)
    assert not path.exists()
    for wrong in (key, "../../config", "", "0" * 32):
        with pytest.raises(InputError, match="open the page again"):
            uploads.add(wrong, 0, b"one")
