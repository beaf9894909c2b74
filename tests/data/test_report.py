"""``raven data inspect --html``: a page to look at a dataset before training on it."""

from __future__ import annotations

import base64
import itertools
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from projects import HEIGHT, WIDTH, bitmap_of, box_of, polygon_of, write_item, write_meta, write_project

from ravenml.cli.data import data
from ravenml.data.geometry import Bitmap, Polygon, Rectangle
from ravenml.data.report import write_report
from ravenml.data.report_pictures import SHEET
from ravenml.data.thumbnails import make_thumbnail, window_around
from ravenml.errors import InputError, RavenError

IMAGE = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>&amp;\u202e'


class Page(HTMLParser):
    """A page's elements, the addresses in it, and what a reader sees."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self._in_style = False
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.text += f" {data}"

    @property
    def said(self) -> str:
        return " ".join(self.text.split())


def report(folder: Path) -> Page:
    write_report(folder, folder.parent / "page.html")
    return Page((folder.parent / "page.html").read_bytes())


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data, ["inspect", *map(str, arguments)])


def test_the_page_tells_what_is_in_the_project(tmp_path: Path) -> None:
    page = report(write_project(tmp_path / "garden", images=5, val=2))
    for words in (
        "garden",
        "5 images 15 objects 3 classes 0 problems 0 suspicious objects",
        "blob bitmap 5 5",
        "objects in train objects in val",
        "All images",
        "1 blob, 1 ring, 1 box",
        "48×40 5",
        "train 3 val 2",
    ):
        assert words in page.said, words
    assert page.tags.count("img") == 5
    for heading in ("Problems", "Suspicious objects", "Rare classes"):
        assert f" {heading} " not in page.said


def test_the_page_needs_nothing_beside_itself(tmp_path: Path) -> None:
    write_project(tmp_path / "garden", images=3)
    page = report(tmp_path / "garden")
    content = (tmp_path / "page.html").read_text()
    assert page.links and all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert "url(" not in content and "@import" not in content and "http://" not in content
    assert "default-src 'none'" in content and "prefers-color-scheme: dark" in content


def test_hostile_names_of_classes_files_and_tags_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "<b>bold"
    write_meta(folder, {HOSTILE: "any"}, tags=[HOSTILE])
    name = '"><script>alert(3)<_script>.png'
    write_item(folder, "a'b\"<i>", name, IMAGE, [box_of(HOSTILE, 2, 2, 3, 3, [HOSTILE])], [HOSTILE])
    page = report(folder)
    assert not {"script", "b>bold", "i"} & set(page.tags) and "onerror" not in page.attributes
    assert page.tags.count("img") == 2  # of the sheet, and of the tiny object
    assert '<script>alert("1")</script><img src=x onerror=alert(2)>&amp;\\u202e' in page.said
    assert name in page.said and "<b>bold" in page.said


def test_a_name_without_end_does_not_fill_the_page(tmp_path: Path) -> None:
    title = "x" * 1_000_000
    write_meta(tmp_path / "p", {title: "any"})
    write_item(tmp_path / "p", "ds", "a.png", IMAGE, [box_of(title, 2, 2, 9, 9)])
    report(tmp_path / "p")
    assert (tmp_path / "page.html").stat().st_size < 50_000


def test_names_that_are_no_utf_8_are_spelled_out(tmp_path: Path) -> None:
    write_project(tmp_path / "garden", images=1)
    for part in ("img/scene_000.png", "ann/scene_000.png.json"):
        old = tmp_path / "garden/scenes" / part
        try:
            os.rename(old, os.fsencode(old).replace(b"scene_000", b"sc\xffne"))
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
    assert "sc\\udcffne.png" in report(tmp_path / "garden").said


def test_what_looks_wrong_is_shown_with_a_picture(tmp_path: Path) -> None:
    write_meta(tmp_path / "p", {"car": "any", "tram": "any"})
    objects = [box_of("car", 40, 5, WIDTH + 6, 20), box_of("car", 5, 5, 6, 6), box_of("car", 5, 5, 6, 6)]
    write_item(tmp_path / "p", "ds", "a.png", IMAGE, objects)
    page = report(tmp_path / "p")
    assert "Reaches outside the image: 1 object" in page.said and "by 7 pixels" in page.said
    assert "Tiny: 2 objects, 1 shown" in page.said  # one of each image
    assert "Rare classes" in page.said and "tram: 0 objects" in page.said
    assert page.tags.count("img") == 3  # the image, the one outside, one of the tiny ones


def test_equal_problems_are_one_line_with_a_count(tmp_path: Path) -> None:
    write_meta(tmp_path / "p", {"car": "any"})
    for number in range(5):
        write_item(tmp_path / "p", "ds", f"{number}.png", IMAGE, [box_of("unknown", 1, 1, 9, 9)])
    write_item(tmp_path / "p", "ds", "broken.png", b"no image", [])
    page = report(tmp_path / "p")
    assert page.said.count("is not in meta.json") == 1 and "5 × " in page.said and "and 2 more" in page.said
    assert "broken.png" in page.said and page.tags.count("img") == 5


def test_of_a_large_project_evenly_spaced_images_are_shown(tmp_path: Path) -> None:
    write_meta(tmp_path / "p", {"car": "any"})
    content = bytes(cv2.imencode(".png", IMAGE)[1])
    for number in range(150):
        write_item(tmp_path / "p", "ds", f"{number:03d}.png", content, size=(HEIGHT, WIDTH))
    page = report(tmp_path / "p")
    assert page.tags.count("img") == SHEET and f"{SHEET} of 150 images, evenly spaced" in page.said
    shown = [int(number) for number in re.findall(r"ds/(\d+)\.png", page.said)]
    assert shown[0] == 0 and shown[-1] == 149
    assert {after - before for before, after in itertools.pairwise(shown)} == {2, 3}


def test_even_noise_makes_a_page_of_a_few_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    assert len(make_thumbnail(noise, [], 240)) < 24_000  # bytes, 72 times in a page


def pixels(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)


@pytest.mark.parametrize(
    "geometry",
    [
        Bitmap((100, 50), np.ones((100, 200), bool)),
        Polygon(np.array([[100, 50], [299, 50], [299, 149], [100, 149]], np.int32)),
    ],
)
def test_a_thumbnail_shows_objects_where_they_are(geometry: Bitmap | Polygon) -> None:
    shown = pixels(make_thumbnail(np.full((200, 400, 3), 90, np.uint8), [(geometry, (255, 0, 0))], 200))
    assert shown.shape == (100, 200, 3)
    inside, outside = shown[30:70, 55:145], shown[:20]
    assert (inside[..., 0] > 130).all() and (inside[..., 1] < 80).all()
    assert (abs(outside - 90) < 12).all()


def test_a_rectangle_is_a_frame() -> None:
    shown = pixels(make_thumbnail(IMAGE, [(Rectangle(10, 10, 29, 29), (255, 255, 255))], WIDTH * 4))
    assert shown[80, 40].min() > 180 and abs(shown[80, 80] - 90).max() < 12


def test_an_object_outside_of_its_image_is_shown_with_what_of_the_image_is_near() -> None:
    for box in (Rectangle(10**9, 10**9, 10**9 + 5, 10**9 + 5), Rectangle(-(10**9), -9, -(10**9) + 1, -9)):
        window = window_around(box, (HEIGHT, WIDTH))
        assert window.left < WIDTH and window.top < HEIGHT and window.right > 0 and window.bottom > 0
        shown = pixels(make_thumbnail(np.zeros_like(IMAGE), [(box, (255, 255, 255))], 100, window))
        assert (shown < 20).all(axis=2).any() and (abs(shown - 128) < 12).all(axis=2).any()


@pytest.mark.parametrize("box", [Rectangle(0, -90, 3999, 2), Rectangle(-90, 0, 2, 3999)])
def test_a_long_object_is_shown_beside_the_less_than_a_pixel_of_its_image(box: Rectangle) -> None:
    image = np.zeros((4000, 4000, 3), np.uint8)
    shown = pixels(make_thumbnail(image, [(box, (255, 255, 255))], 40, box))
    assert max(shown.shape[:2]) == 40 and min(shown.shape[:2]) == 1


def test_a_thin_object_does_not_vanish_in_a_small_picture() -> None:
    pole = Bitmap((500, 100), np.ones((800, 2), bool))
    shown = pixels(make_thumbnail(np.zeros((1000, 1000, 3), np.uint8), [(pole, (255, 0, 0))], 100))
    assert shown[50, 48:53, 0].max() > 100


def test_the_command_writes_the_page_beside_what_it_prints(tmp_path: Path) -> None:
    write_project(tmp_path / "garden", images=2)
    done = run(tmp_path / "garden", "--html", tmp_path / "page.html")
    assert done.exit_code == 0 and "No problems found." in done.stdout
    assert done.stderr.startswith(f"Wrote {tmp_path / 'page.html'} (")
    assert run(tmp_path / "garden", "--html", tmp_path / "page.html", "--json").stdout.startswith("{")
    assert [path.name for path in tmp_path.iterdir()].count("page.html") == 1 and len(
        list(tmp_path.iterdir())
    ) == 2


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    write_project(tmp_path / "garden", images=1)
    assert run(tmp_path / "garden", "--html", tmp_path).exit_code == 2
    (tmp_path / "file").touch()
    assert isinstance(run(tmp_path / "garden", "--html", tmp_path / "file/page.html").exception, RavenError)
    with pytest.raises(InputError):
        write_report(tmp_path / "nowhere", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_project_without_an_image_has_a_page_too(tmp_path: Path) -> None:
    write_meta(tmp_path / "p", {})
    page = report(tmp_path / "p")
    assert "0 images 0 objects 0 classes 1 problem" in page.said and "holds no images" in page.said


def test_holes_and_many_objects_are_drawn(tmp_path: Path) -> None:
    write_meta(tmp_path / "p", {"ring": "any", "dot": "any"})
    ring: dict[str, Any] = polygon_of("ring", [[2, 2], [40, 2], [40, 30]], [[[20, 6], [30, 6], [30, 12]]])
    dots = [bitmap_of("dot", (x, 35), np.ones((3, 4))) for x in range(0, 44, 5)]
    write_item(tmp_path / "p", "ds", "a.png", IMAGE, [ring, *dots])
    page = report(tmp_path / "p")
    assert "9 dot, 1 ring" in page.said
    jpeg = base64.b64decode(page.links[0].partition(",")[2])
    assert pixels(jpeg).shape[1] == 240  # enlarged, so that it can be seen
