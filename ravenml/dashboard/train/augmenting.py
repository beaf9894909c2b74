"""What augmentations do to images, painted by the plugin in a process of its own."""

from __future__ import annotations

import random
import re
import shutil
from asyncio import to_thread
from pathlib import Path
from typing import Any

import numpy as np

from ravenml.config.home import cache_dir
from ravenml.dashboard.train.draft import path_of, value_at
from ravenml.dashboard.train.wizard import Wizard
from ravenml.errors import InputError, RavenError

IMAGES, VARIANTS, WIDTH = 3, 4, 320
_NAME = re.compile(r"\d+-\d+\.jpg")
_PLACE = re.compile(r"\d{1,12}")
_KEPT = 3  # previews of a draft that stay on disk


async def paint_augmentations(wizard: Wizard, seed: int) -> list[tuple[str, list[str]]]:
    """Pictures of a few random images that hold the chosen classes.

    Returns:
        For each image its name and the addresses of its pictures: itself first, then the changed ones.

    Raises:
        RavenError: the plugin cannot show it, or there is no image.
    """
    job = wizard.job
    if job is None or job.project is None:
        raise InputError("There is no project to take images from.")
    numbers = choose_images(wizard, seed)
    items = [job.project.items[number] for number in numbers]
    folder = _folder(wizard.draft.id, str(seed))
    await to_thread(_make_room, folder)
    answer = await wizard.ask(
        ask="augment",
        settings=wizard.effective(),
        images=[str(item.image_path) for item in items],
        folder=str(folder),
        seed=seed,
        count=VARIANTS,
        width=WIDTH,
    )
    return [
        (item.key, [f"/train/{wizard.draft.id}/augmented/{seed}/{name}" for name in names])
        for item, names in zip(items, answer["pictures"], strict=False)
    ]


def choose_images(wizard: Wizard, seed: int) -> list[int]:
    """The numbers of random images; where all is counted, of those with an object of a chosen class."""
    job, field = wizard.job, wizard.field("classes")
    assert job is not None and job.project is not None
    fit = list(range(len(job.project.items)))
    if job.stats is not None:
        wanted = value_at(wizard.draft.settings, field["name"]) if field is not None else None
        columns = [n for n, title in enumerate(job.project.titles) if not wanted or title in wanted]
        fit = np.flatnonzero((job.stats.objects[:, columns] > 0).any(axis=1)).tolist() or fit
    return random.Random(seed).sample(fit, min(IMAGES, len(fit)))


def read_picture(draft_id: str, place: str, name: str) -> bytes:
    """One of the pictures.

    Raises:
        RavenError: there is none.
    """
    if not _PLACE.fullmatch(place) or not _NAME.fullmatch(name):
        raise InputError("There is no such picture.")
    try:
        return (_folder(draft_id, place) / name).read_bytes()
    except OSError:
        raise RavenError("There is no such picture.") from None


def _folder(draft_id: str, place: str) -> Path:
    return cache_dir() / "augmented" / path_of(draft_id).stem / place


def _make_room(folder: Path) -> Any:
    """Forget older previews of this draft."""
    if folder.parent.is_dir():
        older = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in older[: -_KEPT + 1 or None]:
            shutil.rmtree(path, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
