"""``raven runs report --html``: runs on one page that is one file, to mail or to print."""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from ravenml.common.formatting import (
    format_duration,
    format_number,
    local_time,
    parse_timestamp,
    utc_timestamp,
)
from ravenml.common.html_page import as_text, render_page, render_section
from ravenml.common.io import JsonObject, write_bytes
from ravenml.runs import layout
from ravenml.runs.comparison import Comparison, best_value, compare
from ravenml.runs.curves import COLOURS, Curve
from ravenml.runs.events import as_number
from ravenml.runs.notes import apply_notes, notes_or_reason
from ravenml.runs.overview import full_name
from ravenml.runs.record import read_record, status
from ravenml.runs.tables import select_metrics

_MOST_CHARTS = 12
_MOST_ROWS = 60  # of a table of settings or scores
_POINTS = 400  # of a drawn curve
_WIDTH, _HEIGHT = 420, 220  # of a chart
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 26  # its margins
_PICTURES = 8  # of a run
_SIDE = 640  # pixels of a picture's longer side
_SETTING = 120  # letters of a setting's value
_LONG = 2_000  # letters of a command or a note

Place = Callable[[float, float], tuple[float, float]]  # from data to pixel coordinates


def write_report(folders: Sequence[Path], file: Path) -> None:
    """Write a page about one or several runs: what they are, their curves, what differs, scores, predictions.

    The page needs nothing beside itself and holds no script.  It is written whole or not at all.

    Args:
        folders: the runs' folders.
        file: where to write it; one that is there is replaced.

    Raises:
        RavenError: a run's record is broken, or the file cannot be written.
    """
    compared = compare(folders)
    records = [apply_notes(read_record(folder), notes_or_reason(folder)) for folder in folders]
    names = [full_name(record) or folder.name for record, folder in zip(records, folders, strict=True)]
    title = names[0] if len(names) == 1 else f"{len(names)} runs compared"
    made = f'<p class="muted small">Reported {local_time(utc_timestamp())} by ravenML.</p>'
    body = [
        f"<header><h1>{as_text(title)}</h1>{made}</header>",
        _runs(folders, records, names),
        _charts(compared, names),
        _scores(compared, names),
        _settings(compared, names),
        *(_pictures(folder, name) for folder, name in zip(folders, names, strict=True)),
        _origins(records, names),
    ]
    write_bytes(file, render_page(title, "\n".join(part for part in body if part)))


def _runs(folders: Sequence[Path], records: Sequence[JsonObject], names: Sequence[str]) -> str:
    rows = []
    for number, (folder, record, name) in enumerate(zip(folders, records, names, strict=True)):
        notes = notes_or_reason(folder)
        result = record.get("result") or {}
        tags = dict.fromkeys([*(record.get("tags") or ()), *(notes.get("tags") or ())])
        about = [notes.get("note"), result.get("error") or result.get("reason"), " ".join(tags)]
        more = "".join(
            f'<br><span class="muted small">{as_text(text, 2000)}</span>' for text in about if text
        )
        rows.append(
            [
                f"{_key(number)}{as_text(name)}{more}",
                as_text(folder.name),
                as_text(status(folder, record)),
                as_text(record.get("plugin") or record.get("kind") or ""),
                as_text((record.get("dataset") or {}).get("name") or ""),
                as_text(local_time(record.get("created"), missing="")),
                as_text(_took(record)),
            ]
        )
    head = ["Run", "ID", "Status", "Plugin", "Dataset", "Started", "Took"]
    return render_section("Runs" if len(rows) > 1 else "Run", _table(head, rows, texts=len(head)))


def _took(record: JsonObject) -> str:
    begun, ended = record.get("created"), (record.get("result") or {}).get("finished")
    try:
        return format_duration(max(0.0, parse_timestamp(str(ended)) - parse_timestamp(str(begun))))
    except ValueError:
        return ""


