"""A ZIP as the source of an import: unpacked beside the project, for as long as the import takes."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ravenml.common.io import temporary_folder, to_user_error
from ravenml.common.permissions import make_folder
from ravenml.common.reading import is_usable_name
from ravenml.errors import InputError, RavenError

_LITTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP by its name and its content."""
    try:
        return path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path)
    except OSError:
        return False


@contextmanager
def unpacked(path: Path, beside: Path) -> Iterator[Path]:
    """Unpack a ZIP into a temporary folder, which is removed when the block ends.

    Args:
        path: the archive; anything else is given back as it is.
        beside: the temporary folder is made next to this path, so that it is on the same disk.

    Yields:
        The folder; where the archive holds a single folder, that one.

    Raises:
        InputError: the archive is damaged, has a password, or names a file outside of itself.
        RavenError: the disk is too small, full, or may not be written.
    """
    if not is_archive(path):
        yield path
        return
    with temporary_folder(beside) as made:
        folder = made / path.stem
        folder.mkdir()
        _unpack(path, folder)
        yield _single_folder(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if not one.is_dir() and not _is_litter(one.filename)]
            needed, free = sum(one.file_size for one in entries), shutil.disk_usage(folder).free
            if needed > free:
                raise RavenError(
                    f"{path} needs {needed / 2**30:,.1f} GiB unpacked, and {folder.parent.parent} has "
                    f"{free / 2**30:,.1f} GiB; free some space, or import to another disk."
                )
            for entry in entries:
                _unpack_file(archive, entry, path, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise InputError(f"{path} is a damaged ZIP ({error}); fetch or pack it again.") from None
    except RuntimeError:  # what zipfile raises for a password
        raise InputError(f"{path} has a password; unpack it, and import the folder.") from None
    except OSError as error:
        raise to_user_error(error, folder) from error


def _unpack_file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, folder: Path) -> None:
    name = entry.filename.replace("\\", "/")
    if not is_usable_name(name):
        raise InputError(f"{path} names a file outside of itself, {name!r}; pack it again.")
    target = folder / name
    make_folder(target.parent)
    with archive.open(entry) as packed, open(target, "wb") as file:
        while part := _read(packed):
            file.write(part)


def _read(packed: IO[bytes]) -> bytes:
    try:
        return packed.read(1 << 20)
    except (zlib.error, lzma.LZMAError, OSError) as error:  # OSError: bzip2's
        raise zipfile.BadZipFile(str(error)) from None


def _is_litter(name: str) -> bool:
    return any(part in _LITTER for part in name.split("/"))


def _single_folder(folder: Path) -> Path:
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
