"""Secrets are found by name, by shape and by value; what is none stays readable."""

from __future__ import annotations

import base64
import hashlib
import random
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from secret_values import BY_SHAPE, NAMES, parts, password

from ravenml.common.secret_patterns import is_secret
from ravenml.common.secrets import StreamMasker, redact, redact_arguments, redact_diff, redact_text
from ravenml.runs.reproduce.checkout import restore_old_lines

RANDOM = st.builds(random.Random, st.integers(0, 2**32))
HOLDERS = (
    *("{}", "x {} y", "--url={}", "key: {}", '"{}"', "('{}')", "# {}", "see {}, please", "a={};b=2", "<{}>"),
    *("curl -H 'X: {}' x", "+    x = '{}'", '{{"x": "{}"}}', "[{}]"),
)


@pytest.mark.parametrize("kind", BY_SHAPE)
@given(RANDOM, st.sampled_from(HOLDERS), st.booleans())
def test_a_secret_is_found_by_its_shape(kind: str, rng: random.Random, holder: str, code: bool) -> None:
    secret = BY_SHAPE[kind](rng)
    masked = redact_text(holder.format(secret), code)
    assert not [part for part in parts(secret) if part in masked], masked
    assert masked.count("\n") == secret.count("\n")
    assert redact_text(masked, code) == masked


@given(RANDOM, st.sampled_from(NAMES))
def test_a_value_is_found_by_its_name(rng: random.Random, name: str) -> None:
    secret = password(rng)
    option = "--" + name.replace("_", "-")
    for arguments in (
        [option, secret, "--lr", "0.1"], [f"{option}={secret}"], [f"{name}={secret}"],
        ["-e", f"{name}={secret}"], [f"--env={name}={secret}"], [f"+model.{name}={secret}"],
    ):  # fmt: skip
        masked = redact_arguments(["python", "x.py", *arguments])
        assert secret not in "\0".join(masked), masked
        assert redact_arguments(masked) == masked
    for values in ({name: secret}, {"a": [{name: {"x": secret}}]}, [{"name": name, "value": secret}]):
        masked = redact(values)
        assert secret not in repr(masked) and redact(masked) == masked


@given(RANDOM, st.sampled_from(NAMES), st.sampled_from(["{} = {!r}", "x({}={!r})", "{}: str = {!r}  # note",
       "os.environ[{!r}] = {!r}", "get({!r}, {!r})", "d = {{{!r}: {!r}}}"]))  # fmt: skip
def test_a_literal_in_code_is_found_by_its_name(rng: random.Random, name: str, form: str) -> None:
    secret = "".join(mark for mark in password(rng) if mark not in "'\"\\")
    line = form.format(name, secret)
    masked = redact_text(line, code=True)
    assert secret not in masked and compile(masked, "x.py", "exec")


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (["mysql", "-p", "hunter2"], "hunter2"),
        (["mysql", "-phunter2"], "hunter2"),
        (["curl", "-u", "me:hunter2", "x"], "hunter2"),
        (["curl", "--user=me:hunter2", "x"], "hunter2"),
        (["curl", "-H", "Authorization: Basic bWU6eA==", "x"], "bWU6eA"),
        (["curl", "-H", "X-Api-Key: hunter2", "x"], "hunter2"),
        (["bash", "-c", "PASSWORD=a(b,c python x.py"], "a(b,c"),
        (["bash", "-c", "python x.py --api-token hunter2 && mysql -p hunter2"], "hunter2"),
        (["x", '{"password": "a\\"b", "lr": 1}'], "b"),
        (["x", "redis://:hunter2@host:1/0", "me:hunter2@host.org"], "hunter2"),
        (["x", "https://bucket.s3.org/a?X-Amz-Signature=0123456789abcdef0123&x=1"], "0123456789"),
    ],
)
def test_what_command_lines_hide_secrets_in(arguments: list[str], hidden: str) -> None:
    assert hidden not in "\0".join(redact_arguments(arguments)[1:])


