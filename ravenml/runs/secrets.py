"""Keeping secrets out of records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_SECRET = re.compile(
    r"passw|passphrase|secret|token|api_?-?key|access_?-?key|private_?-?key|credential", re.IGNORECASE
)
_ASSIGNED = re.compile(
    r"(?P<name>[\w.-]*(?:passw|passphrase|secret|token|api_?-?key|access_?-?key|private_?-?key|credential)[\w.-]*)"
    r"(?P<sign>[\"']?\s*[:=]\s*)(?P<value>[\"'][^\"'\n]*[\"']|[^\s,;)}\]]+)",
    re.IGNORECASE,
)
_URL = re.compile(r"(?P<scheme>\w+://[^\s/:@]+:)[^\s/@]+@")
HIDDEN = "***"

# Files that never enter a recorded diff, as git pathspecs.
SECRET_FILES = (
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_*",
    ".netrc",
    ".pypirc",
    "credentials*",
    "*.kdbx",
)


def is_secret(name: str) -> bool:
    """Whether what goes by this name should not be written down."""
    return bool(_SECRET.search(name))


def redacted(value: Any, name: str = "") -> Any:
    """A copy of nested plain values in which everything whose name looks like a secret is hidden."""
    if isinstance(value, dict):
        return {key: redacted(inner, str(key)) for key, inner in value.items()}
    if is_secret(name) and value not in (None, "", False):
        return HIDDEN
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return redacted_text(value) if isinstance(value, str) else value


def redacted_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line in which the values of options that look like secrets are hidden."""
    result: list[str] = []
    hide_next = False
    for argument in arguments:
        name, sign, _ = argument.partition("=")
        if hide_next and not argument.startswith("-"):
            result.append(HIDDEN)
        elif sign and is_secret(name):
            result.append(f"{name}={HIDDEN}")
        else:
            result.append(redacted_text(argument))
        hide_next = argument.startswith("-") and not sign and is_secret(argument)
    return result


def redacted_text(text: str) -> str:
    """Text in which ``name=value`` and ``name: value`` of secrets, and passwords in URLs, are hidden."""
    return _URL.sub(rf"\g<scheme>{HIDDEN}@", _ASSIGNED.sub(rf"\g<name>\g<sign>{HIDDEN}", text))
