"""Masking secrets in what is written down: found by their names, by their shapes, and by their values.

By name: ``--api-token X``, ``DB_PASSWORD=X``, ``{"secret_key": "X"}``.  By shape: what services hand out
looks like nothing else (``ghp_…``, ``AKIA…``, a private key's block, ``https://user:password@host``).  By
value: what was seen under a secret's name, and what the environment holds under one, is masked wherever it
turns up again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from ravenml.common.secret_patterns import (
    AMAZON,
    AUTHORIZATION,
    BEARER,
    KEY_BLOCK,
    KEY_TEXT,
    LOGIN,
    NUMBER,
    QUERY,
    URL,
    URL_SLASH,
    gives_nothing_away,
    is_amazon_secret,
    is_harmless,
    is_password,
    is_secret,
    looks_random,
    shapes,
)

HIDDEN = "***"

# Files that never enter a recorded diff, as git pathspecs.
SECRET_FILES = (
    *(".env*", ".env*/**", ".netrc", ".pypirc", "credentials*"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_*"),
)

# ---- texts

_QUOTED = (  # also within a text that is quoted itself (\"), and where the line ends before the quotation
    r"(?:(?P<three>\"\"\"|\'\'\')(?P<lines>(?:(?!(?P=three))[\s\S]){0,4000})(?P=three)"
    r"|(?P<quote>[\"'])(?P<inside>(?:\\.|(?!(?P=quote))[^\n\\])*+)"
    r"(?:(?P=quote)(?P<more>(?:\"[^\"\n]*\"|'[^'\n]*')*)|(?=\n|$))"  # a shell's 'it'"'"'s' is one value
    r"|(?P<escaped>\\[\"'])(?P<within>(?:\\\\\\.|(?!(?P=escaped))[^\n])*)(?:(?P=escaped)|(?=\n|$)))"
)
_NAMED = r"(?<![\w./-])(?P<name>[\w.-]++)"
_SIGN = (  # a type may stand between name and value
    r"(?P<sign>\\?[\"']?\]?(?:\s*+:\s*+[\w.\[|][\w.\[\] |]{0,60}?)?\s*+(?::=|=>|==|!=|[:=])"
    r"\s*+\(?\s*+[frbuFRBU]{0,2})"
)
# name = "value", "name": "value", name: str = "value"
_ASSIGNED_QUOTED = re.compile(_NAMED + _SIGN + _QUOTED)
# get("name", "value"), add_argument("--name", default="value")
_GIVEN_QUOTED = re.compile(
    r"(?<=\w\()(?P<name>\\?[\"'][\w.-]++)(?P<sign>\\?[\"']\s*,\s*(?:default\s*=\s*)?[frbuFRBU]{0,2})"
    + _QUOTED
)
# a line that is nothing else: `password: value`, `export TOKEN=value`
_LINE = re.compile(
    r"^(?P<name>[ \t]*(?:(?:export|set|ENV|ARG)[ \t]+|-[ \t]+)?(?P<key>[\w.-]+))"
    r"(?P<sign>[ \t]*(?:=>|==|:=|[:=])[ \t]*)"
    r"(?P<value>[^\s\"'].*?)(?P<rest>[ \t]+#.*)?$",
    re.MULTILINE,
)
# name=value among others
_ASSIGNED_PLAIN = re.compile(_NAMED + r"(?P<sign>[ \t]*(?:=>|==|:=|[:=])[ \t]*)(?P<value>[^\s\"'\\]+)")
_OPTION = re.compile(
    r"(?<![^\s\"'=])(?P<name>-{1,2}[A-Za-z][\w-]*|ENV[ \t]+\w+)(?P<sign>[ \t]+)"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'-][^\s\"']*)"
)
_XML = re.compile(r"<(?P<name>[\w.-]+)>(?P<value>[^<\n]+)(?=</)")
_SENTENCE = ("a", "an", "the", "as", "is", "it", "in", "to", "of", "or", "and", "for", "not", "was", "this")
_EXPRESSION = re.compile(r"[A-Za-z_][\w.]*[(\[].*|(?:self|args|os|cfg|config|settings|opt|params)\.[\w.]+.*")


def redact_text(text: str, code: bool = False) -> str:
    """Text without the secrets in it; it has as many lines as before.

    Args:
        text: a line, a message, a file.
        code: whether it is a program's source, in which only what is quoted is a value.
    """
    for value in _known_values():
        if value in text:
            text = text.replace(value, HIDDEN)
    if "PRIVATE KEY" in text:
        text = KEY_BLOCK.sub(_hide_body, text)
    if "@" in text and ":" in text:
        text = URL.sub(_hide_user, text)
        text = URL_SLASH.sub(rf"\g<scheme>{HIDDEN}@", text)
        text = LOGIN.sub(rf"\g<user>{HIDDEN}\g<host>", text)
    for parts, pattern in shapes():
        if any(part in text for part in parts):
            text = pattern.sub(HIDDEN, text)
    if len(text) >= 40:
        text = AMAZON.sub(lambda found: HIDDEN if is_amazon_secret(found[0]) else found[0], text)
    if "=" in text and ("?" in text or "&" in text):
        text = QUERY.sub(_hide_value(lambda name, value: True), text)
    lower = text.lower()
    if "authorization" in lower:
        text = AUTHORIZATION.sub(_hide_value(_is_credential), text)
    if "bearer" in lower:
        text = BEARER.sub(_hide_value(_is_credential), text)
    return _redact_named(text, code)


def _redact_named(text: str, code: bool) -> str:
    if '"' in text or "'" in text:
        text = _ASSIGNED_QUOTED.sub(_hide_quoted, text)
        text = _GIVEN_QUOTED.sub(_hide_quoted, text)
    if "</" in text:
        text = _XML.sub(_hide_element, text)
    if code:
        return text
    text = _LINE.sub(_hide_line, text)
    if ":" in text or "=" in text:
        text = _ASSIGNED_PLAIN.sub(_hide_plain, text)
    return _OPTION.sub(_hide_option, text) if "-" in text or "ENV" in text else text


def _hide_body(found: re.Match[str]) -> str:
    def hide(part: re.Match[str]) -> str:
        if part[1] is None and len(part[0]) >= 16:
            _noted[part[0]] = None
        return part[1] or HIDDEN

    return found["begin"] + KEY_TEXT.sub(hide, found["body"])


def _hide_element(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    hides = is_secret(name) and not gives_nothing_away(name, value)
    return f"<{name}>{HIDDEN}" if hides else found[0]


def _hide_user(found: re.Match[str]) -> str:
    shell = found["scheme"].lower().endswith(("ssh://", "sftp://", "rsync://", "git://"))
    return found[0] if shell and ":" not in found["user"] else f"{found['scheme']}{HIDDEN}@"


def _hide_value(hides: Callable[[str, str], bool]) -> Callable[[re.Match[str]], str]:
    return lambda found: found["name"] + (HIDDEN if hides(found["name"], found["value"]) else found["value"])


def _is_credential(name: str, value: str) -> bool:
    """Whether what follows ``Bearer`` is one, and neither a variable's name nor a word of a sentence."""
    bare = value.rstrip(",;.)}]")
    if gives_nothing_away("token", value) or gives_nothing_away("token", bare):
        return False
    word = bare.replace("_", "").isalpha() and len(bare) < 24
    return not word and not (bare.endswith("=") and len(bare) < 24)


