"""How good the trained model is: scores per class, the confusion matrix, the images it does worst on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from ravenml.common.io import JsonObject
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.runs.labels import format_cell
from ravenml.dashboard.runs.state import State
from ravenml.dashboard.widgets.controls import set_label, table, text_element
from ravenml.dashboard.widgets.previews import EVALUATION, PICTURES, enlarge
from ravenml.runs import layout
from ravenml.runs.events import as_number

_SIZES = {"original_size": "at the original image size", "model_size": "at the network's input size"}
_LEGIBLE = 60  # classes of a confusion matrix that can be read, with scrolling
_CONFUSED = 10  # pairs of classes that are listed
_WORST = 10
_PER_IMAGE = ("miou_fg", "miou", "mdice_fg", "mdice", "pixel_accuracy")


def sections(state: State) -> dict[str, JsonObject]:
    """What was evaluated, by the images' size, the most telling first."""
    found = state.evaluation or {}
    return {name: found[name] for name in _SIZES if isinstance(found.get(name), dict)}


def build(state: State) -> None:
    """Put it on the page."""
    found = sections(state)
    if found:
        chosen = {"name": next(iter(found))}

        def show() -> None:
            box.clear()
            with box:
                _section(found[chosen["name"]], list((state.evaluation or {}).get("classes") or ()))

        def change(event: ValueChangeEventArguments[Any]) -> None:
            chosen["name"] = event.value
            show()

        if len(found) > 1:
            options = {name: _SIZES[name] for name in found}
            ui.toggle(options, value=chosen["name"], on_change=change).props("dense no-caps unelevated")
        else:
            ui.label(f"Evaluated {_SIZES[chosen['name']]}.").classes("muted small")
        box = ui.element("div").classes("stack wide-gap")
        show()
    build_pictures(state, find_final_pictures(state.folder))


def find_final_pictures(folder: Path) -> list[str]:
    """The pictures about a training's end: confusion matrix, worst and best images."""
    found = sorted((folder / layout.PREVIEWS / EVALUATION).glob("*"))
    return [f"{layout.PREVIEWS}/{EVALUATION}/{path.name}" for path in found if path.suffix in PICTURES]


def build_pictures(run: RunFolder, files: Sequence[str]) -> None:
    """The pictures about a training's end, side by side; each is enlarged where one presses it."""
    named = {file: Path(file).stem for file in files}
    _strip(run, [file for file in files if named[file].startswith("worst")], "Worst predictions")
    _strip(run, [file for file in files if named[file].startswith("best")], "Best predictions")
    others = [f for f in files if not named[f].startswith(("worst", "best", "curves", "confusion"))]
    _strip(run, others, "More")


def _strip(run: RunFolder, files: Sequence[str], title: str) -> None:
    if not files:
        return
    with ui.element("h3"):
        ui.label(title)
    with ui.element("div").classes("pictures"):
        for file in files:
            target, caption = run.url(file), Path(file).stem.replace("_", " ")
            with ui.element("figure").classes("picture"):
                button = ui.element("button").classes("tile").props("type=button")
                button.on("click", lambda target=target, caption=caption: enlarge(target, caption))
                with set_label(button, f"Enlarge {caption}"):
                    image = ui.element("img").props("decoding=async")  # a few: no need to wait for scrolling
                    image.props.update({"src": target, "alt": caption})
                with ui.element("figcaption").classes("small wrap"):
                    ui.label(caption)


def _section(one: JsonObject, classes: Sequence[object]) -> None:
    scores = one.get("scores") if isinstance(one.get("scores"), dict) else {}
    if scores:
        with ui.element("div").classes("scores"):
            for name, value in scores.items():
                with ui.element("div").classes("score"):
                    ui.label("not defined" if value is None else _percent(value)).classes("score-value")
                    ui.label(str(name)).classes("small muted")
    with ui.element("div").classes("side-by-side"):
        if isinstance(one.get("per_class"), dict):
            with ui.element("div").classes("stack"):
                _per_class(one["per_class"])
        if isinstance(one.get("confusion"), list):
            with ui.element("div").classes("stack"):
                _confusion(one["confusion"], [str(title) for title in classes])
    if isinstance(one.get("per_image"), list):
        _worst(one["per_image"])


