"""``Dataset``: versions of folders of files, under ClearML's names."""

from __future__ import annotations

import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, temporary_folder, to_user_error
from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir
from ravenml.data.versions import BELOW, FileEntry, Version, VersionStore, file_digest, version_store
from ravenml.errors import InputError, RavenError
from ravenml.store.ids import new_id
from ravenml.task.names import ClearMLName
from ravenml.task.uploader import open_uri

if TYPE_CHECKING:
    from ravenml.task.logger import Logger


class Dataset(ClearMLName):
    """A version of a dataset: `Dataset.create` begins one, `Dataset.get` finds one.

    Until it is finalized, files can be added and removed.  Each file is kept once, whatever many versions
    have it: in the bucket of datasets, or without one in ravenML's home.
    """

    def __init__(self, version: Version, place: VersionStore) -> None:
        self._version, self._place = version, place
        self._files: dict[str, FileEntry] = dict(version.files)
        self._new: dict[str, Path] = {}  # files that are not kept yet, by SHA-256

    def __repr__(self) -> str:
        return f"Dataset({self.id!r}, name={self.name!r}, version={self.version!r})"

    # Finding and making them.

    @classmethod
    def create(
        cls,
        dataset_name: str | None = None,
        dataset_project: str | None = None,
        dataset_tags: Sequence[str] | None = None,
        parent_datasets: Sequence[str | Dataset] | None = None,
        use_current_task: bool = False,
        dataset_version: str | None = None,
        output_uri: str | None = None,
        description: str | None = None,
    ) -> Dataset:
        """Begin a version of a dataset.

        Args:
            parent_datasets: versions, or their IDs, whose files it begins with; of a path that several have,
                the last one's file counts.
            dataset_version: such as ``1.2.0``; by default, the one after the newest of this name.
            output_uri: where its files are kept, instead of where all are.

        Raises:
            InputError: it has no name, there is no such parent, or the parent is not finalized.
        """
        store = version_store()
        parents = [one if isinstance(one, Dataset) else cls.get(one) for one in parent_datasets or ()]
        for one in parents:
            if not one.is_final():
                raise InputError(
                    f"Dataset.create: the parent {one.id} is not finalized; call finalize() first."
                )
        name = dataset_name or (parents[0].name if parents else None)
        if not name:
            raise InputError("Dataset.create needs dataset_name=.")
        project = dataset_project or (parents[0].project if parents else None)
        files = {path: entry for one in parents for path, entry in one._files.items()}
        version = Version(
            id=new_id(),
            name=name,
            project=project,
            version=dataset_version or _next(store, name, project),
            created=utc_timestamp(),
            parents=tuple(one.id for one in parents),
            tags=tuple(dataset_tags or ()),
            description=description or "",
            place=_shared_place(output_uri, parents),
            files=files,
        )
        return cls(version, store)

    @classmethod
    def get(
        cls,
        dataset_id: str | None = None,
        dataset_project: str | None = None,
        dataset_name: str | None = None,
        dataset_tags: Sequence[str] | None = None,
        only_completed: bool = False,
        only_published: bool = False,
        include_archived: bool = False,
        auto_create: bool = False,
        writable_copy: bool = False,
        dataset_version: str | None = None,
        alias: str | None = None,
        **_: object,
    ) -> Dataset:
        """A version of a dataset: by its ID, or the newest that has this project, name and tags.

        Args:
            only_completed: leave out those that are not finalized.
            auto_create: begin one where there is none.
            writable_copy: begin one whose only parent is the one that is found.
            dataset_version: this one.

        Raises:
            InputError: there is none; the sentence names those that there are.
        """
        store = version_store()
        if dataset_id:
            found = cls(store.load(dataset_id), store)
        else:
            fits = [
                one
                for one in _find(store, dataset_project, dataset_name, dataset_tags, only_completed)
                if dataset_version in (None, one.version)
            ]
            if not fits and auto_create:
                return cls.create(dataset_name, dataset_project, dataset_tags)
            if not fits:
                known = ", ".join(sorted({one.name for one in store.list()})[:10]) or "none"
                wanted = " ".join(filter(None, (dataset_name, dataset_version)))
                raise InputError(f"There is no dataset {wanted!r} in {store.store.name}; there are: {known}.")
            found = cls(store.load(fits[0].id), store)
        return cls.create(parent_datasets=[found]) if writable_copy else found

    @classmethod
    def list_datasets(
        cls,
        dataset_project: str | None = None,
        partial_name: str | None = None,
        tags: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        only_completed: bool = True,
        recursive_project_search: bool = True,
        include_archived: bool = True,
    ) -> list[JsonObject]:
        """The versions that match, newest first: ``id``, ``name``, ``project``, ``version``, ``tags`` …"""
        return [
            {
                **{"id": one.id, "name": one.name, "project": one.project, "version": one.version},
                **{"tags": list(one.tags), "created": one.created, "status": one.status},
            }
            for one in _find(version_store(), None, None, tags, only_completed)
            if (partial_name or "") in one.name and (not ids or one.id in ids)
            if not dataset_project
            or one.project == dataset_project
            or (recursive_project_search and f"{one.project}/".startswith(f"{dataset_project}/"))
        ]

    @classmethod
    def delete(
        cls,
        dataset_id: str | None = None,
        dataset_project: str | None = None,
        dataset_name: str | None = None,
        force: bool = False,
        dataset_version: str | None = None,
        entire_dataset: bool = False,
        **_: object,
    ) -> None:
        """Remove a version, and those of its files that no other version has.

        Args:
            force: even if it is the parent of another.
            entire_dataset: remove all versions of this project and name.

        Raises:
            InputError: there is none, or it is the parent of another.
        """
        store = version_store()
        if entire_dataset:
            chosen = [one.id for one in _find(store, dataset_project, dataset_name, None, False)]
        else:
            chosen = [cls.get(dataset_id, dataset_project, dataset_name, dataset_version=dataset_version).id]
        children = [one.id for one in store.list() if {*one.parents} & {*chosen} and one.id not in chosen]
        if children and not force:
            raise InputError(f"Dataset.delete: {children[0]} was made from it; give force=True to remove it.")
        for one in chosen:
            _delete(store, one)

    @classmethod
    def squash(
        cls,
        dataset_name: str,
        dataset_ids: Sequence[str | Dataset] | None = None,
        dataset_project_name_pairs: Sequence[tuple[str, str]] | None = None,
        output_url: str | None = None,
    ) -> Dataset:
        """One version with the files of several, which is finalized and has no parent."""
        several = [one if isinstance(one, Dataset) else cls.get(one) for one in dataset_ids or ()]
        several += [cls.get(None, project, name) for project, name in dataset_project_name_pairs or ()]
        if not several:
            raise InputError("Dataset.squash needs dataset_ids= or dataset_project_name_pairs=.")
        squashed = cls.create(
            dataset_name, several[0].project, parent_datasets=several, output_uri=output_url
        )
        squashed._version = replace(squashed._version, parents=())
        squashed.finalize(auto_upload=True)
        return squashed

    # What it is.

    @property
    def id(self) -> str:
        """Unlike any other version's."""
        return self._version.id

    @property
    def name(self) -> str:
        """What people call the dataset."""
        return self._version.name

    @property
    def project(self) -> str | None:
        """What it belongs to."""
        return self._version.project

    @property
    def version(self) -> str:
        """Such as ``1.0.2``."""
        return self._version.version

    @property
    def tags(self) -> list[str]:
        """The words by which people find it."""
        return list(self._version.tags)

    def add_tags(self, tags: Sequence[str] | str) -> None:
        """Add words by which people find it."""
        more = [tags] if isinstance(tags, str) else tags
        self._change(tags=tuple(dict.fromkeys([*self._version.tags, *more])))

    def set_description(self, description: str) -> None:
        """Say in words what it is."""
        self._change(description=description)

    def set_metadata(
        self, metadata: Mapping[str, object], metadata_name: str = "metadata", **_: object
    ) -> None:
        """Record facts about it under a name; a DataFrame becomes its columns."""
        plain: Any = metadata.to_dict("list") if hasattr(metadata, "to_dict") else dict(metadata)
        self._change(metadata={**self._version.metadata, metadata_name: plain})

    def get_metadata(self, metadata_name: str = "metadata") -> Any:
        """What ``set_metadata`` recorded; None where it did not."""
        return self._version.metadata.get(metadata_name)

    @property
    def file_entries_dict(self) -> Mapping[str, FileEntry]:
        """Its files by path, those that lie elsewhere aside."""
        return {path: entry for path, entry in self._files.items() if not entry.url}

    @property
    def link_entries_dict(self) -> Mapping[str, FileEntry]:
        """The files that lie elsewhere, by path."""
        return {path: entry for path, entry in self._files.items() if entry.url}

    def is_final(self) -> bool:
        """Whether it is finalized."""
        return self._version.status == "completed"

    def is_dirty(self) -> bool:
        """Whether files were added that are not kept yet."""
        return bool(self._new) or self._files != dict(self._version.files)

    def get_dependency_graph(self) -> dict[str, list[str]]:
        """Its parents, and theirs, by ID."""
        graph, waiting = {}, [self.id]
        known = {one.id: one for one in self._place.list()} | {self.id: self._version}
        while waiting:
            one = waiting.pop()
            graph[one] = list(known[one].parents) if one in known else []
            waiting += [parent for parent in graph[one] if parent not in graph]
        return graph

    def get_default_storage(self) -> str:
        """Where its files are kept."""
        return self._contents().store.name

    def get_logger(self) -> Logger:
        """The logger of the script's task, which is begun if there is none yet."""
        return self._task.get_logger()  # type: ignore[no-any-return]

    @property
    def _task(self) -> Any:
        """The run that made it, or makes it now; scripts for ClearML reach for it."""
        from ravenml.task.task import Task

        if self.is_final():
            return Task.get_task(self._version.task) if self._version.task else Task.current_task()
        current = Task.current_task()
        if current is None:
            current = Task.init(self.project, self.name, Task.TaskTypes.data_processing)
        self._change(task=current.id)
        return current

    # Its files.

    def add_files(
        self,
        path: str | os.PathLike[str],
        wildcard: str | Sequence[str] | None = None,
        local_base_folder: str | os.PathLike[str] | None = None,
        dataset_path: str | None = None,
        recursive: bool = True,
        verbose: bool = False,
        max_workers: int | None = None,
    ) -> int:
        """Add a file, or those of a folder.

        Args:
            wildcard: only files whose path in the folder, or name, looks like this, such as ``*.jpg``.
            local_base_folder: the folder below which their paths begin; by default, ``path``.
            dataset_path: where they go in the dataset.

        Returns:
            How many are new or have changed.

        Raises:
            InputError: there is no such file or folder, or the dataset is finalized.
        """
        self._refuse_final()
        source = Path(path)
        if not source.exists():
            raise InputError(f"add_files: there is no {source}.")
        base = Path(local_base_folder) if local_base_folder else source if source.is_dir() else source.parent
        before = dict(self._files)
        for file in _files_of(source, recursive):
            name = file.relative_to(base).as_posix() if file.is_relative_to(base) else file.name
            if _matches(name, wildcard):
                self._add(f"{dataset_path.strip('/')}/{name}" if dataset_path else name, file)
        return sum(before.get(name) != entry for name, entry in self._files.items())

    def add_external_files(
        self,
        source_url: str | Sequence[str],
        wildcard: str | Sequence[str] | None = None,
        dataset_path: str | None = None,
        recursive: bool = True,
        **_: object,
    ) -> int:
        """Add files that stay where they are: an address of a bucket's file or folder, or of a web page.

        Returns:
            How many.

        Raises:
            InputError: there is nothing at an address, or the dataset is finalized.
        """
        from ravenml.task.storage import StorageManager

        self._refuse_final()
        count = 0
        for url in [source_url] if isinstance(source_url, str) else source_url:
            if url.startswith(("http://", "https://")):
                found = [(url.partition("?")[0].rpartition("/")[2], url, 0)]
            elif (size := StorageManager.get_file_size_bytes(url)) is not None:
                found = [(url.rpartition("/")[2], url, size)]
            else:
                listed: Any = StorageManager.list(url, with_metadata=True)
                found = [(one["name"], f"{url.rstrip('/')}/{one['name']}", one["size"]) for one in listed]
            if not found:
                raise InputError(f"add_external_files: there is nothing at {url}.")
            for name, address, size in found:
                if _matches(name, wildcard):
                    self._files[f"{dataset_path.strip('/')}/{name}" if dataset_path else name] = FileEntry(
                        size, url=address
                    )
                    count += 1
        return count

    def remove_files(self, dataset_path: str, recursive: bool = True, verbose: bool = False) -> int:
        """Leave out files, by path or pattern; how many."""
        self._refuse_final()
        pattern = dataset_path.strip("/")
        gone = [name for name in self._files if _matches(name, pattern) or name.startswith(f"{pattern}/")]
        for name in gone:
            del self._files[name]
        return len(gone)

    def sync_folder(
        self, local_path: str | os.PathLike[str], dataset_path: str | None = None, verbose: bool = False
    ) -> tuple[int, int]:
        """Make it like a folder: add what is new or has changed, leave out what is not there.

        Returns:
            How many files were removed, and how many were added or changed.
        """
        folder = Path(local_path)
        prefix = f"{dataset_path.strip('/')}/" if dataset_path else ""
        here = {f"{prefix}{file.relative_to(folder).as_posix()}" for file in _files_of(folder, True)}
        gone = [name for name in self._files if name.startswith(prefix) and name not in here]
        added = self.add_files(folder, dataset_path=dataset_path)
        for name in gone:
            del self._files[name]
        return len(gone), added

    def list_files(
        self, dataset_path: str | None = None, recursive: bool = True, dataset_id: str | None = None
    ) -> list[str]:
        """The paths of its files, sorted.

        Args:
            dataset_path: only those in this folder, or that look like this pattern.
            dataset_id: only those that came with this version, itself or a parent.
        """
        files = self._files
        if dataset_id and dataset_id != self.id:
            others = Dataset.get(dataset_id)._files
            files = {name: entry for name, entry in files.items() if others.get(name) == entry}
        pattern = (dataset_path or "").strip("/")
        return sorted(
            name
            for name in files
            if not pattern or _matches(name, pattern) or name.startswith(f"{pattern}/")
            if recursive or "/" not in name.removeprefix(f"{pattern}/")
        )

    def list_added_files(self, dataset_id: str | None = None) -> list[str]:
        """The paths that no parent has."""
        before = self._before(dataset_id)
        return sorted(name for name in self._files if name not in before)

    def list_removed_files(self, dataset_id: str | None = None) -> list[str]:
        """The paths that a parent has and this version has not."""
        return sorted(name for name in self._before(dataset_id) if name not in self._files)

    def list_modified_files(self, dataset_id: str | None = None) -> list[str]:
        """The paths whose content is another than the parents'."""
        before = self._before(dataset_id)
        return sorted(name for name, entry in self._files.items() if before.get(name, entry) != entry)

    # Keeping and fetching.

    def upload(
        self,
        show_progress: bool = True,
        verbose: bool = False,
        output_url: str | None = None,
        **_: object,
    ) -> None:
        """Keep the files that were added; those that any version has already are not sent again.

        Args:
            output_url: where to, instead of where all are kept.

        Raises:
            InputError: a file has changed since it was added, or is gone.
            RavenError: it cannot be stored; a second call goes on.
        """
        if output_url:
            self._change(place=output_url)
        self._version = replace(self._version, files=dict(self._files))
        self._place.save(self._version)  # before its files: from now on they belong to somebody
        for digest, path in self._new.items():
            if file_digest(path) != digest:
                raise InputError(f"upload: {path} has changed since it was added; add it again.")
        self._contents().put(self._new)
        self._new.clear()

    def finalize(self, verbose: bool = False, raise_on_error: bool = True, auto_upload: bool = False) -> bool:
        """Close the version: its files never change again.

        Raises:
            InputError: files were added and not uploaded, and ``auto_upload`` is off.
        """
        if self.is_final():
            return True
        if self._new and not auto_upload:
            if not raise_on_error:
                return False
            raise InputError(f"finalize: {self.id} has files that are not uploaded; call upload() first.")
        self.upload()
        self._version = replace(self._version, status="completed")
        self._place.save(self._version)
        return True

    def publish(self, raise_on_error: bool = True) -> bool:
        """Finalize it; there is nobody to publish it to."""
        return self.finalize(raise_on_error=raise_on_error)

    def get_local_copy(
        self,
        use_soft_links: bool | None = None,
        part: int | None = None,
        num_parts: int | None = None,
        raise_on_error: bool = True,
        max_workers: int | None = None,
    ) -> str:
        """The path of a folder in the cache with its files: do not write to it.

        Args:
            part, num_parts: of so many parts of the list of files, the one of this number, from 0.

        Raises:
            RavenError: a file is missing, or is not what was kept.
        """
        files = self._part(part, num_parts)
        stamp = self.id if files == self._files else f"{self.id}-{part}-of-{num_parts}"
        target = cache_dir() / "versions" / stamp
        if not target.is_dir() or not self.is_final():
            try:
                make_folder(target.parent)
                with temporary_folder(target) as place:
                    (place / "files").mkdir()
                    self._contents().fetch(files, place / "files")
                    if target.is_dir():
                        shutil.rmtree(target)
                    os.rename(place / "files", target)
            except OSError as error:
                raise to_user_error(error, target) from error
        return str(target)

    def get_mutable_local_copy(
        self,
        target_folder: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        part: int | None = None,
        num_parts: int | None = None,
        raise_on_error: bool = True,
        max_workers: int | None = None,
    ) -> str:
        """The path of a folder of the script's own with its files.

        Args:
            target_folder: by default, a new one among the temporary files.
            overwrite: replace files that are there under the same paths; others stay.

        Raises:
            InputError: the folder is not empty, and ``overwrite`` is off.
            RavenError: a file is missing, or is not what was kept.
        """
        folder = Path(target_folder) if target_folder else Path(tempfile.mkdtemp(prefix="dataset-"))
        if folder.exists() and any(folder.iterdir()) and not overwrite:
            raise InputError(f"get_mutable_local_copy: {folder} is not empty; give overwrite=True.")
        folder.mkdir(parents=True, exist_ok=True)
        self._contents().fetch(self._part(part, num_parts), folder)
        return str(folder)

    def verify_dataset_hash(
        self, local_copy_path: str | None = None, skip_hash: bool = False, verbose: bool = False
    ) -> list[str]:
        """The paths of files in a copy that are missing, or have another content than was kept.

        Args:
            local_copy_path: the copy; by default, that of the cache.
            skip_hash: compare sizes alone.
        """
        folder = Path(local_copy_path or self.get_local_copy())
        return [name for name, entry in self._files.items() if not _is_same(folder / name, entry, skip_hash)]

    def _add(self, name: str, file: Path) -> None:
        digest = file_digest(file)
        entry = FileEntry(file.stat().st_size, digest)
        if self._files.get(name) != entry:
            self._files[name] = entry
            self._new[digest] = file.absolute()

    def _part(self, part: int | None, parts: int | None) -> Mapping[str, FileEntry]:
        if part is None or not parts:
            return self._files
        names = sorted(self._files)
        return {name: self._files[name] for name in names[part::parts]}

    def _before(self, dataset_id: str | None) -> Mapping[str, FileEntry]:
        parents = [dataset_id] if dataset_id else self._version.parents
        return {name: entry for one in parents for name, entry in Dataset.get(one)._files.items()}

    def _contents(self) -> VersionStore:
        return _contents(self._version, self._place)

    def _change(self, **fields: Any) -> None:
        self._version = replace(self._version, **fields)
        if self._place.has(self.id):
            self._place.save(self._version)

    def _refuse_final(self) -> None:
        if self.is_final():
            raise InputError(
                f"{self.id} is finalized; Dataset.create(parent_datasets=[{self.id!r}]) begins the next."
            )


