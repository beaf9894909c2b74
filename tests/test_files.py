"""Files are written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ravenml.errors import RavenError
from ravenml.files import explain, read_json, write_beside, write_json


def test_a_failing_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": True})
    with pytest.raises(ZeroDivisionError), write_beside(tmp_path / "a.json") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert read_json(tmp_path / "a.json") == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_and_a_forbidden_place_get_a_sentence() -> None:
    assert "the disk is full" in str(explain(OSError(errno.ENOSPC, ""), Path("x")))
    assert "may not be written" in str(explain(OSError(errno.EACCES, ""), Path("x")))


def test_broken_json_gets_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": }')
    with pytest.raises(RavenError, match=r"a\.json is not valid JSON: .* in line 2"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RavenError, match="does not exist"):
        read_json(tmp_path / "b.json")