def _hide_quoted(found: re.Match[str]) -> str:
    name = found["name"]
    quote, inside = next(
        (found[quote], found[inside])
        for quote, inside in (("three", "lines"), ("quote", "inside"), ("escaped", "within"))
        if found[quote] is not None
    )
    if not is_secret(name) or gives_nothing_away(name, inside) or _ends_a_text(found, quote, inside):
        return found[0]
    _note(inside)
    hidden = "\n".join(HIDDEN for _ in inside.split("\n"))
    start = f"{name}{found['sign']}{quote}"
    end = found[0][len(start) + len(inside) :]
    return start + hidden + (end.removesuffix(found["more"]) if found["more"] else end)


def _ends_a_text(found: re.Match[str], quote: str, inside: str) -> bool:
    """Whether the quotation mark ends a text (``"?token=" in address``) instead of beginning a value."""
    if inside[:1] not in ("", " ", ")", "]", ",", ";", ":"):
        return False
    line = found.string[found.string.rfind("\n", 0, found.start()) + 1 : found.start()]
    return line.count(quote) % 2 == 1 and quote not in found["sign"]


def _hide_line(found: re.Match[str]) -> str:
    if not is_secret(found["key"]) or gives_nothing_away(found["key"], found["value"]):
        return found[0]
    return f"{found['name']}{found['sign']}{HIDDEN}{found['rest'] or ''}"