def _contents(version: Version, place: VersionStore) -> VersionStore:
    """Where a version's files are."""
    return VersionStore(open_uri(version.place), BELOW) if version.place else place


def _delete(store: VersionStore, version_id: str) -> None:
    version = store.load(version_id)
    if version.place:
        raise RavenError(
            f"The files of {version_id} are in {version.place}, which others may use; remove them there."
        )
    store.delete(version_id)


def _find(
    store: VersionStore, project: str | None, name: str | None, tags: Sequence[str] | None, completed: bool
) -> list[Version]:
    """The versions that match, newest first; those that are finalized before others."""
    found = [
        one
        for one in store.list()
        if name in (None, one.name) and project in (None, one.project) and {*one.tags}.issuperset(tags or ())
        if one.status == "completed" or not completed
    ]
    return sorted(found, key=lambda one: (one.status == "completed", one.created, one.id), reverse=True)


def _next(store: VersionStore, name: str, project: str | None) -> str:
    known = [one.version for one in _find(store, project, name, None, False)]
    if not known:
        return "1.0.0"
    above, _, last = known[0].rpartition(".")
    return f"{above}.{int(last) + 1}" if last.isdigit() and above else f"{known[0]}.1"


def _shared_place(output_uri: str | None, parents: Sequence[Dataset]) -> str:
    """Where the files of a version go; those of its parents have to be there, too."""
    places = {one._version.place for one in parents}
    wanted = output_uri or next(iter(places), "")
    if places - {wanted}:
        raise InputError(
            f"Dataset.create: the parents' files are in {', '.join(sorted(places)) or 'the default place'}; "
            "name the same output_uri."
        )
    return wanted


def _files_of(path: Path, recursive: bool) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(one for one in (path.rglob("*") if recursive else path.glob("*")) if one.is_file())


def _matches(name: str, wildcard: str | Sequence[str] | None) -> bool:
    patterns = [wildcard] if isinstance(wildcard, str) else wildcard or ["*"]
    return any(
        fnmatch.fnmatch(one, pattern) for pattern in patterns for one in (name, name.rpartition("/")[2])
    )


def _is_same(path: Path, entry: FileEntry, skip_hash: bool) -> bool:
    if not path.is_file():
        return False
    if entry.url:
        return True
    return path.stat().st_size == entry.size and (skip_hash or file_digest(path) == entry.sha256)
