"""The page of ``raven data inspect --html``: HTML without scripts or anything from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import NamedTuple

from ravenml.common.formatting import local_time, utc_timestamp
from ravenml.common.html_page import as_text, render_page, render_section
from ravenml.data.formats.losses import problem_kind
from ravenml.data.inspection import Inspection
from ravenml.data.problems import DataProblem
from ravenml.data.report_pictures import PER_CLASS, PER_REASON, Picture, Pictures
from ravenml.data.split import SPLIT_TAGS
from ravenml.data.suspicious import REASONS

_MOST_CLASSES, _MOST_ROWS, _MOST_RARE = 200, 12, 12  # shown; what is left out is counted
_MOST_KINDS, _EXAMPLES = 50, 3  # of problems
_NAMED = 3  # classes below a picture
_LONGEST_PATH = 4096  # letters; so that one can be copied whole
_WHY = {
    REASONS[
        0
    ]: "Cut at the image's edge in training; often from another image's annotation or a wrong scale.",
    REASONS[1]: "Often a click by mistake; too small to be learned.",
    REASONS[2]: "The same shape in the same place as an object before it; counted twice in detection.",
    REASONS[3]: "Often a box that was never adjusted, or a class that belongs into a tag of the image.",
}


class _Bar(NamedTuple):
    """A number and the length of its bar, 0 to 1."""

    text: str
    share: float


def render_report(found: Inspection, pictures: Pictures) -> bytes:
    """The whole page, UTF-8.  All that comes from the project is escaped."""
    body = "\n".join(
        part
        for part in (
            _heading(found),
            _problems(found.problems),
            _notices(found.notices),
            _suspicious(found, pictures),
            _classes(found),
            _rare(found, pictures),
            _sheet(found, pictures),
            _tables(found),
        )
        if part
    )
    return render_page(found.project.name, body)


def _heading(found: Inspection) -> str:
    objects = sum(count.objects for count in found.classes.values())
    numbers = [
        ("image", len(found.project.items), ""),
        ("object", objects, ""),
        ("class", len(found.classes), ""),
        ("problem", len(found.problems), "bad" if found.problems else "good"),
        ("suspicious object", found.suspicious.counts.total(), ""),
    ]
    figures = "".join(
        f'<div><div class="figure-number {look}">{count:,}</div>'
        f'<div class="muted small">{_plural(what, count)}</div></div>'
        for what, count, look in numbers
    )
    made = f"Inspected {local_time(utc_timestamp())} with ravenML {version('ravenml')}"
    return (
        f"<header><h1>{as_text(found.project.name)}</h1>"
        f'<p class="muted"><span class="path">{as_text(found.project.root, _LONGEST_PATH)}</span></p>'
        f'<p class="muted small">{made}</p></header>'
        f'<section aria-label="Overview"><div class="figures">{figures}</div></section>'
    )


def _problems(problems: Sequence[DataProblem]) -> str:
    """Equal problems together: where the first ones are, and how many there are."""
    if not problems:
        return ""
    # Of one kind in the order found.
    kinds = [list(those) for _, those in groupby(sorted(problems, key=problem_kind), key=problem_kind)]
    kinds.sort(key=len, reverse=True)
    lines = []
    for those in kinds[:_MOST_KINDS]:
        first = those[0]
        places = "".join(f'<br><span class="path">{_place(one)}</span>' for one in those[:_EXAMPLES])
        rest = len(those) - _EXAMPLES
        more = f'<br><span class="muted small">and {rest:,} more</span>' if rest > 0 else ""
        count = f'<span class="bad">{len(those):,} × </span>' if len(those) > 1 else ""
        fix = f'<span class="good">{as_text(first.fix)}</span>'
        lines.append(f"<li>{count}{as_text(first.problem)}; {fix}.{places}{more}</li>")
    left = len(kinds) - _MOST_KINDS
    more = f'<p class="muted small">And {left:,} more kinds of problems.</p>' if left > 0 else ""
    return render_section("Problems", f'<ul class="problems">{"".join(lines)}</ul>{more}')


def _notices(notices: Sequence[str]) -> str:
    return (
        render_section("Good to know", "".join(f"<p>{as_text(one)}</p>" for one in notices))
        if notices
        else ""
    )


def _place(problem: DataProblem) -> str:
    return as_text(f"{problem.file}{f', {problem.field}' if problem.field else ''}", _LONGEST_PATH)


def _suspicious(found: Inspection, pictures: Pictures) -> str:
    parts = []
    for reason in REASONS:
        count = found.suspicious.counts[reason]
        if not count:
            continue
        shown = _in_order(pictures.suspicious[reason])[:PER_REASON]
        images = f", {len(shown):,} shown" if len(shown) < count else ""
        tiles = []
        for one in shown:
            (title,) = one.objects
            detail = one.about.removeprefix(reason).lstrip(" ,")
            tiles.append(_tile(one, f"<b>{as_text(title)}</b> {as_text(detail)}"))
        parts.append(
            f"<h3>{reason[0].upper()}{reason[1:]}: {count:,} {_plural('object', count)}{images}</h3>"
            f'<p class="muted small">{_WHY[reason]}</p>{_gallery(tiles, small=True)}'
        )
    return render_section("Suspicious objects", "".join(parts)) if parts else ""


def _classes(found: Inspection) -> str:
    """Objects, images and pixels of each class as bars; with tagged splits, the objects in each of them."""
    counts = found.classes
    most = {
        name: max((getattr(one, name) for one in counts.values()), default=0) or 1
        for name in ("objects", "images", "pixel_share")
    }
    splits = [name for name in SPLIT_TAGS if name in found.splits]
    header = ["class", "shape", "objects", "images", "pixels", *(f"objects in {name}" for name in splits)]
    rows: list[list[str | _Bar]] = []
    for known in found.project.classes[:_MOST_CLASSES]:
        one = counts[known.title]
        swatch = f'<span class="swatch" style="background:rgb{known.rgb}"></span>'
        rows.append(
            [
                f"{swatch}{as_text(known.title)}",
                as_text(known.shape),
                _Bar(f"{one.objects:,}", one.objects / most["objects"]),
                _Bar(f"{one.images:,}", one.images / most["images"]),
                _Bar(f"{100 * one.pixel_share:.2f} %", one.pixel_share / most["pixel_share"]),
                *(f"{found.splits[name][known.title]:,}" for name in splits),
            ]
        )
    rest = len(counts) - len(rows)
    more = f"<p class='muted small'>And {rest:,} more classes.</p>" if rest else ""
    background = f"<p class='muted small'>Background: {100 * found.background_share:.2f} % of all pixels.</p>"
    return render_section("Classes", _table(header, rows, texts=2) + more + background)


def _rare(found: Inspection, pictures: Pictures) -> str:
    rare = found.rare_classes
    if not rare:
        return ""
    parts = []
    for title in rare[:_MOST_RARE]:
        one = found.classes[title]
        said = f"{one.objects:,} {_plural('object', one.objects)}"
        said += f" in {one.images:,} {_plural('image', one.images)}" if one.objects else ""
        shown = _in_order(pictures.classes[title])[:PER_CLASS]
        parts.append(f"<h3>{as_text(title)}: {said}</h3>{_gallery(_described(shown)) if shown else ''}")
    rest = len(rare) - _MOST_RARE
    more = f'<p class="muted small">And {rest:,} more classes.</p>' if rest > 0 else ""
    about = '<p class="muted small">No objects, or fewer than 1 % of those of the most frequent class.</p>'
    return render_section("Rare classes", f"{about}{''.join(parts)}{more}")


def _sheet(found: Inspection, pictures: Pictures) -> str:
    shown = _in_order(pictures.sheet.values())
    if not shown:
        return ""
    total = len(found.project.items)
    said = "All images" if len(shown) == total else f"{len(shown):,} of {total:,} images, evenly spaced"
    drawn = {title for one in shown for title in one.objects}
    legend = "".join(
        f'<li><span class="swatch" style="background:rgb{known.rgb}"></span>{as_text(known.title)}</li>'
        for known in found.project.classes[:_MOST_CLASSES]
        if known.title in drawn
    )
    return render_section(
        "Contact sheet",
        f'<p class="muted small">{said}, in the order of their names.</p>'
        f'<ul class="legend small">{legend}</ul>{_gallery(_described(shown))}',
    )


def _tables(found: Inspection) -> str:
    """What is counted by name: the most frequent of each."""
    sizes = {f"{width}×{height}": count for (width, height), count in found.sizes.items()}
    tables = [
        ("Image sizes", "width×height", "images", sizes),
        ("Datasets", "dataset", "images", found.datasets),
        ("Image tags", "tag", "images", found.image_tags),
        ("Shapes", "shape", "objects", found.shapes),
        ("Shapes that are left out", "shape", "objects", found.left_out),
        ("Object tags", "tag", "objects", found.object_tags),
    ]
    parts = []
    for title, first, second, counts in tables:
        if not counts:
            continue
        ordered = sorted(counts.items(), key=lambda pair: -pair[1])
        most = ordered[0][1] or 1
        rows: list[list[str | _Bar]] = [
            [as_text(key), _Bar(f"{count:,}", count / most)] for key, count in ordered[:_MOST_ROWS]
        ]
        rest = ordered[_MOST_ROWS:]
        if rest:
            rows.append([f"{len(rest):,} more", _Bar(f"{sum(count for _, count in rest):,}", 0)])
        parts.append(render_section(title, _table([first, second], rows, texts=1)))
    return f'<div class="columns">{"".join(parts)}</div>' if parts else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str | _Bar]], texts: int) -> str:
    """Cells are HTML; ``texts`` columns on the left are no numbers; a column of bars takes two."""
    is_bar = [any(isinstance(row[at], _Bar) for row in rows) for at in range(len(header))]
    heads = "".join(
        f'<th class="{"number" if at >= texts else ""}">{name}</th>{"<th></th>" * is_bar[at]}'
        for at, name in enumerate(header)
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, at >= texts) for at, cell in enumerate(row))}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: str | _Bar, is_number: bool) -> str:
    if isinstance(cell, _Bar):
        bar = f'<div style="width:{100 * cell.share:.1f}%"></div>' if cell.share else ""
        return f'<td class="number">{cell.text}</td><td class="bar">{bar}</td>'
    return f'<td class="{"number" if is_number else "text"}">{cell}</td>'


def _gallery(tiles: Iterable[str], small: bool = False) -> str:
    return f'<div class="gallery{" small-tiles" if small else ""}">{"".join(tiles)}</div>'


def _described(shown: Iterable[Picture]) -> Iterable[str]:
    """Tiles with what is in each image: its most frequent classes."""
    for one in shown:
        ordered = sorted(one.objects.items(), key=lambda pair: -pair[1])
        said = ", ".join(f"{count:,} {as_text(title)}" for title, count in ordered[:_NAMED])
        more = f", {len(ordered) - _NAMED} more classes" if len(ordered) > _NAMED else ""
        yield _tile(one, f"{said}{more}" if said else "no objects")


def _tile(picture: Picture, caption: str) -> str:
    """``caption`` is HTML."""
    key = as_text(picture.item.key)
    source = base64.b64encode(picture.jpeg).decode()
    return (
        f'<figure title="{key}"><img alt="{key}" loading="lazy" src="data:image/jpeg;base64,{source}">'
        f"<figcaption><b>{key}</b><br>{caption}</figcaption></figure>"
    )


def _in_order(pictures: Iterable[Picture]) -> list[Picture]:
    """In the project's order, whichever thread was first."""
    return sorted(pictures, key=lambda one: (one.item.dataset, one.item.name))


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}es" if word.endswith("s") else f"{word}s"
