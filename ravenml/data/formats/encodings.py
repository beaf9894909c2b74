"""Text that other programs saved, as UTF-8, whatever encoding it is in.

UTF-16 and UTF-32 show by their first bytes.  What is neither they nor UTF-8 does not say what it is: it is
read as Chinese where its bytes come in pairs as Chinese text has them, else as Western European, and the user
is told.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from ravenml.common.io import to_user_error
from ravenml.common.reading import open_file
from ravenml.data.problems import DataProblem, Notice

_CHUNK = 1 << 20  # bytes
_DAMAGED, _HALVES = "damaged UTF-8", "halves of surrogate pairs"
_GUESSES = {"cp1252": "Windows-1252 (Western European)", "gb18030": "GB 18030 (Chinese)"}
_HIGH = re.compile(rb"[\x80-\xff]+")
_COMMON = range(0xB0, 0xD8)  # the first bytes of the Chinese characters that are used most


class Utf8Files:
    """Opens text files as UTF-8, and tells which ones were in another encoding."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def open(self, path: Path) -> IO[bytes]:
        """A text file in UTF-8: the file itself, or a temporary one that has the same text.

        Raises:
            DataProblem: it cannot be read.
            RavenError: the disk is full.
        """
        try:
            file = open_file(path)
        except FileNotFoundError:
            raise DataProblem(path, "", "does not exist", "name a file that is there") from None
        except OSError as error:
            raise DataProblem(path, "", f"cannot be read ({error.strerror})", "make it readable") from None
        encoding = _encoding_of(file)
        file.seek(0)
        if encoding == "utf-8":
            return file
        self._found.setdefault(encoding, []).append(path.name)
        with file:
            return _converted(file, "utf-8" if encoding == _DAMAGED else encoding, path)

    def read(self, path: Path) -> bytes:
        """A text file's content in UTF-8; raises what `open` does."""
        with self.open(path) as file:
            content = file.read()
        if has_halves(content):
            self._found.setdefault(_HALVES, []).append(path.name)
        return content

    def tell(self, notice: Notice) -> None:
        """Say which files were not UTF-8, a sentence for each encoding; then forget them."""
        for encoding, names in self._found.items():
            many = len(names) > 1
            which = f"{names[0]} and {len(names) - 1:,} more" if many else names[0]
            if encoding == _DAMAGED:
                said = f"{'have' if many else 'has'} bytes that are not UTF-8"
                notice(f'{which} {said}; each is read as "\ufffd".')
            elif encoding == _HALVES:
                said = f"{'have' if many else 'has'} halves of characters"
                notice(f'{which} {said}, cut off by another program; each is read as "?".')
            elif encoding in _GUESSES:
                said = f"{'are' if many else 'is'} not UTF-8, and read as {_GUESSES[encoding]}"
                notice(f"{which} {said}; if names come out wrong, save as UTF-8.")
            else:
                notice(f"{which} {'are' if many else 'is'} read as {encoding.upper()}.")
        self._found = {}


def _encoding_of(file: IO[bytes]) -> str:
    beginning = file.read(4)
    encoding = json.detect_encoding(beginning)
    if not encoding.startswith("utf-8"):
        return encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _guess(file)
    return "utf-8"


def _guess(file: IO[bytes]) -> str:
    """The encoding of text that is not UTF-8, by all its bytes beyond ASCII."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    whole = broken = runs = even = pairs = common = 0
    for chunk in _chunks(file):
        text = decoder.decode(chunk)
        broken += text.count("\ufffd")
        whole += sum(1 for character in text if character > "\x7f" and character != "\ufffd")
        for run in _HIGH.findall(chunk):
            runs += 1
            even += len(run) % 2 == 0
            pairs += len(run) // 2
            common += sum(first in _COMMON for first in run[: len(run) // 2 * 2 : 2])
    if whole > broken:
        return _DAMAGED
    return "gb18030" if even > 0.9 * runs and common > 0.5 * pairs else "cp1252"


def has_halves(content: bytes) -> bool:
    """Whether JSON has half of a surrogate pair, such as an emoji that was cut in two."""
    if b"\\ud" not in content and b"\\uD" not in content:
        return False
    # An escaped backslash, as in "C:\\udemy", begins no escape, and divides what is before and behind it.
    content = content.replace(b"\\\\", b" ")
    escapes = re.sub(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..", b"", content)
    return re.search(rb"\\u[dD][89a-fA-F]", escapes) is not None


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(_CHUNK), b"")


def _converted(file: IO[bytes], encoding: str, path: Path) -> IO[bytes]:
    made: IO[bytes] = TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        for text in codecs.iterdecode(_chunks(file), encoding, "replace"):
            made.write(text.encode("utf-8", "replace"))
        made.seek(0)
    except OSError as error:
        made.close()
        raise to_user_error(error, path) from error
    return made
