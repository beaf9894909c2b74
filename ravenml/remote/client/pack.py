"""The code as it is here: what a job needs to run elsewhere, in one zip that is the same for the same code.

```text
ravenml/, ravenml_unet/, …      the core, and the plugin's package with its entry points
code/                           the checkout: tracked files as they are now, untracked ones not ignored
provenance/                     commit and diff of each, which the run records over there
```
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from ravenml.common.git import ask_git
from ravenml.common.permissions import make_folder
from ravenml.common.secrets import SECRET_FILES
from ravenml.errors import InputError
from ravenml.runs.provenance import code

LIMIT = 64 << 20  # bytes of a checkout, before they are zipped
CODE, PROVENANCE = "code", "provenance"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """Packed code.

    Attributes:
        path: the zip.
        digest: of its content; the same code has the same.
        folder: where, within ``code/``, the command is to be run; None where there is no checkout.
    """

    path: Path
    digest: str
    folder: str | None


def pack(target: Path, cwd: Path, plugin: str | None = None, needs_code: bool = True) -> Package:
    """Pack the core, a plugin and the checkout that ``cwd`` lies in.

    Args:
        target: the folder where the zip is written, under a name that tells its content.
        cwd: where the command was given.
        plugin: the distribution of the plugin that is used.
        needs_code: whether a folder outside of any checkout is an error.

    Raises:
        InputError: no checkout, a submodule with changes, or more than :data:`LIMIT` bytes.
    """
    cwd = cwd.resolve()
    root = checkout(cwd)
    if root is None and needs_code:
        raise InputError(
            f"{cwd} is not in a git checkout, so ravenML cannot tell which files belong to the code; "
            "run: git init"
        )
    files = dict(_packages(plugin))
    if root is not None:
        files |= {f"{CODE}/{name}": root / name for name in _check_size(root, files_of(root))}
    with tempfile.TemporaryDirectory(prefix="ravenml-") as scratch:
        places = {"core": Path(__file__).parents[2]} | ({"working folder": root} if root else {})
        described = Path(scratch) / PROVENANCE
        described.mkdir()
        content = code(places, described)
        (described / "code.json").write_text(json.dumps(content, indent=2, sort_keys=True))
        files |= {f"{PROVENANCE}/{path.name}": path for path in described.iterdir()}
        return _zip(target, files, None if root is None else cwd.relative_to(root).as_posix())


def checkout(cwd: Path) -> Path | None:
    """The root of the git checkout that ``cwd`` lies in."""
    top = ask_git(cwd, "rev-parse", "--show-toplevel")
    return Path(top.strip()) if top else None


def files_of(root: Path) -> list[str]:
    """Tracked files and untracked ones that git does not ignore, in order, secrets left out.

    A link is the file, or the files, that it leads to; what lies outside of the checkout is left out.

    Raises:
        InputError: a submodule has changes that no commit holds.
    """
    for place, commit in _submodules(root):
        head = (ask_git(place, "rev-parse", "HEAD") or "").strip()
        if head != commit or ask_git(place, "status", "--porcelain"):
            raise InputError(
                f"The submodule {place} has changes that {root.name} has not committed; commit them "
                "there and here first."
            )
    tracked = _names(ask_git(root, "ls-files", "-z", "--cached", "--recurse-submodules"))
    others = _names(ask_git(root, "ls-files", "-z", "--others", "--exclude-standard"))
    names = {*tracked, *(name for name in others if not _is_secret(name))}
    return sorted(inner for name in names for inner in _resolve_link(root.resolve(), name, names))


def _submodules(root: Path) -> Iterator[tuple[Path, str]]:
    """The submodules that are checked out here, theirs too, each with the commit that is wanted of it."""
    for entry in _names(ask_git(root, "ls-files", "-z", "--stage")):
        about, _, name = entry.partition("\t")
        mode, commit, _ = about.split(" ")
        if mode == "160000" and (root / name / ".git").exists():
            yield root / name, commit
            yield from _submodules(root / name)


def _names(listed: str | None) -> list[str]:
    return [name for name in (listed or "").split("\0") if name]


def _resolve_link(root: Path, name: str, names: set[str]) -> Iterator[str]:
    """The files that a name stands for: one; or several, or none, where it is a link."""
    path = root / name
    if not path.is_symlink():
        yield from [name] if path.is_file() else []
        return
    real = path.resolve()
    if real.is_relative_to(root):
        inside = real.relative_to(root).as_posix()
        if inside in names and real.is_file():
            yield name
        for other in names:
            if (
                other.startswith(f"{inside}/")
                and (root / other).is_file()
                and not (root / other).is_symlink()
            ):
                yield name + other.removeprefix(inside)


def _check_size(root: Path, names: list[str]) -> list[str]:
    """The names, if what they name is no more than the limit."""
    sizes = {name: (root / name).stat().st_size for name in names}
    total = sum(sizes.values())
    if total > LIMIT:
        largest = max(sizes, key=lambda name: sizes[name])
        raise InputError(
            f"The code in {root} has {total / 2**20:,.0f} MiB, and at most {LIMIT >> 20} MiB are sent; the "
            f"largest file is {largest} ({sizes[largest] / 2**20:,.0f} MiB): name it in .gitignore, and "
            "store data with `raven data push`."
        )
    return names


def _packages(plugin: str | None) -> Iterator[tuple[str, Path]]:
    """The core's files, and those of a plugin's distribution with what makes its entry points be found."""
    yield from _tree(Path(__file__).parents[2])
    yield from _metadata("ravenml")
    if plugin is None:
        return
    for top in sorted({point.module.partition(".")[0] for point in distribution(plugin).entry_points}):
        module = find_spec(top)
        if module is not None and module.submodule_search_locations:
            yield from _tree(Path(next(iter(module.submodule_search_locations))))
        elif module is not None and module.origin:
            yield Path(module.origin).name, Path(module.origin)
    yield from _metadata(plugin)


def _tree(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{folder.name}/{path.relative_to(folder).as_posix()}", path


def _metadata(name: str) -> Iterator[tuple[str, Path]]:
    """``METADATA`` and ``entry_points.txt``, wherever the installation has put them."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    where = getattr(found, "_path", None)  # no public name leads to the folder of an editable installation
    if where is None:
        return
    folder = f"{found.metadata['Name'].replace('-', '_')}-{found.version}.dist-info"
    for own, usual in (("METADATA", "METADATA"), ("PKG-INFO", "METADATA"), ("entry_points.txt",) * 2):
        if (Path(where) / own).is_file():
            yield f"{folder}/{usual}", Path(where) / own


def _zip(target: Path, files: dict[str, Path], folder: str | None) -> Package:
    digest = hashlib.sha256()
    make_folder(target)
    beside = target / f".{os.getpid()}.zip"
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in sorted(files):
                content = files[name].read_bytes()
                mode = 0o755 if os.access(files[name], os.X_OK) else 0o644
                digest.update(f"{name}\0{len(content)}\0{mode}\0".encode(errors="surrogateescape") + content)
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = (0o100000 | mode) << 16
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 1)
        path = target / f"{digest.hexdigest()[:32]}.zip"
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return Package(path, path.stem, folder)


def _is_secret(name: str) -> bool:
    parts = name.lower().split("/")
    patterns = [pattern.removesuffix("/**") for pattern in SECRET_FILES]
    return any(fnmatch(part, pattern) for part in parts for pattern in patterns)
