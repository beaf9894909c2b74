"""Text files of other tools: lines in UTF-8 or UTF-16, however they end."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem

_LINE_END = re.compile(r"\r\n|\r|\n")  # `str.splitlines` would also divide a name at a form feed


def read_lines(path: Path, errors: str = "strict") -> list[str]:
    """A text file's lines, without their ends.

    Args:
        path: the file.
        errors: what to do with bytes that are not text, as in `bytes.decode`.

    Raises:
        DataProblem: it cannot be read or, where ``errors`` is ``strict``, is neither UTF-8 nor UTF-16.
    """
    content = read_bytes(path)
    try:
        return _LINE_END.split(content.decode(unicode_encoding(content), errors))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataProblem(path, f"line {line}", "is not UTF-8 text", "save the file as UTF-8") from None


def unicode_encoding(beginning: bytes) -> str:
    """The Unicode encoding of text by its first bytes: UTF-16 by its mark or two ASCII signs, else UTF-8."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [byte == 0 for byte in beginning[:4]]
    if zeros == [True, False, True, False]:
        return "utf-16-be"
    return "utf-16-le" if zeros == [False, True, False, True] else "utf-8-sig"
