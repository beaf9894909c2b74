"""Opening files that somebody else may have put there: nothing is waited for, and nothing is too large.

Whatever is wrong with a file or its name is an `OSError` whose ``strerror`` ends a sentence.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LONGEST_PART = 240  # bytes; file systems have 255, of which writing beside a name takes some
_LONGEST_NAME = 2048  # bytes; Linux has 4096, of which the folder takes some
_OWN_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")  # what a shell writes for `<(command)`


def open_file(path: Path) -> BufferedReader:
    """Open a regular file, or what a link to one leads to, for reading.

    A named pipe or a device would be waited for, perhaps without end; only a pipe that a shell made for this
    process is read, and the empty device.

    Raises:
        OSError: there is no such file, it may not be read, it is something else, or no file has such a name.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind == stat.S_IFIFO and str(path).startswith(_OWN_PIPES):
        os.set_blocking(descriptor, True)
    elif kind != stat.S_IFREG and str(path) != os.devnull:
        os.close(descriptor)
        number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
        raise OSError(number, f"it is {_KINDS.get(kind, 'no file')}, not a file", str(path))
    return open(descriptor, "rb")


def read_bytes(path: Path, largest: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        largest: how many bytes it may have; a larger file is not read.

    Raises:
        OSError: as `open_file`, or the file is larger.
    """
    with open_file(path) as file:
        if largest is None:
            return file.read()
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {_size(largest)}", str(path))
    return content


def is_file(path: Path) -> bool:
    """Whether there is a regular file of this name, which may be no name that a file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or leads through a folder that may not be read
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder of this name, which may be no name that a folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_usable_name(name: str) -> bool:
    """Whether a path that an archive names can be made in a folder: it is relative, stays inside, and neither
    it nor one of its parts is too long.
    """
    parts = name.split("/")
    lengths = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    inside = not name.startswith("/") and ".." not in parts
    return inside and "\0" not in name and max(lengths) <= _LONGEST_PART and sum(lengths) <= _LONGEST_NAME


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"
