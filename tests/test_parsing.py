"""JSON and YAML of any origin: what is read, and what is one sentence."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from ravenml.common.parsing import (
    DEEPEST,
    LARGEST_YAML,
    MOST_VALUES,
    ParseError,
    parse_json,
    parse_yaml,
    read_json,
    read_yaml,
)
from ravenml.errors import InputError

LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{'bcdefghi'[n]}: &{'bcdefghi'[n]} [{','.join(['*' + 'abcdefgh'[n]] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "more than 100 deep in each other in line 1"),
        ("- " * 200_000, "more than 100 deep"),
        ("{a: " * 3000, "more than 100 deep"),
        (LAUGHS, "too many values"),
        ("a: &all [*all]", "has too many values in line 1: *all stands for itself"),
        ("a: &all\n  b: *all", "in line 2: *all stands for itself"),
        ("[" + "1," * (MOST_VALUES + 1) + "]", "too many values"),
        ("#" * (LARGEST_YAML + 1), "is larger than 1024 KiB"),
        ("a: 1\nb: 2\na: 3", "has the key 'a' twice in line 3"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "the tag tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("a: !!binary aGk=", "the tag tag:yaml.org,2002:binary"),
        ("a: " + "9" * 5000, "a number of more than 64 bits"),
        ("a: 0x" + "f" * 17, "a number of more than 64 bits"),
        ("a: 1" + ":59" * 5000, "a number of more than 64 bits"),
        ("a: !!int many", "'many' is not of the kind that its tag says"),
        ("a: !!int ''", "'' is not of the kind that its tag says"),
        ("a: !!bool many", "'many' is not of the kind that its tag says"),
        ("a:\n\tb: 1", "is not valid YAML in line 2: it has a tab where spaces belong"),
        ("a: 1\x00", "control characters are not allowed"),
        ("a: 1\n---\nb: 2", "but found another document"),
        ("? [a]\n: b", "found unhashable key"),
        (b"a: 1\nb: \xfc", "is not valid YAML in line 2: it is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_yaml_that_is_refused_is_one_sentence(text: str | bytes, said: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_yaml(text, "x.yml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("x.yml ") and "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1".encode("utf-16"), {"a": 1}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 2024-99-99", {"a": "2024-99-99"}),
        ("a: =", {"a": "="}),
        ("a: \ud83d", {"a": "\ufffd"}),
        ("0: car\n1: bus", {0: "car", 1: "bus"}),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
        ("a: 18446744073709551615", {"a": 2**64 - 1}),
        ("a: [.inf, 1e-3, 1.5, yes, ~]", {"a": [math.inf, "1e-3", 1.5, True, None]}),
        ("[" * DEEPEST + "]" * DEEPEST, json.loads("[" * DEEPEST + "]" * DEEPEST)),
    ],
)
def test_yaml_is_read_as_plain_values(text: str | bytes, value: object) -> None:
    assert parse_yaml(text, "x.yml") == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "more than 100 deep in each other"),
        ('{"a":' * 200_000, "more than 100 deep in each other"),
        ("[" * 101 + "]" * 101, "more than 100 deep in each other"),
        ("[NaN," + "[" * 900 + "]" * 901, "more than 100 deep in each other"),
        (("[" * 900 + "]" * 900).encode("utf-16"), "more than 100 deep in each other"),
        ("1" * 5000, "it has a number of 5000 digits"),
        ('{"a": 1,\n}', "is not valid JSON in line 2, column 1: Expecting property name"),
        ("", "is not valid JSON in line 1, column 1: Expecting value"),
        ("[" + "[1]," * 1000, "is not valid JSON in line 1, column 4002"),
        (b'{"a":\n"\xfc"}', "is not valid JSON in line 2: it is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_json_that_is_refused_is_one_sentence(text: str | bytes, said: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_json(text, "x.json")
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("[Infinity, -Infinity, 1e999]", [math.inf, -math.inf, math.inf]),
        ("[123456789012345678901234567890, NaN]", "[123456789012345678901234567890, nan]"),
        ('{"\\ud83d": "\\ud83d\\ude00"}', {"?": "\U0001f600"}),
        ("[" * DEEPEST + "]" * DEEPEST, json.loads("[" * DEEPEST + "]" * DEEPEST)),
        (json.dumps(["[" * 500, '"[\\' * 500, "]["]), ["[" * 500, '"[\\' * 500, "]["]),
    ],
)
def test_json_is_read_however_it_was_written(text: str | bytes, value: object) -> None:
    found = parse_json(text, "x.json")
    assert (str(found) if isinstance(value, str) else found) == value


def test_a_file_s_name_that_is_not_utf_8_comes_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "names.json").write_text(json.dumps([name, "\ud83d"]))
    assert read_json(tmp_path / "names.json") == [name, "?"]
    assert parse_json(json.dumps([name]), "x") == ["caf?.png"]


def test_a_parse_error_survives_another_process() -> None:
    error = ParseError("x.json", "is not valid JSON", "line 3", "Expecting value")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - its own


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with tempfile.TemporaryDirectory(prefix="s") as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/socket")
        (tmp_path / "socket").symlink_to(f"{short}/socket")
        (tmp_path / "loop").symlink_to("loop")
        for name, said in {
            "pipe": "it is a named pipe, not a file",
            "folder": "it is a folder, not a file",
            "socket": "cannot be read",
            "loop": "cannot be read",
            "n" * 300: "cannot be read: File name too long",
            "a\0b": "no file can have this name",
            "\ud800": "no file can have this name",
            "missing": "does not exist",
        }.items():
            for read in (read_json, read_yaml):
                with pytest.raises(InputError, match=said):
                    read(tmp_path / name)
    with pytest.raises(InputError, match="it is a device, not a file"):
        read_json(Path("/dev/zero"))


def test_a_pipe_that_a_shell_made_is_read() -> None:
    reader, writer = os.pipe()
    threading.Timer(0.2, lambda: (os.write(writer, b"a: 1"), os.close(writer))).start()
    assert read_yaml(Path(f"/dev/fd/{reader}")) == {"a": 1}
    os.close(reader)


def test_yaml_is_loaded_in_one_place_alone() -> None:
    root = Path(__file__).resolve().parents[1]
    files = [*root.glob("ravenml/**/*.py"), *root.glob("plugins/*/ravenml_*/**/*.py")]
    loading = [file.name for file in files if re.search(r"yaml\.\w*load", file.read_text(encoding="utf-8"))]
    assert loading == ["parsing.py"]
