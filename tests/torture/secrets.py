"""Secrets of every kind at random places of a recorded run; its folder and its archive hold none."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from secret_values import ALNUM, BY_SHAPE, NAMES, parts, password, word

from ravenml.common import secrets
from ravenml.config.home import runs_dir
from ravenml.runs import layout
from ravenml.runs.archive import export_run
from ravenml.runs.console import ConsoleLog
from ravenml.runs.process.program import Program
from ravenml.runs.provenance import code
from ravenml.runs.reproduce.checkout import restore_old_lines
from ravenml.runs.run import Run

TRIALS = 3_000
# What stands beside the secrets, and must be readable afterwards.
HARMLESS = ["--lr", "0.1", "--patience", "3", "-p", "8080", "--pretrained", "imagenet", "--tokenizer", "bert"]
SHA = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"
WINDOW = 8  # characters; not even so much of a secret may be found


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """A git checkout whose files change; every trial records a run in it."""
    checkout = folder / "code"
    checkout.mkdir()
    _git(checkout, "init", "-q")
    environment = dict(os.environ)

    def trial(rng: random.Random) -> str:
        secrets._noted.clear()  # what one trial has seen must not help the next
        os.environ["RAVENML_MASK_CONSOLE"] = "true"
        try:
            return _trial(rng, checkout, folder)
        finally:
            os.environ.clear()
            os.environ.update(environment)
            shutil.rmtree(runs_dir(), ignore_errors=True)

    yield trial


def _trial(rng: random.Random, checkout: Path, folder: Path) -> str:
    place = rng.choice(list(_PLACES))
    kind = rng.choice([*BY_SHAPE, *["password"] * len(BY_SHAPE)])
    secret = password(rng) if kind == "password" else BY_SHAPE[kind](rng)
    run_id = layout.new_id()
    recorded = _Recorded(rng, kind, secret, checkout)
    _PLACES[place](recorded)
    command = Program([*recorded.arguments, *HARMLESS, SHA]).command()
    run = Run.begin(
        runs_dir() / run_id, run_id, {"kind": "program", "command": command, "config": recorded.config}
    )
    run.update(provenance={"code": code({"working folder": checkout}, run.path / "provenance")})
    with ConsoleLog(run.path / layout.CONSOLE) as log:
        for piece in recorded.printed:
            log.write(piece)
    for text in recorded.texts:
        run.text(text)
        run.relay({"event_type": "EventType.TEXT", "message": text, "extra": {"what": text}})
    run.describe({"parameters": recorded.config})
    run.finish("failed", error=recorded.texts[0] if recorded.texts else "none", metrics={})
    archive = folder / "run.tar.gz"
    archive.unlink(missing_ok=True)
    done = export_run(run.path, archive)
    assert not done.masked, f"{place}, {kind}: masked only when it was exported: {done.masked}"
    where = f"{kind} as {place}"
    for path in run.path.rglob("*"):
        _check(path.read_bytes() if path.is_file() else b"", recorded.secret, f"{where}: {path.name}")
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            _check(file.read() if file else b"", recorded.secret, f"{where}: the archive's {member.name}")
    record = json.loads((run.path / layout.RUN_JSON).read_text())
    assert record["command"][-len(HARMLESS) - 1 :] == [*HARMLESS, SHA], record["command"]
    _check_applies(run.path, record, checkout, where)
    return place


def _check(content: bytes, secret: str, where: str) -> None:
    for part in parts(secret):
        for form in {part, json.dumps(part)[1:-1], json.dumps(json.dumps(part)[1:-1])[1:-1]}:
            windows = [form[at : at + WINDOW] for at in range(max(1, len(form) - WINDOW + 1))]
            found = next((one for one in windows if one.encode() in content), None)
            if found is not None:
                at = content.index(found.encode())
                around = content[max(0, at - 150) : at + 150].decode(errors="replace")
                raise AssertionError(f"{where} holds {found!r} of {secret!r}: …{around}…")


def _check_applies(run: Path, record: dict, checkout: Path, where: str) -> None:  # type: ignore[type-arg]
    diff = record["provenance"]["code"]["working folder"].get("diff")
    if diff:
        _git(checkout, "checkout", "-q", "--", ".")
        whole, _ = restore_old_lines((run / diff).read_text("utf-8", "surrogateescape"), checkout)
        done = subprocess.run(
            ["git", "apply", "--check"], input=whole.encode(), cwd=checkout, capture_output=True
        )
        assert done.returncode == 0, f"{where}: the diff does not apply: {done.stderr.decode()}\n{whole}"


class _Recorded:
    """What a trial records; the places put the secret into it."""

    def __init__(self, rng: random.Random, kind: str, secret: str, checkout: Path) -> None:
        self.rng, self.kind, self.secret, self.checkout = rng, kind, secret, checkout
        self.named = kind == "password"  # found by its name alone
        self.name = rng.choice(NAMES)
        self.arguments = ["python", "train.py"]
        self.config: dict[str, object] = {"lr": 0.1, "epochs": 3}
        self.texts: list[str] = []
        self.printed: list[str] = []

    def sentence(self) -> str:
        """A text with the secret in it."""
        rng, name, secret = self.rng, self.name, self.secret
        if self.named:
            safe = "".join(mark for mark in secret if mark in ALNUM + "-_")
            self.secret = secret = safe
            forms = [
                f"{name}={secret}",
                f"{name}: {secret}",
                f'{{"{name}": "{secret}"}}',
                f"--{name} {secret}",
            ]
            return rng.choice(["cannot log in, ", "see ", ""]) + rng.choice(forms)
        return (
            rng.choice(["refused: ", "('", '"', "url=", "", "\n"])
            + secret
            + rng.choice(["", "'", '"', " x", ", y"])
        )


def _as_argument(to: _Recorded) -> None:
    rng, name, secret = to.rng, to.name, to.secret
    option = f"--{name.replace('_', '-')}"
    forms = [[option, secret], [f"{option}={secret}"], [f"{name}={secret}"], ["-e", f"{name}={secret}"]]
    forms += [["bash", "-c", f"{name}={shlex.quote(secret)} python x.py"], [json.dumps({name: secret})]]
    forms += [["-p", f"{secret}"]] if "/" not in secret and secret[0] not in ".-" else []
    if not to.named:
        forms += [[secret], ["--url", secret], [f"--data={secret}"], ["python", "-c", f"x = {secret!r}"]]
        forms += [["curl", "-H", f"X: {secret}"]]
    to.arguments += rng.choice(forms)


def _in_environment(to: _Recorded) -> None:
    to.secret = "".join(mark for mark in to.secret if mark in ALNUM)[:40] + "x9Z8y7X6"
    os.environ[to.rng.choice([to.name, f"MY_{to.name}"])] = to.secret
    to.texts.append(f"the server refused {to.secret}")
    to.config["login"] = f"me {to.secret}"
    to.arguments.append(to.secret)


def _in_config(to: _Recorded) -> None:
    rng, name, secret = to.rng, to.name, to.secret
    forms: list[object] = [
        {name: secret}, {name: [secret, "x"]}, {name: {"value": secret}}, [{"name": name, "value": secret}],
        ["--" + name, secret], {"args": [f"{name}={secret}"]},
    ]  # fmt: skip
    forms += [] if to.named else [secret, [secret], {"x": {"y": secret}}, {secret: 1}]
    to.config["outer"] = rng.choice(forms)


def _in_text(to: _Recorded) -> None:
    to.texts.append(to.sentence())


def _in_console(to: _Recorded) -> None:
    text = f"epoch 1\n{to.sentence()}\nepoch 2\n"
    while text:
        size = to.rng.randrange(1, 30)
        to.printed.append(text[:size])
        text = text[size:]


def _in_remote(to: _Recorded) -> None:
    safe = to.secret = word(to.rng, ALNUM + "-_.~", 20)
    forms = [
        f"https://me:{safe}@example.org/x.git",
        f"https://{safe}@example.org/x.git",
        f"http://{safe}:x@h/x",
    ]
    _git(to.checkout, "remote", "remove", "origin", check=False)
    _git(to.checkout, "remote", "add", "origin", to.rng.choice(forms))


def _in_diff(to: _Recorded) -> None:
    """A file that holds the secret in a line that is added, removed, or stays."""
    rng, secret = to.rng, to.secret
    suffix, write = rng.choice(list(_FILES.items()))
    key = rng.choice(["old", "new", "both"])
    filler = [f"line{number} = {rng.randrange(100)}" for number in range(12)]
    at = rng.randrange(12)
    holding, other = write(to, secret), write(to, "another" + word(rng, ALNUM, 9) + "1x")
    texts = {
        "old": [[*filler[:at], *holding, *filler[at:]], [*filler[:at], *other, *filler[at:]]],
        "new": [[*filler[:at], *other, *filler[at:]], [*filler[:at], *holding, *filler[at:]]],
        "both": [
            [*filler[:at], *holding, *filler[at:]],
            [*filler[:at], *holding, *filler[at:-1], "changed = 1"],
        ],
    }[key]
    if to.kind == "private key" and key == "both" and len(holding) > 8:  # a line of a key has changed
        middle = rng.randrange(2, len(holding) - 2)
        changed = [
            *holding[:middle],
            holding[middle][:4] + holding[middle][4:].swapcase(),
            *holding[middle + 1 :],
        ]
        texts[1] = [*filler[:at], *changed, *filler[at:]]
    file = to.checkout / f"settings{suffix}"
    for old in to.checkout.glob("settings*"):
        old.unlink()
    file.write_text("\n".join(texts[0]) + "\n")
    _git(to.checkout, "add", "-A")
    _git(to.checkout, "commit", "-qm", "next")
    file.write_text("\n".join(texts[1]) + "\n")


def _python(to: _Recorded, secret: str) -> list[str]:
    name, rng = to.name, to.rng
    if "\n" in secret:
        return f'{name} = """{secret}"""'.split("\n")
    literal = repr(secret)
    forms = [
        f"{name} = {literal}",
        f"login({name}={literal})",
        f"d = {{'{name}': {literal}}}",
        f"{name}: str = {literal}",
    ]
    forms += [f"os.environ['{name}'] = {literal}", f"os.environ.get('{name}', {literal})"]
    forms += [] if to.named else [f"x = {literal}", f"# {secret}", f"load({literal})"]
    return [rng.choice(forms)]


def _yaml(to: _Recorded, secret: str) -> list[str]:
    return yaml.safe_dump({to.name: secret}, width=10_000).rstrip("\n").split("\n")


def _json(to: _Recorded, secret: str) -> list[str]:
    return [json.dumps({to.name: secret})]


def _shell(to: _Recorded, secret: str) -> list[str]:
    return f"export {to.name}={shlex.quote(secret)}".split("\n")


def _ini(to: _Recorded, secret: str) -> list[str]:
    return [f"{to.name} = {secret}".replace("\n", "\\n")]


_FILES = {
    ".py": _python,
    ".yaml": _yaml,
    ".json": _json,
    ".sh": _shell,
    ".ini": _ini,
    ".txt": _ini,
}
_PLACES = {
    "argument": _as_argument,
    "environment": _in_environment,
    "config": _in_config,
    "text": _in_text,
    "console": _in_console,
    "remote": _in_remote,
    "diff": _in_diff,
}


def _git(folder: Path, *arguments: str, check: bool = True) -> None:
    line = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    subprocess.run(line, cwd=folder, check=check, capture_output=True)