def _key(number: int, dashed: bool = False) -> str:
    style = f"border-color:{COLOURS[number % len(COLOURS)]}{';border-top-style:dashed' if dashed else ''}"
    return f'<span class="key" style="{style}"></span>'


# Charts: training dashed and validation solid, a colour for each run.


def _charts(compared: Comparison, names: Sequence[str]) -> str:
    shown: dict[str, list[str]] = {}
    for address in dict.fromkeys(name for one in compared.curves for name in one):
        shown.setdefault(address.partition("/")[2] or address, []).append(address)
    # The scores that people look at first; those of single classes come last.
    ordered = sorted(
        shown, key=lambda name: (name.count("/"), not any(a.startswith("val/") for a in shown[name]))
    )
    charts = [
        f"<figure><h3>{as_text(name)}</h3>{svg}</figure>"
        for name in ordered[:_MOST_CHARTS]
        if (svg := _chart(name, shown[name], compared))
    ]
    if not charts:
        return ""
    several = len(names) > 1
    keys = "".join(f"<li>{_key(number)}{as_text(name)}</li>" for number, name in enumerate(names) if several)
    if any(address.startswith("train/") for those in shown.values() for address in those):
        keys += f"<li>{_key(0, True)}training, dashed</li>"
    left = len(ordered) - _MOST_CHARTS
    more = f'<p class="muted small">And {left} more.</p>' if left > 0 else ""
    return render_section(
        "Curves", f'<ul class="legend small">{keys}</ul><div class="charts">{"".join(charts)}</div>{more}'
    )


def _chart(name: str, addresses: Sequence[str], compared: Comparison) -> str:
    drawn: list[tuple[int, bool, Curve]] = []
    for address in addresses:
        for number, curve in enumerate(compared.curve(address)):
            if curve is not None and len(curve.finite()) > 1:
                drawn.append((number, address.startswith("train/"), curve))
    if not drawn:
        return ""
    unit = drawn[0][2].unit
    points = [(number, dashed, curve.finite()) for number, dashed, curve in drawn if curve.unit == unit]
    xs = [x for _, _, those in points for x, _ in those]
    ys = [y for _, _, those in points for _, y in those]
    place = _scale(min(xs), max(xs), min(ys), max(ys))
    parts = [_grid(min(xs), max(xs), min(ys), max(ys), unit, place)]
    for number, dashed, those in points:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(x, y) for x, y in _thin(those)))
        dash = ' stroke-dasharray="5 4" stroke-opacity="0.7"' if dashed else ""
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
    label = f"{as_text(name)} by {as_text(unit)}, from {min(ys):.4g} to {max(ys):.4g}"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _scale(
    left: float, right: float, low: float, high: float
) -> Callable[[float, float], tuple[float, float]]:
    """The function from data to pixel coordinates."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / (right - left) if right > left else 0.5
        up = (y - low) / (high - low) if high > low else 0.5
        return _LEFT + across * width, _TOP + (1 - up) * height

    return place


def _grid(
    left: float,
    right: float,
    low: float,
    high: float,
    unit: str,
    place: Place,
) -> str:
    parts = []
    for value in _ticks(low, high):
        y = place(left, value)[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in _ticks(left, right):
        x = place(value, low)[0]
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<text x="{_LEFT - 6}" y="{_HEIGHT - 8}" text-anchor="end">{as_text(unit)}</text>')
    return "".join(parts)


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two values: steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [place * step for place in range(first, math.floor(high / step) + 1)]


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about 400 points of a curve: the lowest and the highest of each stretch."""
    if len(points) <= _POINTS:
        return list(points)
    size = math.ceil(2 * len(points) / _POINTS)
    thinned: list[tuple[float, float]] = []
    for begin in range(0, len(points), size):
        part = points[begin : begin + size]
        low, high = min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])
        thinned += sorted({low, high})
    return thinned


# Tables.


