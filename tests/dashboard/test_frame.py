"""The frame around every page: who is let in, what it looks like to a keyboard, a phone, a night."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from browsing import Dashboard, Start, Tab, answer

from ravenml.dashboard.app import is_worth_printing


def test_only_the_token_its_own_name_and_its_own_pages_are_let_in(dashboard: Dashboard) -> None:
    train = f"{dashboard.origin}/train"
    bearer = f"Bearer {dashboard.token}"
    assert answer(train)[0] == 401
    assert answer(train, Authorization="Bearer wrong-and-long-enough")[0] == 401
    assert answer(train, Authorization=bearer, Host="evil.example")[0] == 403
    assert answer(train, Authorization=bearer, Origin="http://evil.example")[0] == 403
    assert answer(f"{dashboard.origin}/_nicegui_ws/socket.io/?EIO=4&transport=polling")[0] == 401
    status, page = answer(train, Authorization=bearer)
    assert status == 200 and "Train · ravenML" in page


def test_the_token_can_be_given_and_left_out(start: Start) -> None:
    assert start(RAVENML_TOKEN="a-token-of-my-own-choice").token == "a-token-of-my-own-choice"
    assert answer(f"{start('--no-token').origin}/train")[0] == 200


def test_a_page_asks_for_the_token_and_a_restart_locks_nobody_out(
    start: Start, browse: Callable[..., Tab]
) -> None:
    one = start()
    tab = browse(one)
    page = tab.page
    page.goto(f"{one.origin}/runs?where=status%3Dfailed")
    page.get_by_role("heading", name="Enter the access token").wait_for()
    assert page.locator(":focus").get_attribute("id") == "token"
    page.keyboard.type("not the token, but long")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("This is not the token").wait_for()
    page.keyboard.type(one.token)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Runs").wait_for()
    assert page.url == f"{one.origin}/runs?where=status%3Dfailed"
    assert not [address for address in tab.requests if one.token in address]
    one.stop()
    again = start("--port", one.origin.rpartition(":")[2])
    assert again.token == one.token
    page.goto(f"{one.origin}/models")  # with the cookie of before
    page.get_by_role("heading", name="Models", exact=True).wait_for()


def test_nothing_is_loaded_from_elsewhere(dashboard: Dashboard, browse: Callable[..., Tab]) -> None:
    tab = browse(dashboard)
    tab.go("/")
    tab.page.get_by_role("heading", name="Train", exact=True).wait_for()
    tab.page.wait_for_load_state("networkidle")
    assert tab.page.url.endswith("/train") and "token" not in tab.page.url
    assert [url for url in tab.requests if not url.startswith((dashboard.origin, "data:"))] == []


def test_an_address_that_leads_nowhere_says_so_and_leads_back(
    dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    assert answer(dashboard.at("/nowhere/here"), Authorization=f"Bearer {dashboard.token}")[0] == 404
    page = browse(dashboard).go("/nowhere/<b>at all</b>")
    page.get_by_text("This page does not exist.").wait_for()
    assert page.locator("main b, .content b").count() == 0
    page.get_by_role("link", name="Go to the start page").click()
    page.get_by_role("heading", name="Train", exact=True).wait_for()


def test_a_keyboard_skips_to_the_content(dashboard: Dashboard, browse: Callable[..., Tab]) -> None:
    page = browse(dashboard).go("/train")
    page.get_by_role("heading", name="Train", exact=True).wait_for()
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    assert page.locator(":focus").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("class") == "content"


def test_the_theme_is_remembered_and_the_night_is_dark(
    dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard, color_scheme="dark").go("/train")
    dark = page.locator("body.body--dark")
    dark.wait_for()  # auto
    page.get_by_role("button", name="Theme: auto").click()
    page.locator("body.body--light").wait_for()
    page.reload()
    page.get_by_role("button", name="Theme: light").wait_for()
    page.locator("body.body--light").wait_for()


@pytest.mark.parametrize("path", ["/train"])
def test_a_phone_needs_no_scrolling_sideways(
    dashboard: Dashboard, browse: Callable[..., Tab], path: str
) -> None:
    page = browse(dashboard, viewport={"width": 360, "height": 700}).go(path)
    page.get_by_role("main").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_without_the_extra_one_sentence_says_so(raven, site) -> None:  # type: ignore[no-untyped-def]
    (site / "nicegui.py").write_text("raise ImportError('not there')")
    done = raven("dashboard", "--no-browser", "--port", "0", fork=False)
    assert done.returncode == 1 and "[dashboard]'\n" in done.stderr
    assert done.stdout == ""


def test_a_page_that_was_left_while_it_was_filled_is_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("a-log")
    log.addFilter(is_worth_printing)
    for said in ("The client this element belongs to has been deleted.", "a fault"):
        try:
            raise RuntimeError(said)
        except RuntimeError as error:
            log.exception(error)
    assert [record.getMessage() for record in caplog.records] == ["a fault"]
