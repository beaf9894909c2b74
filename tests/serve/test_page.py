"""The page of `raven serve` in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_user import PATIENCE

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from dropping import drop
from serving import CLASSES, Spots, Tints, picture, serving

from ravenml.serve.access import Access

SCRIPT = CLASSES[2].title
PIXEL = """([x, y]) => {
  const canvas = document.getElementById("canvas");
  return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data).slice(0, 3);
}"""


@pytest.fixture
def server() -> Iterator[Access]:
    with serving(Tints()) as access:
        yield access


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page in a browser of its own; errors of scripts, and requests to elsewhere, fail the test."""
    context = chromium.new_context(viewport={"width": 1200, "height": 850})
    context.set_default_timeout(PATIENCE * 1000)
    made = context.new_page()
    problems: list[str] = []
    hosts: set[str] = set()
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    yield made
    context.close()
    assert not problems
    assert hosts <= {"127.0.0.1", "localhost", "", "elsewhere.example"}, hosts


def status(page: Any, text: str) -> None:
    """Wait until the status line says ``text``."""
    page.wait_for_function("text => document.getElementById('status').textContent.includes(text)", arg=text)


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus, as somebody without a mouse does."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} is not reached by Tab")


def near(pixel: list[int], color: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(pixel) - color).max() <= 3)


def test_an_image_that_is_dropped_is_shown_with_what_was_found(server: Access, page: Any) -> None:
    page.goto(server.address)
    assert page.url == f"http://127.0.0.1:{server.port}/"  # the token has vanished
    page.wait_for_selector("text=tiny")
    drop(page, picture())
    status(page, "half.png: 30×20, 1 object")
    assert near(page.evaluate(PIXEL, [3, 3]), (230, 22, 22))  # 45 % of the image, 55 % of the class's colour
    assert near(page.evaluate(PIXEL, [20, 3]), (0, 0, 0))
    page.click("text=Mask")
    assert near(page.evaluate(PIXEL, [3, 3]), (255, 17, 17))
    page.click("[data-view=image]")
    assert near(page.evaluate(PIXEL, [3, 3]), (200, 30, 30))
    shares = page.locator("#classes .share").all_text_contents()
    assert shares == ["50 %", "–"]


def test_class_names_are_text_and_never_markup(server: Access, page: Any) -> None:
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    assert page.locator("#classes .title").all_text_contents() == ["red", SCRIPT]
    drop(page, picture((0, 200, 0)), name="<img src=x onerror='window.hacked=1'>.png")
    status(page, "<img src=x")
    assert page.evaluate("window.hacked") is None and page.locator("#status img").count() == 0


def test_a_class_can_be_hidden_and_a_threshold_set(server: Access, page: Any) -> None:
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    drop(page, picture())
    status(page, "1 object")
    page.locator("#classes input").first.uncheck()
    assert near(page.evaluate(PIXEL, [3, 3]), (200, 30, 30))
    page.locator("#threshold").fill("90")
    page.locator("#threshold").dispatch_event("change")
    status(page, "0 objects")


def test_boxes_are_drawn_with_their_score(page: Any) -> None:
    with serving(Spots()) as server:
        page.goto(server.address)
        page.wait_for_selector("#classes li")
        drop(page, picture((255, 255, 255), (200, 300)))
        status(page, "1 object")
        assert near(page.evaluate(PIXEL, [0, 100]), (255, 255, 0))
        assert page.locator("#classes .share").all_text_contents() == ["1×"]


def test_what_is_wrong_is_told_and_the_page_goes_on(server: Access, page: Any) -> None:
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    drop(page, b"hello", "a.txt", "text/plain")
    status(page, "The body is not a PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, AVIF, HEIC or PNM image")
    drop(page, picture())
    status(page, "1 object")


def test_everything_is_reached_by_the_keyboard(server: Access, page: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    # From here on the browser asks us for files; told only at the key, it may already have asked nobody.
    page.on("filechooser", lambda chooser: None)
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    tab_to(page, "#choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "a.png")
    status(page, "a.png: 30×20")
    tab_to(page, "[data-view=mask]")
    page.keyboard.press("Enter")
    page.locator("[data-view=mask][aria-pressed=true]").wait_for()


def test_results_are_saved(server: Access, page: Any) -> None:
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    drop(page, picture())
    status(page, "1 object")
    with page.expect_download() as download:
        page.click("[data-save=annotation]")
    assert download.value.suggested_filename == "half.png.json"
    assert json.loads(Path(download.value.path()).read_text())["objects"][0]["classTitle"] == "red"
    with page.expect_download() as download:
        page.click("[data-save=mask]")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_on_a_phone_nothing_is_wider_than_the_screen(server: Access, chromium: Any) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark")
    page = context.new_page()
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    drop(page, picture((200, 30, 30), (400, 1200)))
    status(page, "1 object")
    for place in ("", "docs"):
        page.goto(f"http://127.0.0.1:{server.port}/{place}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    context.close()


def test_the_documentation_shows_every_address(server: Access, page: Any) -> None:
    page.goto(server.address)
    page.click("text=API")
    page.wait_for_selector("text=POST/predict")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the token").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == server.token
    assert server.token not in page.content()
    page.get_by_role("button", name="Show").click()
    page.locator("#token", has_text=server.token).wait_for()
    for text in ("/healthz", "/metrics", "threshold", "Retry-After"):
        assert page.locator(f"text={text}").count()


def test_a_link_on_another_site_opens_the_page_of_who_is_logged_in(server: Access, page: Any) -> None:
    def link(route: Any) -> None:
        target = f"http://127.0.0.1:{server.port}/"
        route.fulfill(
            content_type="text/html", body=f'<a href="{target}">model</a><iframe src="{target}"></iframe>'
        )

    page.route("http://elsewhere.example/**", link)
    page.goto("http://elsewhere.example/")
    page.click("text=model")  # without the cookie
    page.wait_for_selector("text=A token is needed")
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    page.goto("http://elsewhere.example/")
    page.click("text=model")  # a strict cookie is not sent at first
    page.wait_for_selector("#classes li")


def test_another_site_s_page_can_neither_ask_nor_frame_the_server(server: Access, page: Any) -> None:
    page.route(
        "http://elsewhere.example/**", lambda route: route.fulfill(content_type="text/html", body="<p>evil")
    )
    page.goto(server.address)
    page.wait_for_selector("#classes li")
    page.goto("http://elsewhere.example/")
    own = f"http://127.0.0.1:{server.port}"
    asked = page.evaluate(
        "address => fetch(address, {credentials: 'include'}).then(() => 'read', () => 'refused')",
        f"{own}/model",
    )
    assert asked == "refused"
    page.evaluate(
        "address => { const frame = document.createElement('iframe'); frame.src = address; "
        "document.body.append(frame); return new Promise((done) => { frame.onload = done; }); }",
        own,
    )
    assert not [frame for frame in page.frames[1:] if frame.query_selector("#choose")]