def _scores(compared: Comparison, names: Sequence[str]) -> str:
    shown = select_metrics(compared.metrics)
    if not shown:
        return ""
    rows = [[as_text(name), *_marked(name, compared.metrics[name])] for name in shown[:_MOST_ROWS]]
    return render_section("Scores", _table(["", *map(as_text, names)], rows))


def _marked(name: str, values: Sequence[object]) -> list[str]:
    """The values of a score, the best in bold."""
    best = best_value(name, values)
    texts = [as_text("–" if value is None else format_number(value)) for value in values]
    return [
        f"<b>{text}</b>" if best is not None and as_number(value) == best else text
        for text, value in zip(texts, values, strict=True)
    ]


def _settings(compared: Comparison, names: Sequence[str]) -> str:
    if len(names) == 1:
        settings = [(name, value) for name, value in compared.settings[0].items() if value is not None]
        rows = [[as_text(name), _setting(value)] for name, value in settings[:_MOST_ROWS]]
        return render_section("Settings", _table(["", ""], rows, texts=2)) if rows else ""
    if not compared.differing:
        return render_section("Differences", "<p>Identical settings.</p>")
    rows = [
        [as_text(name), *map(_setting, values)]
        for name, values in list(compared.differing.items())[:_MOST_ROWS]
    ]
    return render_section("Differences", _table(["", *map(as_text, names)], rows, texts=len(names) + 1))


def _setting(value: object) -> str:
    if value is None:
        return "–"
    return as_text(f"{value:g}" if isinstance(value, float) else value, _SETTING)


def _origins(records: Sequence[JsonObject], names: Sequence[str]) -> str:
    parts = []
    for record, name in zip(records, names, strict=True):
        command = shlex.join(map(str, record.get("command") or []))
        code = (record.get("provenance") or {}).get("code") or {}
        commits = [
            f"{as_text(what)} {as_text(state['commit'][:12])}{', with changes' if state.get('diff') else ''}"
            for what, state in code.items()
            if state and state.get("commit")
        ]
        if command or commits:
            line = f"<br>{'; '.join(commits)}" if commits else ""
            told = f'<span class="path">{as_text(command, _LONG)}</span>'
            parts.append(f"<p><b>{as_text(name)}</b><br>{told}{line}</p>")
    return render_section("How they came about", "".join(parts)) if parts else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Cells are HTML; the first ``texts`` columns are text, the others numbers."""
    kinds = ["text" if at < texts else "number" for at in range(len(head))]
    heads = "".join(f'<th class="{kind}">{cell}</th>' for cell, kind in zip(head, kinds, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td class={kind}>{cell}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


# Pictures.


def _pictures(folder: Path, name: str) -> str:
    """The newest prediction of each image that the run has pictures of, made small."""
    newest: dict[Path, Path] = {}
    for place in [folder, *layout.fold_folders(folder)]:
        for path in sorted((place / layout.PREVIEWS).rglob("*"), key=_moment):
            if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp") and path.is_file():
                newest[path.parent] = path
    tiles = []
    for path in list(newest.values())[:_PICTURES]:
        if (jpeg := _shrink(path)) is not None:
            what = as_text(
                path.relative_to(folder).with_suffix("").as_posix().replace(f"{layout.PREVIEWS}/", "")
            )
            source = base64.b64encode(jpeg).decode()
            tiles.append(
                f'<figure><img alt="{what}" src="data:image/jpeg;base64,{source}">'
                f"<figcaption>{what}</figcaption></figure>"
            )
    if not tiles:
        return ""
    return render_section(
        f"Predictions of {as_text(name)}", f'<div class="gallery wide-tiles">{"".join(tiles)}</div>'
    )


def _moment(path: Path) -> tuple[float, str]:
    """When a picture was made; of equal times, the later name."""
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name


def _shrink(path: Path) -> bytes | None:
    """A picture as a JPEG of at most 640 pixels a side; None where it is not one."""
    import cv2
    import numpy as np

    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    if picture is None:
        return None
    factor = _SIDE / max(picture.shape[:2])
    if factor < 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return jpeg.tobytes() if done else None
