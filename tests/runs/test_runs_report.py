"""`raven runs report --html`: one file about runs, for people who have neither ravenML nor a network."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
from as_user import Raven
from many_runs import events_of, write_run

SCRIPT = "<script>window.hacked=1</script>"
ONE, TWO = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"


class Page(HTMLParser):
    """What a page holds: its texts by element, and every address that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.points: list[list[str]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.sources += [found[name] or "" for name in ("src", "href", "xlink:href") if name in found]
        if tag == "polyline":
            self.points.append((found["points"] or "").split())
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def test_a_page_shows_curves_scores_differences_and_pictures_and_loads_nothing(
    raven: Raven, tmp_path: Path
) -> None:
    for name, lr, low in ((ONE, 0.1, 0.2), (TWO, 0.01, 0.4)):
        folder = write_run(raven.home, name, settings={"lr": lr, "epochs": 3}, metrics={"val/miou": low})
        events_of(folder, {"train/loss": [3.0, 2.0, 1.0], "val/miou": [0.1, 0.15, low]})
    (raven.home / "runs" / TWO / "notes.json").write_text(f'{{"name": "{SCRIPT}", "note": "{SCRIPT}"}}')
    for epoch, grey in ((1, 10), (2, 200)):
        place = raven.home / "runs" / ONE / "previews" / "val" / "meadow" / f"{epoch:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), np.full((900, 1200, 3), grey, np.uint8))
    said = raven.ok("runs", "report", ONE, TWO, "--html", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert said.startswith(f"Wrote {tmp_path / 'page.html'}: ")
    assert "script" not in page.tags and SCRIPT not in text and "&lt;script&gt;" in text
    assert [len(line) for line in page.points] == [3, 3, 3, 3]  # two metrics of two runs
    assert ["val/miou", "0.2000", "0.4000"] in page.rows and "<b>0.4000</b>" in text
    assert ["lr", "0.1", "0.01"] in page.rows and not any(row[0] == "epochs" for row in page.rows)
    (picture,) = page.sources
    assert picture.startswith("data:image/jpeg;base64,")
    import base64

    shown = cv2.imdecode(np.frombuffer(base64.b64decode(picture.partition(",")[2]), np.uint8), 1)
    assert shown.shape == (480, 640, 3) and abs(int(shown.mean()) - 200) < 3  # the newest, made small


def test_a_curve_of_many_points_keeps_its_peaks(raven: Raven, tmp_path: Path) -> None:
    folder = write_run(raven.home, ONE, metrics={"val/miou": 0.5})
    values = [0.5] * 20_000
    values[7_777] = 9.0
    events_of(folder, {"val/miou": values})
    raven.ok("runs", "report", "--html", str(tmp_path / "page.html"))
    page = Page((tmp_path / "page.html").read_text())
    (line,) = page.points
    heights = [float(point.partition(",")[2]) for point in line]
    assert len(line) <= 401 and min(heights) == 12.0 and heights.count(12.0) == 1


def test_a_run_that_failed_before_it_reported_anything_has_a_page_too(raven: Raven, tmp_path: Path) -> None:
    failed = {"result": {"status": "failed", "error": "The disk is full.", "metrics": {}}}
    write_run(raven.home, ONE, status="failed", more=failed)
    raven.ok("runs", "report", ONE, "--html", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text()
    assert "The disk is full." in text and "<svg" not in text
    refused = raven("runs", "report", ONE, "--html", str(tmp_path / "page.html" / "inner.html"))
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
