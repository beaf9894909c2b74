"""Finding the images that annotation files name, without ever leaving the folder of images.

Names in files were written on other machines: with back-slashes, drives, folders that are elsewhere, and in
other Unicode forms.  They are looked for below one folder; a name never opens a file outside of it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ravenml.common.reading import is_file, open_file
from ravenml.data.images import EXTENSIONS, UNREAD_EXTENSIONS
from ravenml.data.problems import DataProblem

_PUT = "put the image there, or name its folder with --images"
_RESERVED = frozenset({"img", "ann", "meta", "img_info", "seg", "blob", "datasets"})
_SPLIT = re.compile(  # such as `train2017`, `valid`, `testing`, `test-dev`, `val_images`
    r"(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?)|(?P<test>test(?:ing|-dev)?))"
    r"(?:[-_ ]?(?:set|images|imgs|data))?(?:[-_ ]?(?:19|20)\d\d)?",
    re.IGNORECASE,
)


class Images:
    """The images below a folder.

    Args:
        root: the folder.
        near: a folder at or below it where names are looked for first.
    """

    def __init__(self, root: Path, near: Path | None = None) -> None:
        self.root, self.near = root, near or root

    def find(self, name: object, file: Path, field: str) -> Path:
        """The image that ``name``, the ``field`` of a ``file``, means.

        Raises:
            DataProblem: it is not a name, or no such image is below the folder, or several are.
        """
        if not isinstance(name, str) or not name.strip():
            raise DataProblem(file, field, "names no image", "correct it, or remove the entry")
        if re.match(r"[a-z][a-z0-9+]+://", name):
            raise DataProblem(
                file, field, f"{name} is an address on the web", "fetch the image and name its file"
            )
        plain = name.replace("\\", "/")
        forms = (name, plain, unicodedata.normalize("NFC", plain), unicodedata.normalize("NFD", plain))
        for form in dict.fromkeys(forms):
            for folder in dict.fromkeys((self.near, self.root)):
                inside = self._inside(folder, form)
                if inside is not None and is_file(inside):
                    return inside
        return self._anywhere(name, file, field)

    def _inside(self, folder: Path, name: str) -> Path | None:
        """``folder/name`` if that is below the root by its name alone."""
        if "\0" in name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
            return None
        path = Path(os.path.normpath(folder / name))
        return path if path.is_relative_to(os.path.normpath(self.root)) else None

    def _anywhere(self, name: str, file: Path, field: str) -> Path:
        base = _plain(name)
        found = self._names.get(base, [])
        if len(found) == 1:
            return found[0]
        if found:
            problem = f"{name} is not a path below {self.root}, and {len(found)} images there have that name"
            raise DataProblem(file, field, problem, "write the image's folder before its name")
        raise DataProblem(file, field, f"the image {name} is not below {self.root}", _PUT)

    @cached_property
    def _names(self) -> dict[str, list[Path]]:
        """Every file below the root by its name, for names whose folders are another machine's."""
        found: dict[str, list[Path]] = {}
        for path in files_below(self.root):
            found.setdefault(_plain(path.name), []).append(path)
        return found


def files_below(folder: Path, extensions: frozenset[str] | None = None) -> Iterator[Path]:
    """Every file below a folder, sorted, without hidden ones and hidden folders.

    Links to folders are followed unless they lead in a circle.
    """
    above: dict[str, frozenset[str]] = {str(folder): frozenset({os.path.realpath(folder)})}
    for place, folders, names in os.walk(folder, followlinks=True):
        seen = above.pop(place)
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(place, name))
            if not name.startswith(".") and real not in seen:
                kept.append(name)
                above[os.path.join(place, name)] = seen | {real}
        folders[:] = kept
        for name in sorted(names):
            if name.startswith("."):
                continue
            if extensions is None or os.path.splitext(name)[1].lower() in extensions:
                yield Path(place, name)


def files_of(path: Path, extension: str) -> Iterator[Path]:
    """Every file below a folder that ends like this; or, if it does, the file that was named instead."""
    if path.is_dir():
        return files_below(path, frozenset({extension}))
    return iter([path] if path.suffix.lower() == extension else [])


def read_ends(path: Path, first: int, last: int = 0) -> bytes:
    """So many of a file's first and last bytes, in one; nothing where it cannot be read."""
    try:
        with open_file(path) as file:
            content = file.read(first)
            if last:
                file.seek(max(path.stat().st_size - last, 0))
                content += file.read(last)
            return content
    except OSError:
        return b""


def images_below(folder: Path) -> list[Path]:
    """Every image file below a folder, sorted; those that are not read too, so that each is named."""
    return list(files_below(folder, EXTENSIONS | UNREAD_EXTENSIONS))


def folder_of(image: Path, root: Path, default: str) -> str:
    """The dataset of an image: its folder below ``root``, ``default`` where it lies in it directly."""
    parts = image.parent.relative_to(root).parts if image.parent.is_relative_to(root) else ()
    return dataset_name("/".join(parts) or default)


def dataset_name(name: str) -> str:
    """A dataset's name that may stand in a project: parts that have a meaning there get a ``_``."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    return "/".join(_allowed(part) for part in parts) or "dataset"


def split_of(name: str) -> str | None:
    """``train``, ``val`` or ``test`` where a folder or file is called after it, else None."""
    match = _SPLIT.fullmatch(name)
    return match.lastgroup if match else None


def split_tags(dataset: str) -> list[dict[str, str]]:
    """The tag of a dataset's images by the innermost of its folders that is called after a split."""
    split = next(filter(None, map(split_of, reversed(dataset.split("/")))), None)
    return [{"name": split}] if split else []


def _allowed(part: str) -> str:
    if part.startswith("."):
        part = f"_{part[1:]}"
    return f"{part}_" if part in _RESERVED else part


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
