"""Keeping secrets out of records."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

_NAMES = r"passw|passphrase|secret|token|api_?-?key|access_?-?key|private_?-?key|credential"
_SECRET = re.compile(_NAMES, re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<name>(?<![\w.-])[\w.-]*(?:{_NAMES})[\w.-]*)"  # from a word's beginning: a long word is read once
    r"(?P<sign>[\"']?(?:\s*:\s*[\w.\[\] |]+?)?\s*[:=]\s*)"  # a type may stand between name and value
    r"(?P<value>[\"'][^\"'\n]*[\"']|[^\s,;)}\]]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<word>\bBearer\s+)[\w.~+/=-]+", re.IGNORECASE)
_URL = re.compile(r"(?P<scheme>\w+://)[^\s/\"']+@")
HIDDEN = "***"

# Files that never enter a recorded diff, as git pathspecs.
SECRET_FILES = (
    *(".env*", ".env*/**", ".netrc", ".pypirc", "credentials*"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_*"),
)


def is_secret(name: str) -> bool:
    """Whether what goes by this name should not be written down."""
    return bool(_SECRET.search(name))


def redact(value: object, name: str = "") -> Any:
    """A copy of nested plain values in which every text whose name looks like a secret is hidden.

    Numbers and switches stay: ``max_tokens: 128`` gives nothing away.
    """
    if is_secret(name) and value and isinstance(value, str | dict | list | tuple):
        return HIDDEN
    if isinstance(value, dict):
        return {key: redact(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return redact_text(value) if isinstance(value, str) else value


def drop_hidden(value: object) -> Any:
    """What was written redacted, without the values that were hidden: they must be given anew."""
    if isinstance(value, dict):
        return {key: drop_hidden(inner) for key, inner in value.items() if inner != HIDDEN}
    return value


def redact_arguments(arguments: Sequence[str], secret_options: Collection[str] = ()) -> list[str]:
    """A command line in which the values of options that look like secrets are hidden.

    Args:
        arguments: the command line.
        secret_options: spellings that are known to be secrets whatever they look like (``-t``).
    """
    result: list[str] = []
    hide_next = False
    for argument in arguments:
        name, sign, _ = argument.partition("=")
        secret = name in secret_options or (name.startswith("-") and is_secret(name))
        if hide_next:
            result.append(HIDDEN)
        elif secret and sign:
            result.append(f"{name}={HIDDEN}")
        else:
            result.append(redact_text(argument))
        hide_next = secret and not sign and not hide_next
    return result


def redact_text(text: str) -> str:
    """Text in which ``name=value`` and ``name: value`` of secrets, bearers' tokens and what URLs say before
    ``@`` are hidden.
    """
    text = _URL.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _BEARER.sub(rf"\g<word>{HIDDEN}", text)
    return _ASSIGNED.sub(rf"\g<name>\g<sign>{HIDDEN}", text)
