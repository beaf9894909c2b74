"""Secrets are found by name, by shape and by value; what is none stays readable."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
import sys
import tarfile
import time
import uuid
from pathlib import Path

import pytest
from as_user import Raven
from hypothesis import given
from hypothesis import strategies as st
from secret_values import BY_SHAPE, NAMES, parts, password
from throwaway import LEARNS, SETTINGS, write_plugin

from ravenml.common.secret_patterns import is_secret
from ravenml.common.secrets import StreamMasker, redact, redact_arguments, redact_diff, redact_text
from ravenml.config.config import load_config
from ravenml.errors import InputError
from ravenml.remote.client.queues import queue_named
from ravenml.remote.client.submit import _worker_config
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
        *(hashlib.sha1(b"x").hexdigest(), hashlib.sha256(b"x").hexdigest()),
        "9cffd6e5-ff8f-4f20-8ea1-6ffa36454088",
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


def record(raven: Raven, *arguments: object, **environment: str) -> Path:
    raven("run", "--", *arguments, **environment)
    return max(raven.runs())


def test_an_export_masks_again_and_says_where(raven: Raven) -> None:
    """What an older ravenML recorded, and the recorded output, leave the machine without secrets."""
    secret = f"ghp_{'Ab1' * 12}"
    run = record(raven, sys.executable, "-c", f"print('logged in with ' + {secret[:20]!r} + {secret[20:]!r})")
    assert secret in (run / "console.log").read_text()
    (run / "old.json").write_text(json.dumps({"password": "hunter2", "lr": 0.1}))
    done = raven("runs", "export", run.name, raven.cwd / "run.tar")
    assert "what looks like a secret was masked in console.log, old.json" in done.stderr
    with tarfile.open(raven.cwd / "run.tar") as tar:
        content = {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert b"logged in with ***" in content["console.log"]
    assert json.loads(content["old.json"]) == {"password": "***", "lr": 0.1}
    assert content["events.jsonl"] == (run / "events.jsonl").read_bytes()  # nothing there to mask
    assert "already here, identical" in raven("runs", "import", raven.cwd / "run.tar").stdout
    raven.ok("runs", "rm", "--yes", run.name)
    raven.ok("runs", "import", raven.cwd / "run.tar")
    assert "***" in (run / "console.log").read_text()


def test_the_recorded_output_is_masked_where_that_is_configured(raven: Raven) -> None:
    secret = f"ghp_{'Ab1' * 12}"
    code = f"print('token: ' + {secret[:20]!r} + {secret[20:]!r}); print('done')"
    run = record(raven, sys.executable, "-c", code, RAVENML_MASK_CONSOLE="true")
    assert (run / "console.log").read_text() == "token: ***\ndone\n"


def test_a_program_with_a_secret_is_repeated_once_the_secret_is_given(raven: Raven) -> None:
    (raven.cwd / "x.py").write_text("import sys; print(len(sys.argv[2]))")
    first = record(raven, sys.executable, "x.py", "--api-token", "hunter2")
    refused = raven("runs", "clone", first.name)
    assert refused.returncode == 2 and "The value of --api-token is a secret" in refused.stderr
    raven.ok("runs", "clone", first.name, "--set", "api_token=hunter22")
    assert (max(raven.runs()) / "console.log").read_text() == "8\n"
    assert "hunter22" not in (max(raven.runs()) / "run.json").read_text()


def test_a_traceback_shows_no_secret(raven: Raven) -> None:
    secret = "https://me:hunter2@store.example.org"
    for debug in ("0", "1"):
        done = raven("config", "show", "--endpoint-url", secret, "--cache-gib", "x", RAVENML_DEBUG=debug)
        assert done.returncode == 2 and "hunter2" not in done.stderr + done.stdout
    shown = raven("config", "show", "--mlflow-tracking-uri", secret)
    assert "mlflow_tracking_uri: https://***@store.example.org" in shown.stdout


def test_an_address_with_a_password_is_not_sent_to_a_cluster(raven: Raven) -> None:
    """Everybody who sees the cluster's dashboard can read the variables of a job."""
    raven.home.mkdir()
    (raven.home / "config.yaml").write_text(
        "endpoint_url: https://me:hunter2@store.example.org\n"
        f"queues: {{far: {{address: 'http://127.0.0.1:1', store: {raven.cwd}, requirements: none}}}}\n"
    )
    with pytest.raises(InputError, match=r"`endpoint_url` .* holds a secret, .* set RAVENML_ENDPOINT_URL on"):
        _worker_config(queue_named("far"))
    with pytest.raises(InputError, match="name it under `secrets`"):
        load_config({"queues": {"far": {"address": "http://h:1", "env": {"X": "https://me:pw@h/x"}}}})


def test_what_one_fold_prints_is_masked_too(raven: Raven, site: Path, project: Path) -> None:
    secret = f"ghp_{'Ab1' * 12}"
    printing = f"    print('with ' + {secret[:20]!r} + {secret[20:]!r})\n    run, s ="
    write_plugin(site, "prints", LEARNS.replace("    run, s =", printing, 1), settings=SETTINGS)
    raven.ok(
        "train", "--dataset", project, "prints", "train", "--epochs", "1", "--folds", "2",
        RAVENML_MASK_CONSOLE="true",
    )  # fmt: skip
    for log in raven.runs()[0].glob("folds/*/console.log"):
        assert "with ***" in log.read_text() and secret not in log.read_text()


def test_the_heading_of_a_hunk_is_left_out() -> None:
    """Git cuts that line off, in the middle of a secret too."""
    heading = " x = 'eyJhbGciOiJIUzI1NiJ9.eyJz"
    diff = f"diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -9,2 +9,2 @@{heading}\n one\n-a\n+b\n"
    assert redact_diff(diff) == diff.replace(heading, "")
