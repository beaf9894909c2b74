"""What is in a project, image by image, counted in a thread and remembered in the cache."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject, write_cache
from ravenml.config.home import cache_dir
from ravenml.data.masks import draw_mask
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project
from ravenml.errors import RavenError

_FORMAT = 1


@dataclass(frozen=True)
class DatasetStats:
    """The counts of a project of N images, C classes and T tags of images.

    Attributes:
        objects: (N, C) how many objects of each class.
        pixels: (N, C) how many pixels show each class, the one on top.
        sizes: (N,) how many pixels an image has; 0 where its annotation is broken.
        tags: the names of the tags that are used.
        tagged: (N, T) which image has which tag.
        faults: what is wrong with annotations; at most a hundred sentences.
    """

    objects: NDArray[np.int32]
    pixels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    tags: list[str]
    tagged: NDArray[np.bool_]
    faults: list[str]

    def images_with(self, column: int) -> int:
        """How many images have an object of a class."""
        return int((self.objects[:, column] > 0).sum())


class StatsJob:
    """A project that is opened and counted in a thread.

    Attributes:
        project: once it is open.
        stats: once all is counted.
        error: why there is none.
        rows: the number of each image, by its key.
        done, total: images.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project: Project | None = None
        self.stats: DatasetStats | None = None
        self.error: str | None = None
        self.done = self.total = 0
        self.opened = threading.Event()
        self.stamp = ""
        self.rows: dict[str, int] = {}
        threading.Thread(target=self._work, daemon=True, name=f"count {root.name}").start()

    @classmethod
    def failed(cls, error: str) -> StatsJob:
        """A job that ended before it began."""
        job = cls.__new__(cls)
        job.project, job.stats, job.error, job.done, job.total = None, None, error, 0, 0
        job.opened = threading.Event()
        job.opened.set()
        return job

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.stats is not None or self.error is not None

    def _work(self) -> None:
        try:
            project = Project.open(self.root)
            self.total = len(project.items)
            self.stamp = _stamp(project)
            self.rows = {item.key: row for row, item in enumerate(project.items)}
            self.project = project
            self.opened.set()
            self.stats = _remembered(project, self.stamp) or self._count(project)
        except RavenError as error:
            self.error = str(error)
        except Exception as error:  # a thread must say what ended it
            self.error = f"{self.root} cannot be counted: {type(error).__name__}: {error}"
        finally:
            self.opened.set()

    def _count(self, project: Project) -> DatasetStats:
        names = {title: index for index, title in enumerate(project.titles)}
        shape = (len(project.items), len(names))
        objects, pixels = np.zeros(shape, np.int32), np.zeros(shape, np.int64)
        sizes = np.zeros(len(project.items), np.int64)
        tags: list[frozenset[str]] = []
        faults: list[str] = []

        def look(item: Item) -> tuple[list[int], NDArray[np.int64], frozenset[str], list[DataProblem]]:
            wrong: list[DataProblem] = []
            try:
                annotation = project.annotation(item, wrong.append)
            except DataProblem as fault:
                return [], np.zeros(len(names) + 1, np.int64), frozenset(), [fault]
            found = [names[thing.class_title] for thing in annotation.objects]
            drawn = np.bincount(draw_mask(annotation, project.titles).ravel(), minlength=len(names) + 1)
            return found, drawn, annotation.tags, wrong

        with ThreadPoolExecutor(2, thread_name_prefix="count") as pool:
            for row, (found, drawn, own, wrong) in enumerate(pool.map(look, project.items)):
                np.add.at(objects[row], found, 1)
                pixels[row], sizes[row] = drawn[1:], drawn.sum()
                tags.append(own)
                faults += [str(fault) for fault in wrong][: 100 - len(faults)]
                self.done = row + 1
        used = sorted(frozenset().union(*tags))
        tagged = np.array([[tag in own for tag in used] for own in tags], bool).reshape(len(tags), len(used))
        stats = DatasetStats(objects, pixels, sizes, used, tagged, faults)
        _remember(project, self.stamp, stats)
        return stats


class StatsJobs:
    """The jobs of all pages: each project is counted once, and again after it changed."""

    def __init__(self) -> None:
        self._jobs: dict[Path, StatsJob] = {}
        self._lock = threading.Lock()

    def get(self, root: Path) -> StatsJob:
        """The job of a project; begun, if it is new or failed before."""
        with self._lock:
            job = self._jobs.get(root)
            return self._start(root) if job is None or job.error is not None else job

    def refresh(self, root: Path) -> StatsJob:
        """The same, begun again if the project has changed.  It looks at all files: call it in a thread."""
        job = self.get(root)
        if job.stats is None or _is_as_counted(job):
            return job
        with self._lock:  # another page may have noticed, too
            return self._start(root) if self._jobs.get(root) is job else self._jobs.get(root) or job

    def _start(self, root: Path) -> StatsJob:
        job = self._jobs[root] = StatsJob(root)
        while len(self._jobs) > 16:
            self._jobs.pop(next(iter(self._jobs)))
        return job


def _is_as_counted(job: StatsJob) -> bool:
    try:
        return _stamp(Project.open(job.root)) == job.stamp
    except (RavenError, OSError):
        return False


def _stamp(project: Project) -> str:
    """What changes with any annotation, and with `meta.json`; images are not looked at."""
    digest = hashlib.sha256(f"{_FORMAT}\0{project.root}".encode(errors="surrogateescape"))
    files = [project.root / "meta.json", *(item.annotation_path for item in project.items)]
    for file in files:
        status = os.stat(file)
        digest.update(
            f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()[:32]


def _place(project: Project) -> Path:
    name = hashlib.sha256(os.fsencode(project.root)).hexdigest()[:24]
    return cache_dir() / "surveys" / f"{name}.npz"


def _remember(project: Project, stamp: str, stats: DatasetStats) -> None:
    file = io.BytesIO()
    arrays: JsonObject = {
        "tags": np.array(stats.tags, np.str_),
        "faults": np.array(stats.faults, np.str_),
        "stamp": np.array(stamp),
    }
    arrays |= {name: getattr(stats, name) for name in ("objects", "pixels", "sizes", "tagged")}
    np.savez_compressed(file, **arrays)
    try:
        write_cache(_place(project), [file.getvalue()])
    except OSError:
        return  # counted again the next time


def _remembered(project: Project, stamp: str) -> DatasetStats | None:
    try:
        with np.load(_place(project), allow_pickle=False) as file:
            if str(file["stamp"]) != stamp:
                return None
            return DatasetStats(
                file["objects"],
                file["pixels"],
                file["sizes"],
                [str(tag) for tag in file["tags"]],
                file["tagged"],
                [str(fault) for fault in file["faults"]],
            )
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception:  # zipfile's and zlib's own errors: a broken file is counted anew
        return None
