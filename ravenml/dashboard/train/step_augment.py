"""Step 4: augmentations, with a live preview."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import time
from asyncio import to_thread
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from nicegui import ui

from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir
from ravenml.dashboard.layout import empty_state, section
from ravenml.dashboard.train.draft import path_of, value_at
from ravenml.dashboard.train.fields import add_cards, add_path
from ravenml.dashboard.train.wizard import Wizard
from ravenml.dashboard.widgets.controls import set_label
from ravenml.dashboard.widgets.previews import enlarge
from ravenml.data.masks import draw_mask
from ravenml.data.project import Item
from ravenml.errors import InputError, RavenError

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView


async def build(view: WizardView) -> None:
    """Make the step."""
    field = view.wizard.field("augmentations")
    if field is None:
        empty_state(
            "auto_fix_off",
            "Nothing to configure",
            f"The plugin {view.wizard.draft.plugin} has no augmentation settings.",
        )
        return
    name = field["name"]
    now = view.wizard.value(name)

    async def choose(value: object) -> None:
        await view.set(name, None if value == field["default"] else value)
        await view.redo()

    with section("Augmentations of training images"):
        ui.label(field["text"]).classes("muted")
        offered = [(one["value"], one["value"], one["text"]) for one in field["choices"]]
        add_cards("Augmentations", offered, now, choose)
        is_offered = now in [value for value, _, _ in offered]
        add_path(view, "Or your own file", "" if is_offered else str(now or ""), choose)
    with section("Preview"):
        await AugmentPreview(view).build()


class AugmentPreview:
    """A few images, and what training could see of them."""

    def __init__(self, view: WizardView) -> None:
        self.view = view
        self.seed = int(time.time()) % 1_000_000
        self.masks = True

    async def build(self) -> None:
        """Make it; the pictures come when they are painted."""
        with ui.element("div").classes("line"):
            ui.label("Random images with the chosen classes: the original, then augmented versions.").classes(
                "muted grow"
            )
            ui.switch("Masks", value=True).on_value_change(lambda event: self._turn(bool(event.value)))
            ui.button("More examples", icon="casino", on_click=self.again).props("flat dense")
        self.box = ui.element("div").classes("stack")
        self.code = ui.element("div").classes("stack")
        ui.timer(0.01, self.paint, once=True)

    async def _turn(self, masks: bool) -> None:
        self.masks = masks
        await self.paint()

    async def again(self) -> None:
        """Take other images."""
        self.seed += 1
        await self.paint()

    async def paint(self) -> None:
        """Ask the plugin for pictures."""
        self.box.clear()
        with self.box, ui.element("div").classes("line muted"):
            ui.spinner(size="sm")
            ui.label("The plugin is rendering the previews; the first time takes a few seconds.").classes(
                "small"
            )
        try:
            rows, code = await paint_augmentations(self.view.wizard, self.seed, self.masks)
            message = "" if any(len(row) > 1 for _, row in rows) else "The plugin provides no preview."
        except RavenError as error:
            rows, code, message = [], "", str(error)
        self.box.clear()
        self._show_code(code)
        with self.box:
            if message:
                ui.label(message).classes("muted wrap").props('role="status"')
                return
            for name, pictures in rows:
                with ui.element("div").classes("augmented"):
                    for number, source in enumerate(pictures):
                        shown = f"{name}, {'original' if not number else f'augmented, {number}'}"
                        with ui.element("button").classes("tile").props("type=button") as tile:
                            ui.element("img").props.update({"src": source, "alt": shown})
                        set_label(tile, f"Enlarge {shown}").on("click", partial(enlarge, source, shown))

    def _show_code(self, code: str) -> None:
        self.code.clear()
        if code:
            with self.code, ui.expansion("Python of the pipeline", icon="code").classes("fill"):
                copy = ui.button("Copy", icon="content_copy", on_click=lambda: ui.clipboard.write(code))
                copy.props("flat dense")
                with ui.element("pre").classes("yaml"):
                    ui.label(code)


IMAGES, VARIANTS, WIDTH = 3, 4, 640
_NAME = re.compile(r"\d+-\d+\.jpg")
_PLACE = re.compile(r"\d{1,12}")
_KEPT = 3  # previews of a draft that stay on disk


async def paint_augmentations(
    wizard: Wizard, seed: int, masks: bool = True
) -> tuple[list[tuple[str, list[str]]], str]:
    """Pictures of a few random images that hold the chosen classes.

    Args:
        masks: whether the masks of the chosen classes are laid over them.

    Returns:
        For each image its name and the addresses of its pictures: itself first, then the changed ones; and
        the augmentations as Python.

    Raises:
        RavenError: the plugin cannot show it, or there is no image.
    """
    job = wizard.job
    if job is None or job.project is None:
        raise InputError("Open a project first.")
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
        masks=await to_thread(_write_masks, wizard, items, folder) if masks else [],
        colours=[known.rgb for known in job.project.classes],
    )
    # The address differs where the picture does: browsers keep it.
    address = f"/train/{wizard.draft.id}/augmented/{seed}"
    drawn = hashlib.sha256(repr((wizard.effective(), masks)).encode()).hexdigest()[:12]
    return [
        (item.key, [f"{address}/{name}?v={drawn}" for name in names])
        for item, names in zip(items, answer["pictures"], strict=False)
    ], answer["code"]


def _write_masks(wizard: Wizard, items: list[Item], folder: Path) -> list[str]:
    """Masks of the chosen classes as files; none where there are more than they can number."""
    job, field = wizard.job, wizard.field("classes")
    assert job is not None and job.project is not None
    titles = job.project.titles
    if len(titles) > 255:
        return []
    wanted = value_at(wizard.draft.settings, field["name"]) if field is not None else None
    chosen = np.arange(len(titles) + 1, dtype=np.uint8)
    for number, title in enumerate(titles, 1):
        if wanted and title not in wanted:
            chosen[number] = 0
    files = []
    for number, item in enumerate(items):
        mask = draw_mask(job.project.annotation(item, lambda fault: None), titles)
        files.append(str(folder / f"{number}.npy"))
        np.save(files[-1], chosen[mask])
    return files


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
        raise InputError("This picture does not exist.")
    try:
        return (_folder(draft_id, place) / name).read_bytes()
    except OSError:
        raise RavenError("This picture does not exist.") from None


def _folder(draft_id: str, place: str) -> Path:
    return cache_dir() / "augmented" / path_of(draft_id).stem / place


def _make_room(folder: Path) -> None:
    """Forget older previews of this draft."""
    if folder.parent.is_dir():
        older = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in older[: -_KEPT + 1 or None]:
            shutil.rmtree(path, ignore_errors=True)
    make_folder(folder)