def _per_class(found: JsonObject) -> None:
    with ui.element("h3"):
        ui.label("Per class")
    columns = ("iou", "dice", "precision", "recall")
    rows = []
    for title, values in found.items():
        values = values if isinstance(values, dict) else {}
        pixels = values.get("truth_pixels")
        shown = [_percent(values.get(name)) for name in columns]
        rows.append([str(title), *shown, f"{pixels:,}" if isinstance(pixels, int) else ""])
    table(["Class", "IoU", "Dice", "Precision", "Recall", "Pixels"], rows)


def _confusion(matrix: Sequence[object], titles: Sequence[str]) -> None:
    with ui.element("h3"):
        ui.label("Confusion matrix: true class (row), predicted class (column), in percent")
    rows = [row for row in matrix if isinstance(row, list) and len(row) == len(matrix)]
    if not len(rows) == len(matrix) == len(titles) or len(titles) > _LEGIBLE:
        ui.label(f"The matrix is too large to display ({len(matrix)} classes); see evaluation.json.").classes(
            "muted"
        )
        return
    crowded = "confusion crowded" if len(titles) > 8 else "confusion"
    with (
        ui.element("div").classes("scroll-x matrix").props('tabindex=0 role=region aria-label="Confusion"'),
        ui.element("table").classes(crowded),
    ):
        with ui.element("thead"), ui.element("tr"):
            ui.element("td")
            for title in titles:
                with ui.element("th").props("scope=col") as head:
                    ui.label(title)
                head.props["title"] = title
        with ui.element("tbody"):
            for title, row in zip(titles, rows, strict=True):
                numbers = [as_number(value) or 0.0 for value in row]
                total = sum(numbers)
                with ui.element("tr"):
                    with ui.element("th").props("scope=row") as head:
                        ui.label(title)
                    head.props["title"] = title
                    for place, number in enumerate(numbers):
                        share = 100 * number / total if total else 0.0
                        strength = f"color-mix(in srgb, var(--accent) {share:.0f}%, var(--card))"
                        text = "var(--card)" if share > 55 else "var(--ink)"
                        shown = f"{share:.0f}" if share >= 0.5 or titles[place] == title else ""
                        cell = text_element("td", shown).style(f"background: {strength}; color: {text}")
                        cell.props["title"] = f"{title} predicted as {titles[place]}: {share:.1f} %"
    _most_confused(rows, titles)


def _most_confused(rows: Sequence[Sequence[object]], titles: Sequence[str]) -> None:
    """The pairs of classes that are taken for each other most often: what one looks for in a large matrix."""
    pairs: list[tuple[float, str, str]] = []
    for title, row in zip(titles, rows, strict=True):
        numbers = [as_number(value) or 0.0 for value in row]
        total = sum(numbers)
        others = zip(numbers, titles, strict=True)
        pairs += [(number / total, title, other) for number, other in others if number and other != title]
    if len(titles) > 8 and pairs:
        pairs.sort(key=lambda pair: -pair[0])
        shown = [[title, other, _percent(share)] for share, title, other in pairs[:_CONFUSED]]
        with ui.element("h3"):
            ui.label("Most confused")
        table(["True class", "Predicted as", "Share"], shown, texts=["Predicted as"])


def _worst(per_image: Sequence[object]) -> None:
    images = [one for one in per_image if isinstance(one, dict)]
    by = next(
        (name for name in _PER_IMAGE if any(as_number(one.get(name)) is not None for one in images)), None
    )
    if by is None:
        return
    known = [(number, one) for one in images if (number := as_number(one.get(by))) is not None]
    known.sort(key=lambda pair: pair[0])
    shown = [name for name in _PER_IMAGE if name in known[0][1]][:4]
    with ui.element("h3"):
        ui.label(f"Worst images by {by}, of {len(images):,}")
    rows = [[str(one.get("item")), *(_percent(one.get(name)) for name in shown)] for _, one in known[:_WORST]]
    table(["Image", *shown], rows)


def _percent(value: object) -> str:
    number = as_number(value)
    return "-" if number is None else f"{100 * number:.1f} %" if 0 <= number <= 1 else format_cell(number)