def _hide_plain(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    bare = value.rstrip(",;.)}]`")
    if not is_secret(name) or gives_nothing_away(name, bare) or gives_nothing_away(name, value):
        return found[0]
    if _EXPRESSION.fullmatch(value) or (": " in found[0] and bare in _SENTENCE):
        return found[0]
    return f"{name}{found['sign']}{HIDDEN}{value[len(bare) :]}"


def _hide_option(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"].strip("\"'")
    hides = is_secret(name) and not gives_nothing_away(name, value)
    hides = hides and not value.isupper() and value not in _SENTENCE
    if hides or (name in _SHORT and looks_random(value)):
        return f"{name}{found['sign']}{HIDDEN}"
    if name in _USERS and _user_and_password(value):
        return f"{name}{found['sign']}{value.partition(':')[0]}:{HIDDEN}"
    return found[0]


class StreamMasker:
    """Masks a text that comes in pieces: whole lines are passed on, and a private key once it has ended."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be passed on now that ``piece`` has come."""
        self._held += piece
        end = max(self._held.rfind("\n"), self._held.rfind("\r")) + 1
        begin = self._held.rfind("-----BEGIN ", 0, end)
        if begin >= 0 and "-----END " not in self._held[begin:end] and end - begin < _LONGEST_KEY:
            end = begin
        if end == 0 and len(self._held) > _LONGEST_KEY:  # a line without an end
            end = len(self._held)
        whole, self._held = self._held[:end], self._held[end:]
        return redact_text(whole)

    def end(self) -> str:
        """What is left."""
        whole, self._held = self._held, ""
        return redact_text(whole)


# ---- values

_LONGEST_KEY = 16_384  # characters
_MOST_NOTED = 1000
_noted: dict[str, None] = {}


def _note(value: str) -> None:
    """Remember a secret, so that it is known where it turns up without its name."""
    if _is_telling(value) and len(_noted) < _MOST_NOTED:
        _noted[value] = None


def _is_telling(value: str) -> bool:
    """Whether a value is so special that it means itself wherever it stands."""
    if not 8 <= len(value) <= 4096 or value.startswith(("/", "~", ".")) or HIDDEN in value:
        return False
    kinds = (str.islower, str.isupper, str.isdigit)
    return sum(any(map(kind, value)) for kind in kinds) > 1 and not NUMBER.fullmatch(value)


def _known_values() -> Iterable[str]:
    """The secrets of this process, the longest first: one may be a part of another."""
    environment = (value for name, value in os.environ.items() if is_secret(name) and _is_telling(value))
    return sorted({*_noted, *environment}, key=len, reverse=True)


def redact(value: object, name: str = "") -> Any:
    """A copy of nested plain values without the secrets in it.

    Numbers and switches stay: ``max_tokens: 128`` gives nothing away; a number that is a password does.
    """
    if isinstance(value, str | int | float | dict | list | tuple) and value and is_secret(name):
        if isinstance(value, str) and not gives_nothing_away(name, value):
            _note(value)
            return HIDDEN
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if _holds_text(value) or (number and is_password(name)):
            return HIDDEN
    if isinstance(value, dict):
        # Kubernetes' and docker's way: {"name": "API_TOKEN", "value": "X"}
        called = next((value[key] for key in ("name", "key") if isinstance(value.get(key), str)), "")
        return {
            redact_text(key) if isinstance(key, str) else key: redact(
                inner, called if key == "value" and called else str(key)
            )
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        if value and all(isinstance(inner, str) for inner in value):
            return redact_arguments(value)
        return [redact(inner) for inner in value]
    return redact_text(value) if isinstance(value, str) else value


def _holds_text(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_text, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_text, value))
    return isinstance(value, str) and not gives_nothing_away("token", value)


def drop_hidden(value: object) -> Any:
    """What was written redacted, without the values that were hidden: they must be given again."""
    if isinstance(value, dict):
        return {key: drop_hidden(inner) for key, inner in value.items() if inner != HIDDEN}
    return value


# ---- command lines

_SHORT = ("-p", "-P")  # a password for mysql, sshpass, psql; a port, patience or a path for others
_USERS = ("-u", "--user", "--proxy-user", "-U")
_IS_OPTION = re.compile(r"--[A-Za-z][\w-]*(?:=.*)?", re.DOTALL)


def redact_arguments(arguments: Sequence[str], secret_options: Collection[str] = ()) -> list[str]:
    """A command line without the secrets in it.

    Args:
        arguments: the command line.
        secret_options: spellings that are known to be secrets whatever they look like (``-t``).
    """
    result: list[str] = []
    before = ""  # the option whose value comes next
    for argument in arguments:
        result.append(_redact_argument(argument, before, secret_options))
        takes = argument in (*secret_options, *_SHORT, *_USERS, "-H", "--header")
        named = argument.startswith("-") and "=" not in argument and is_secret(argument)
        hidden = result[-1] == HIDDEN and argument != HIDDEN
        before = argument if (takes or named) and not hidden else ""
    return result


def _redact_argument(argument: str, before: str, secret_options: Collection[str]) -> str:
    if before and not _IS_OPTION.fullmatch(argument):
        if before in secret_options:
            _note(argument)
            return HIDDEN
        if before in _SHORT and not is_harmless(argument):
            return HIDDEN
        if before in _USERS and _user_and_password(argument):
            _note(argument.partition(":")[2])
            return f"{argument.partition(':')[0]}:{HIDDEN}"
        if is_secret(before) and not gives_nothing_away(before, argument):
            _note(argument)
            return HIDDEN
    name, sign, value = argument.partition("=")
    if sign and re.fullmatch(r"[\w.+~@/-]+", name):
        if name in secret_options or (is_secret(name) and not gives_nothing_away(name, value)):
            _note(value)
            return f"{name}={HIDDEN}"
        if name in _USERS and _user_and_password(value):
            return f"{name}={value.partition(':')[0]}:{HIDDEN}"
        return f"{name}={_redact_argument(value, '', secret_options)}"  # --env=NAME=VALUE
    if argument.startswith(_SHORT) and len(argument) > 2 and looks_random(argument[2:]):
        return f"{argument[:2]}{HIDDEN}"  # mysql's -pPASSWORD
    return redact_text(argument)


def _user_and_password(value: str) -> bool:
    user, sign, password = value.partition(":")
    return bool(sign and user and password) and not (user.isdigit() and password.isdigit())


# ---- diffs

_CODE = (
    *(
        ".py",
        ".pyi",
        ".pyx",
        ".ipynb",
        ".js",
        ".ts",
        ".jsx",
        ".tsx",
        ".c",
        ".cc",
        ".cpp",
        ".cu",
        ".h",
        ".hpp",
    ),
    *(
        ".java",
        ".go",
        ".rs",
        ".r",
        ".jl",
        ".rb",
        ".scala",
        ".kt",
        ".swift",
        ".m",
        ".lua",
        ".php",
        ".pl",
        ".cs",
    ),
)


def redact_diff(diff: str) -> str:
    """Git's diff without the secrets in it: line by line, so that it still is a diff.

    Lines that were added can be applied as they are.  For removed lines and those around, see
    :func:`ravenml.runs.reproduce.patch.restore_old_lines`.
    """
    result: list[str] = []
    body: list[str] = []
    code = inside = binary = False

    def flush() -> None:
        if not body:
            return
        text = "\n".join(line[1:] for line in body)
        masked = redact_text(text, code).split("\n")
        result.extend(line[:1] + new for line, new in zip(body, masked, strict=True))
        body.clear()

    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            flush()
            inside = binary = False
            code = line.rstrip('"').lower().endswith(_CODE)
        elif line.startswith("GIT binary patch"):
            binary = True
        elif line.startswith("@@ ") and not binary:
            flush()
            inside = True
            line = line[: line.find(" @@", 2) + 3]  # what follows is a line that git has cut off anywhere
        elif inside and line[:1] in ("+", "-", " "):
            body.append(line)
            continue
        flush()
        result.append(line)
    flush()
    return "\n".join(result)
