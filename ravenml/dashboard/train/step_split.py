"""Step 2: which images are learned from, and which are validated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from ravenml.dashboard.layout import section
from ravenml.dashboard.train.draft import Draft
from ravenml.dashboard.train.fields import add_cards
from ravenml.dashboard.train.gallery import legend
from ravenml.dashboard.train.split_preview import Share, class_balance, find_imbalance
from ravenml.dashboard.train.step_project import figure

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

Handler = Callable[[ValueChangeEventArguments[Any]], Awaitable[None]]

WAYS = {
    "percent": ("Random", "A random percentage is used for validation."),
    "tags": ("By tags", "Image tags decide between training and validation."),
    "datasets": ("By datasets", "Whole datasets are used for validation."),
    "kfold": ("k-fold", "Every image but test images is validated once, by a model not trained on it."),
}
UNTAGGED = {"train": "training", "val": "validation", "ignore": "left out"}
_FOLDS = 30  # that are drawn; a thousand of them would keep all other pages waiting
GROUPINGS = {"random": "image", "dataset": "dataset", "": "regular expression on names"}


async def build(view: WizardView) -> None:
    """Make the step."""
    chosen = view.wizard.draft.split

    async def choose(way: str) -> None:
        await view.change(lambda draft: setattr(draft.split, "way", way))
        await view.redo()

    with section("Split"):
        cards = [(way, title, text) for way, (title, text) in WAYS.items()]
        add_cards("Ways to split", cards, chosen.way, choose)
        controls = ui.element("div").classes("line form-line")
    shown = ui.element("div").classes("stack wide-gap")
    with controls:
        _controls(view, lambda: _show(view, shown))
    _show(view, shown)

    divided = view.wizard.split_preview is not None
    is_counted = bool(view.wizard.job and view.wizard.job.stats)

    async def tick() -> None:
        job = view.wizard.job
        if divided != (view.wizard.split_preview is not None) or is_counted != bool(job and job.stats):
            await view.redo()

    view.tick = tick


def _controls(view: WizardView, show: Callable[[], None]) -> None:
    """The inputs of the way that is chosen."""
    chosen = view.wizard.draft.split
    job = view.wizard.job
    assert job is not None and job.project is not None

    def setter(name: str) -> Handler:
        async def set(event: ValueChangeEventArguments[Any]) -> None:
            if event.value is None and name not in ("only_tag",):
                return
            kind = type(getattr(view.wizard.draft.split, name))
            value = kind(event.value) if kind in (int, float) else event.value

            def change(draft: Draft) -> None:
                setattr(draft.split, name, value)

            if await view.change(change):
                show()

        return set

    def number(label: str, name: str, least: int, most: int, suffix: str | None = None) -> None:
        field = ui.number(label, value=getattr(chosen, name), min=least, max=most, precision=0, suffix=suffix)
        field.props("dense outlined debounce=300").classes("narrow").on_value_change(setter(name))

    tags = job.stats.tags if job.stats is not None else sorted(tag.name for tag in job.project.tags)
    if chosen.way == "percent":
        number("Validation share", "percent", 1, 99, suffix="%")
        number("Seed", "seed", 0, 2**31 - 1)
    elif chosen.way == "tags":
        for label, name in (("Training tag", "train_tag"), ("Validation tag", "val_tag")):
            options = sorted({*tags, getattr(chosen, name)})
            field = ui.select(options, label=label, value=getattr(chosen, name)).props("dense outlined")
            field.classes("medium").on_value_change(setter(name))
        field = ui.select(UNTAGGED, label="Untagged images", value=chosen.untagged).props("dense outlined")
        field.classes("medium").on_value_change(setter("untagged"))
    elif chosen.way == "datasets":
        options = sorted({*job.project.datasets, *chosen.datasets})
        field = ui.select(options, label="Validation datasets", value=chosen.datasets, multiple=True)
        field.props("dense outlined use-chips").classes("wide").on_value_change(setter("datasets"))
    elif chosen.way == "kfold":
        number("Folds", "folds", 2, 1000)
        _grouping(view, setter("by"))
        number("Seed", "seed", 0, 2**31 - 1)
        field = ui.select(tags, label="Only images with tag", value=chosen.only_tag, clearable=True)
        field.props("dense outlined").classes("medium").on_value_change(setter("only_tag"))


def _grouping(view: WizardView, set_by: Handler) -> None:
    by = view.wizard.draft.split.by
    named = by in ("random", "dataset")
    expression = ui.input("Expression", value="" if named else by, placeholder="^[^_]+")
    expression.props(
        'dense outlined debounce=500 hint="Images whose names match the same text stay together"'
    )

    async def choose(event: ValueChangeEventArguments[Any]) -> None:
        expression.set_visibility(event.value == "")
        if event.value:
            await set_by(event)

    kind = ui.select(GROUPINGS, label="Group by", value=by if named else "", on_change=choose)
    kind.props("dense outlined").classes("medium").move(target_index=1)
    expression.classes("medium").set_visibility(not named)

    async def typed(event: ValueChangeEventArguments[Any]) -> None:
        if event.value:
            await set_by(event)

    expression.on_value_change(typed)


def _show(view: WizardView, shown: ui.element) -> None:
    """Counts, notices and the picture of the balance."""
    job, split_preview = view.wizard.job, view.wizard.split_preview
    shown.clear()
    with shown:
        if job is None or job.project is None or split_preview is None or split_preview.error is not None:
            return
        with section("Result"):
            for notice in split_preview.notices:
                with ui.element("div").classes("note"):
                    ui.icon("info").props('aria-hidden="true"')
                    ui.label(f"{notice[:1].upper()}{notice[1:]}").classes("wrap")
            if len(split_preview.splits) > 1:
                _folds(view)
                return
            split = split_preview.splits[0]
            with ui.element("div").classes("figures"):
                figure(f"{len(split.train):,}", "training images")
                figure(f"{len(split.val):,}", "validation images")
                if split.test:
                    figure(f"{len(split.test):,}", "test images")
            if job.stats is None:
                ui.label("The class balance appears when all images are counted.").classes("muted small")
                return
            shares = class_balance(job.project, job.stats, split, job.rows)
            _bars(shares)
            for text in find_imbalance(shares):
                with ui.element("div").classes("note warn"):
                    ui.icon("warning").props('aria-hidden="true"')
                    ui.label(text).classes("wrap")


def _bars(shares: list[Share]) -> None:
    """Per class a bar: the strong part trains, the pale one validates."""
    with ui.element("div").classes("balance"):
        for share in shares:
            total = share.train + share.val
            part = 100 * share.train / total if total else 0
            legend(share.title, share.color)
            with ui.element("div").classes("bar"):
                if total:
                    ui.element("div").classes("bar-train").style(
                        f"width: {part:.2f}%; background: {share.color}"
                    )
                    ui.element("div").classes("bar-val").style(
                        f"width: {100 - part:.2f}%; background: {share.color}"
                    )
            counts = f"{share.train:,} + {share.val:,} objects" if total else "no objects"
            ui.label(f"{counts} · {100 - part:.0f} % validation" if total else counts).classes(
                "muted small number"
            )


def _folds(view: WizardView) -> None:
    """A row per fold: how many images validate, and how the classes lie in it."""
    job, split_preview = view.wizard.job, view.wizard.split_preview
    assert job is not None and job.project is not None and split_preview is not None
    most = max(len(split.val) for split in split_preview.splits)
    with ui.element("div").classes("balance folds"):
        for number, split in enumerate(split_preview.splits[:_FOLDS]):
            ui.label(f"fold {number}").classes("strong")
            with ui.element("div").classes("bar").style(f"max-width: {100 * len(split.val) / most:.1f}%"):
                if job.stats is None:
                    ui.element("div").classes("bar-train plain").style("width: 100%")
                else:
                    shares = class_balance(job.project, job.stats, split, job.rows)
                    total = sum(share.val for share in shares) or 1
                    for share in shares:
                        ui.element("div").classes("bar-train").style(
                            f"width: {100 * share.val / total:.2f}%; background: {share.color}"
                        ).tooltip(f"{share.title}: {share.val:,} objects")
            ui.label(f"{len(split.val):,} images").classes("muted small number")
    if len(split_preview.splits) > _FOLDS:
        ui.label(f"and {len(split_preview.splits) - _FOLDS} more folds").classes("muted small")
    if job.stats is not None:
        with ui.element("div").classes("line"):
            for known in job.project.classes:
                legend(known.title, known.color)
            ui.label("objects in each fold").classes("muted small")
