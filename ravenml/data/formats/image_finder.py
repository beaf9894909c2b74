"""Finding the images that annotation files name, without ever leaving the folder of images.

Names in files were written on other machines: with back-slashes, drives, folders that are elsewhere, in other
Unicode forms, in another case, as addresses on the web, or before the images were converted.  They are looked
for below one folder; a name never opens a file outside of it.
"""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from ravenml.common.reading import is_file, is_folder, open_file
from ravenml.data.formats.base import ImportSource
from ravenml.data.images import EXTENSIONS, UNREAD_EXTENSIONS
from ravenml.data.item_names import usable_name
from ravenml.data.problems import DataProblem, Notice

_PUT = "put the image there, or name its folder with --images"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")
IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")  # what tools call them, in lower case
_RESERVED = frozenset({"img", "ann", "meta", "img_info", "seg", "blob", "datasets"})
_SPLIT = re.compile(  # such as `train2017`, `valid`, `testing`, `test-dev`, `val_images`
    r"(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?)|(?P<test>test(?:ing|-dev)?))"
    r"(?:[-_ ]?(?:set|images|imgs|data))?(?:[-_ ]?(?:19|20)\d\d)?",
    re.IGNORECASE,
)


class Images:
    """The images below a folder.

    A name means, in this order: the file at that very path; the one file of that name; one that differs in
    upper and lower case or in how an address spells it (`a%20b.png`); one of another kind of image
    (`a.png` for `a.jpg`, or for `a`).  Where a folder that the name says is here too, no image in another is
    meant.  Of several, the one whose folders are the name's, or else those of the file that names it, is
    meant; where that does not decide, none is.

    Args:
        root: the folder.
        near: a folder at or below it where names are looked for first.
        notice: told once, when an image of another kind is taken for the first time.
    """

    def __init__(self, root: Path, near: Path | None = None, notice: Notice | None = None) -> None:
        self.root, self.near, self.notice = root, near or root, notice

    def find(self, name: object, file: Path, field: str, near: Path | None = None) -> Path:
        """The image that ``name``, the ``field`` of a ``file``, means; ``near`` in place of the usual one.

        Raises:
            DataProblem: it is not a name, or no such image is below the folder, or several are.
        """
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            raise DataProblem(file, field, "names no image", "correct it, or remove the entry")
        near = near or self.near
        plain = name.replace("\\", "/")
        forms = (name, plain, unicodedata.normalize("NFC", plain), unicodedata.normalize("NFD", plain))
        for form in dict.fromkeys((*forms, _path_of_address(plain))):
            for folder in dict.fromkeys((near, self.root)):
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
        *folders, base = _path_of_address(name.replace("\\", "/")).split("/")
        said = [_spelling(part) for part in folders]
        same = (self._names.get(_plain(base), []), self._spellings.get(_spelling(base), []))
        found = next(filter(None, (self._possible(paths, said) for paths in same)), [])
        converted = not found
        if converted:
            alike = (self._stems.get(stem, []) for stem in _stems_of(base))
            found = next(filter(None, (self._possible(paths, said) for paths in alike)), [])
        meant = self._meant(found, said, file)
        if len(meant) == 1:
            if converted and self.notice is not None:
                where = meant[0].relative_to(self.root)
                self.notice(f"{file.name} names {name}, and {where} is taken; other endings are ignored.")
                self.notice = None
            return meant[0]
        if meant:
            problem = f"{name} is not a path below {self.root}, and {len(meant)} images there have that name"
            raise DataProblem(file, field, problem, "write the image's folder before its name")
        if _ADDRESS.match(name):
            problem = f"{name} is an address on the web, and {base} is not below {self.root}"
            raise DataProblem(file, field, problem, "fetch the image, or name its folder with --images")
        raise DataProblem(file, field, f"the image {name} is not below {self.root}", _PUT)

    def _possible(self, found: list[Path], said: list[str]) -> list[Path]:
        """The images that a name with the folders ``said`` may mean.

        A folder that is not here is another machine's, and says nothing; but where there is one of that name,
        images in other folders are not meant, unless the name ends with all of theirs.
        """
        known = self._folders.intersection(said)
        if not known:
            return found

        def possible(path: Path) -> bool:
            parts = self._parts(path)
            return known.issubset(parts) or (bool(parts) and said[-len(parts) :] == parts)

        return [path for path in found if possible(path)]

    def _meant(self, found: list[Path], said: list[str], file: Path) -> list[Path]:
        """Of images with one name, those whose folders fit best."""
        if len(found) < 2:
            return found
        folder = os.path.abspath(file.parent)
        above = os.path.commonpath((os.path.abspath(self.root), folder))
        beside = {_spelling(part) for part in Path(folder).relative_to(above).parts}

        def fit(path: Path) -> tuple[int, int]:
            parts = self._parts(path)
            pairs = zip(reversed(said), reversed(parts), strict=False)
            same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
            return same, len(beside.intersection(parts))

        best = max(map(fit, found))
        return [path for path in found if fit(path) == best]

    def _parts(self, path: Path) -> list[str]:
        """The folders between the root and a file."""
        return [_spelling(part) for part in path.parent.relative_to(self.root).parts]

    @cached_property
    def _folders(self) -> frozenset[str]:
        """What the folders below the root are called that have files in them."""
        files = itertools.chain.from_iterable(self._names.values())
        one_each = {path.parent: path for path in files}.values()
        return frozenset(part for path in one_each for part in self._parts(path))

    @cached_property
    def _names(self) -> dict[str, list[Path]]:
        """Every file below the root by its name, for names whose folders are another machine's."""
        return _grouped((_plain(path.name), path) for path in files_below(self.root))

    @cached_property
    def _spellings(self) -> dict[str, list[Path]]:
        files = itertools.chain.from_iterable(self._names.values())
        return _grouped((_spelling(path.name), path) for path in files)

    @cached_property
    def _stems(self) -> dict[str, list[Path]]:
        """The images by their names without an ending; but not the masks, which have their images' names."""
        files = itertools.chain.from_iterable(self._names.values())
        images = (path for path in files if path.suffix.lower() in EXTENSIONS)
        return _grouped((_spelling(path.stem), path) for path in images if not self._is_mask(path))

    def _is_mask(self, path: Path) -> bool:
        folders = path.parent.relative_to(self.root).parts
        return any(part.lower().startswith(("mask", "segmentation")) for part in folders)


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
    """So many of a file's first and last bytes, in one, to look for words in them; nothing where it cannot be
    read.  A byte order mark and, of UTF-16, the zero bytes are taken out.
    """
    try:
        with open_file(path) as file:
            content = file.read(first)
            if last:
                file.seek(max(path.stat().st_size - last, 0))
                content += file.read(last)
            return content.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"")
    except OSError:
        return b""