@pytest.mark.parametrize(
    "text",
    [
        *("-p 8080", "-p 8080:80", "-p runs/out", "--patience 3", "--passes 3", "--pretrained imagenet"),
        *("--max-tokens 128", "--cls-token", "--tokenizer bert", "--pad-token <pad>", "--low-pass 0.5"),
        *("--no-token", "--use-token --lr 0.1", "--token-file /run/secrets/token", "--sort-key loss"),
        *("ssh://git@github.com/me/x.git", "git@github.com:me/x.git", "package @ git+https://host/x@1.0"),
        *("http://host:8080/a@b", "python:3.11@sha256:" + hashlib.sha256(b"").hexdigest(), "mailto:me@x.org"),
        *(hashlib.sha1(b"x").hexdigest(), hashlib.sha256(b"x").hexdigest(), str(uuid.uuid4())),
        *("20261129-120000-abcdef", "/home/Someone/Projects/CamVid/trainings/RunsOf2026", "lr=0.1"),
        "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(30_000)).decode(),
        *(
            "$API_TOKEN",
            "--token $TOKEN",
            "password=${PASSWORD}",
            "{password}",
            "token: null",
            "-u 1000:1000",
        ),
        *(
            "PWD=/home/me",
            "tokens=128",
            "author=me",
            "passage: text",
            "keyboard=1",
            "monkey=1",
            "secretary: x",
        ),
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact_text(text) == text
    assert redact_arguments(text.split(" ")) == text.split(" ")
    assert redact({"value": text}) == {"value": text}


@pytest.mark.parametrize(
    "line",
    [
        *("password = getpass()", "def login(token: str, password: str | None = None) -> None:"),
        *("headers = {'Authorization': f'Bearer {token}'}", "token = os.environ['API_TOKEN']"),
        *("if '-----BEGIN PRIVATE KEY-----' in text:\n    read(text)", "return forward_pass('model')"),
        *(
            "self.cls_token = 'cls'",
            "max_tokens = 128",
            "tokenizer = 'bert-base-uncased'",
            "x = {'my.secrets': 'our.secrets'}",
        ),
    ],
)
def test_code_without_a_secret_stays_code(line: str) -> None:
    assert redact_text(line, code=True) == line


def test_numbers_stay_unless_they_are_passwords() -> None:
    values = {"max_tokens": 128, "token_dim": 64, "tokens": [1, 2], "api_key": None, "use_token": True}
    assert redact(values) == values
    assert redact({"password": 12345678}) == {"password": "***"}
    assert is_secret("AWS_ACCESS_KEY_ID") and not is_secret("token_type")


def test_a_secret_of_the_environment_is_known_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = f"x9{uuid.uuid4().hex}"
    assert secret in redact_text(f"cannot log in with {secret}")
    monkeypatch.setenv("TRACKER_API_TOKEN", secret)
    assert redact_text(f"cannot log in with {secret}") == "cannot log in with ***"


def test_a_secret_of_the_command_line_is_known_by_its_value() -> None:
    secret = f"x9{uuid.uuid4().hex}"
    redact_arguments(["--token", secret])
    assert secret not in redact_text(f"the server refused {secret}")


@given(RANDOM, st.sampled_from(sorted(BY_SHAPE)), st.integers(1, 40))
def test_a_text_in_pieces_is_masked_like_the_whole(rng: random.Random, kind: str, size: int) -> None:
    secret = BY_SHAPE[kind](rng)
    text = f"first\nwith {secret} inside\nprogress 1\rprogress 2\rlast"
    masker = StreamMasker()
    masked = "".join(masker.feed(text[at : at + size]) for at in range(0, len(text), size)) + masker.end()
    assert not [part for part in parts(secret) if part in masked]
    assert masked.startswith("first\n") and masked.endswith("last")


def test_no_text_takes_long() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n"
    for text in ("a:" + " " * 50_000, "a: b " * 20_000, "x" * 500_000, "://" * 50_000, key * 5000):
        began = time.perf_counter()
        redact_text(text)
        assert time.perf_counter() - began < 5  # 0.1 s where nothing else runs


def git(folder: Path, *arguments: str) -> str:
    line = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_masked_diff_can_be_applied(tmp_path: Path) -> None:
    """Old lines come from the checkout; in new ones the mask stands, and they are named."""
    old, new = f"old9{uuid.uuid4().hex}", f"new9{uuid.uuid4().hex}"
    file = tmp_path / "login.py"
    git(tmp_path, "init", "-q")
    file.write_text(f'one = 1\ntoken = "{old}"\nkept_password = "{old}"\nlast = 1\n')
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    file.write_text(f'one = 2\ntoken = "{new}"\nkept_password = "{old}"\nlast = 1\n')
    masked = redact_diff(git(tmp_path, "diff", "HEAD"))
    assert old not in masked and new not in masked
    git(tmp_path, "checkout", "-q", "--", ".")
    whole, places = restore_old_lines(masked, tmp_path)
    (tmp_path / "x.diff").write_text(whole)
    git(tmp_path, "apply", "x.diff")
    assert file.read_text() == f'one = 2\ntoken = "***"\nkept_password = "{old}"\nlast = 1\n'
    assert places == ["login.py line 2"]