def tell_left_alone(source: ImportSource, extension: str, files: Collection[Path], whose: str) -> None:
    """Say which files with this ending are not among those that a format reads."""
    others = [file.name for file in files_of(source.path, extension) if file not in set(files)]
    if others:
        more = f", and {len(others) - 3:,} more" if len(others) > 3 else ""
        source.notice(f"not {whose}, and left alone: {', '.join(others[:3])}{more}.")


def found_instead(path: Path, extension: str) -> str:
    """What is there in place of a format's files, for a message: the fields in the first file with this
    ending, or which endings there are.
    """
    first = next(files_of(path, extension), None)
    if first is not None:
        beginning = read_ends(first, 1 << 12)
        fields = [name.decode("ascii", "replace") for name in re.findall(rb'"([\w ]{1,40})"\s*:', beginning)]
        if fields:
            return f"{first.name} begins with the fields {', '.join(list(dict.fromkeys(fields))[:4])}"
        return f"{first.name} {'has no fields with names' if beginning.strip() else 'is empty'}"
    if not path.is_dir():
        return f"its ending is not {extension}"
    endings = Counter(file.suffix.lower() or "no ending" for file in files_below(path))
    said = ", ".join(f"{count:,} with {ending}" for ending, count in endings.most_common(4))
    return f"there are files {said}" if said else "there are no files in it"


def images_below(folder: Path) -> list[Path]:
    """Every image file below a folder, sorted; those that are not read too, so that each is named."""
    return list(files_below(folder, EXTENSIONS | UNREAD_EXTENSIONS))


def is_picture(name: str) -> bool:
    """Whether a file is an image by its name, of a kind that is read or not."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS | UNREAD_EXTENSIONS


def folders_in(folder: Path) -> Iterator[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    for name in names_in(folder):
        if not name.startswith(".") and is_folder(folder / name):
            yield folder / name


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it may not be read, or is not a folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


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
    return usable_name(f"{part}_" if part in _RESERVED else part)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])


def _spelling(name: str) -> str:
    """A name without what differs between systems and in addresses."""
    return unicodedata.normalize("NFC", unquote(name)).strip().casefold()


def _stems_of(base: str) -> list[str]:
    """What a name may be without its ending: `frame.0001` has none."""
    stem, ending = os.path.splitext(base)
    if ending.lower() in EXTENSIONS:
        return [_spelling(stem)]
    return [_spelling(base), *([_spelling(stem)] if _ENDING.fullmatch(ending) else [])]


def _path_of_address(name: str) -> str:
    """The path in an address on the web; Label Studio has that of a local file in the query."""
    if not _ADDRESS.match(name) and "?d=" not in name:
        return name
    try:
        address = urlsplit(name)
    except ValueError:  # brackets that are no address of a machine
        return name
    local = parse_qs(address.query).get("d", [""])[0]
    return (local or unquote(address.path)).lstrip("/")


def _grouped(named: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for name, path in named:
        found.setdefault(name, []).append(path)
    return found
