"""The pages of runs in a real browser: the table, a run, runs compared."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_user import wait_for, within
from browsing import Dashboard, Start, Tab, answer, drawn, of_chart
from evaluated_run import leave_everything

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of, write_run

ONE, TWO, THREE = "20261121-050000-aaaaaa", "20261121-060000-bbbbbb", "20261121-070000-cccccc"


@pytest.fixture
def runs(raven: Any) -> Path:
    """Three runs: two trainings and one that failed.  Their folder."""
    one = write_run(
        raven.home, ONE, settings={"lr": 0.1, "epochs": 3}, metrics={"val/miou": 0.4, "val/loss": 0.9}
    )
    two = write_run(
        raven.home, TWO, settings={"lr": 0.01, "epochs": 3}, metrics={"val/miou": 0.6, "val/loss": 0.5}
    )
    write_run(
        raven.home,
        THREE,
        status="failed",
        more={"result": {"status": "failed", "error": "The disk is full.", "metrics": {}}},
    )
    for folder, low in ((one, 0.4), (two, 0.6)):
        events_of(folder, {"train/loss": [3.0, 2.0, 1.0], "val/miou": [low - 0.2, low - 0.1, low]})
        (folder / "console.log").write_text("".join(f"line {n} of the log\n" for n in range(5000)))
    return raven.home / "runs"


def listed(page: Any) -> list[str]:
    """The runs in the table, by their ids."""
    texts: list[str] = page.locator(".runs-table tbody td a.strong").all_inner_texts()  # at one moment
    return texts


def test_the_table_is_filtered_and_ordered_by_its_address(
    runs: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go("/runs")
    page.get_by_role("link", name=THREE).wait_for()
    assert listed(page) == [THREE, TWO, ONE]
    page.get_by_label("Filter", exact=True).fill("val/miou>0.3 and lr<=0.1")
    page.keyboard.press("Enter")
    page.get_by_role("columnheader", name="lr").wait_for()
    assert listed(page) == [TWO, ONE]
    page.get_by_role("link", name="lr", exact=True).click()
    page.locator("th[aria-sort=descending]").wait_for()
    assert listed(page) == [ONE, TWO]
    assert "where=val" in page.url and "sort=lr" in page.url
    page.goto(f"{dashboard.origin}/runs?where=val/mioo>0.3")
    page.get_by_role("alert").wait_for()
    assert "did you mean val/miou" in page.get_by_role("alert").inner_text()


def test_columns_are_chosen_ordered_pinned_and_remembered(
    runs: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard, viewport={"width": 700, "height": 900}).go("/runs")
    page.get_by_role("link", name=THREE).wait_for()
    page.get_by_role("button", name="Columns").click()
    for name in ("plugin", "dataset", "tags"):
        page.get_by_role("button", name=f"Remove {name}").click()
    for name in ("epochs", "val/loss", "lr"):
        page.get_by_label("Add a column").fill(name)
        page.get_by_role("option", name=name, exact=True).click()
    page.get_by_role("button", name="Pin lr").click()
    page.get_by_role("button", name="Move val/loss up").click()
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**columns=*")
    heads = page.locator(".runs-table th .sort")
    page.get_by_role("link", name=THREE).wait_for()
    expected = ["Run", "lr", "Status", "Started", "Score", "val/loss", "epochs"]
    assert heads.all_inner_texts() == expected
    assert page.get_by_role("row", name=TWO).locator("td").nth(2).inner_text() == "0.01"
    page.locator(".scroll-x").evaluate("(box) => (box.scrollLeft = 10000)")
    run, lr, last = (heads.nth(n).bounding_box() for n in (0, 1, 6))
    assert 0 <= run["x"] < lr["x"] < last["x"] < 700 and lr["x"] >= run["x"] + run["width"]
    page.goto(f"{dashboard.origin}/runs")  # without them in the address: this browser remembers
    page.get_by_role("link", name=THREE).wait_for()
    assert heads.all_inner_texts() == expected
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("button", name="Usual columns").click()
    page.get_by_role("columnheader", name="Dataset").wait_for()
    assert "columns" not in page.url


def test_runs_are_searched_grouped_renamed_and_archived(
    runs: Path, raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go("/runs")
    page.get_by_label(f"Select {ONE}").check()
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("the <b>first</b>")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    page.get_by_role("link", name="the <b>first</b>").wait_for()
    page.get_by_label("Search").fill("FIRST")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=FIRST")
    wait_for(lambda: listed(page) == ["the <b>first</b>"])
    page.goto(f"{dashboard.origin}/runs")
    page.get_by_label("Group by").select_option("lr")
    page.wait_for_url("**group=lr")
    page.get_by_role("columnheader", name="val/miou").wait_for()
    cells = page.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells == ["0.01", "1 run", "0.6000"]
    page.goto(f"{dashboard.origin}/runs?group=epochs")
    groups = page.get_by_role("row", name="2 runs")
    groups.get_by_role("link").focus()
    page.wait_for_timeout(1200)  # the page has looked again, and left alone what is as it was
    assert page.evaluate("document.activeElement.textContent") == "2 runs"
    assert groups.locator("td").all_inner_texts() == ["3", "2 runs", "0.5000 ± 0.1414"]
    groups.get_by_role("link").click()
    page.wait_for_url("**/runs/compare?ids=*")
    page.goto(f"{dashboard.origin}/runs")
    page.get_by_label(f"Select {THREE}").check()
    page.get_by_role("button", name="Archive").click()
    wait_for(lambda: listed(page) == [TWO, "the <b>first</b>"])
    assert THREE not in raven.ok("runs", "list")
    page.goto(f"{dashboard.origin}/runs")
    page.get_by_label("Archived").select_option("Archived")
    page.wait_for_url("**archived=1")
    page.get_by_label(f"Select {THREE}").check()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("No runs match.").wait_for()
    assert THREE in raven.ok("runs", "list")


def test_runs_appear_change_and_go_while_one_looks(
    runs: Path, raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go("/runs")
    page.get_by_role("link", name=THREE).wait_for()
    with within(3):
        write_run(raven.home, "20261121-080000-dddddd", metrics={"val/miou": 0.9})
        page.get_by_role("link", name="20261121-080000-dddddd").wait_for()
    page.get_by_label(f"Select {ONE}").check()
    page.get_by_label(f"Select {THREE}").check()
    page.get_by_text("2 runs selected").wait_for()
    page.get_by_role("button", name="Tag").click()
    page.get_by_label("Tags, separated by spaces").fill("good night")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("link", name="night").first.wait_for()
    assert json.loads((runs / ONE / "notes.json").read_text())["tags"] == ["good", "night"]
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    wait_for(lambda: not (runs / ONE).exists() and not (runs / THREE).exists())
    wait_for(lambda: listed(page) == ["20261121-080000-dddddd", TWO])


def test_chosen_runs_are_compared_and_the_address_can_be_shared(
    runs: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go("/runs")
    page.get_by_label(f"Select {ONE}").check()
    page.get_by_label(f"Select {TWO}").check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/runs/compare?ids=*")
    drawn(page)
    assert page.get_by_role("cell", name="lr", exact=True).count() == 1
    assert page.get_by_role("cell", name="epochs", exact=True).count() == 0  # they agree about it
    assert page.locator(".table .strong", has_text="0.6000").count() == 1  # the better score
    names = of_chart(page, "(chart) => chart.getOption().series.map((one) => one.name)")
    assert {ONE, TWO} == set(names)


def test_runs_are_drawn_by_what_differs_and_chosen_in_the_drawing(
    runs: Path, raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    write_run(raven.home, "20261121-080000-dddddd", settings={"lr": 1e-5, "model": "B"}, metrics={})
    write_run(
        raven.home,
        "20261121-090000-eeeeee",
        settings={"lr": 1e-4, "model": "<b>B</b>"},
        metrics={"val/miou": 0.9},
        more={"name": "the best"},
    )
    page = browse(dashboard).go("/runs?text=learner")
    page.get_by_role("link", name="Plot").click()
    page.wait_for_url("**/runs/plot?text=learner")
    axes = of_chart(
        page, "(c) => c.getOption().parallelAxis.map((axis) => [axis.name, axis.type, axis.data ?? null])"
    )
    assert axes == [
        ["epochs", "category", ["3"]],
        ["lr", "log", None],
        ["model", "category", ["<b>B</b>"]],
        ["val/miou", "value", None],
    ]
    lines = "(c) => c.getOption().series[0].data"
    best = [None, 1e-4, "<b>B</b>", 0.9]
    assert of_chart(page, lines) == [best, ["3", 0.01, None, 0.6], ["3", 0.1, None, 0.4]]
    with within(3):  # a run that ends while one looks
        write_run(raven.home, "20261121-100000-ffffff", settings={"lr": 1.0}, metrics={"val/miou": 0.1})
        wait_for(lambda: len(of_chart(page, lines)) == 4)
    page.get_by_label("Across").select_option("model")
    page.wait_for_url("**x=model*")
    drawn(page)
    points = of_chart(page, lines, 1)
    assert ["<b>B</b>", 0.9, "the best"] in points
    page.get_by_label("Filter", exact=True).fill("lr<=0.01")
    page.keyboard.press("Enter")
    page.wait_for_url("**where=lr*")
    drawn(page)
    assert of_chart(page, lines, 1) == [["<b>B</b>", 0.9, "the best"], [None, 0.6, TWO]]
    place = of_chart(page, "(c) => c.convertToPixel({ gridIndex: 0 }, ['<b>B</b>', 0.9])", 1)
    page.locator(".nicegui-echart").nth(1).click(position={"x": place[0], "y": place[1]})
    page.wait_for_url("**/runs/20261121-090000-eeeeee")


def test_a_runs_page_shows_why_it_failed_and_a_wrong_address_says_so(
    runs: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{THREE}")
    page.get_by_text("The disk is full.").wait_for()
    page.goto(f"{dashboard.origin}/runs/20261121-999999-zzzzzz")
    page.get_by_text("This run does not exist.").wait_for()
    page.goto(f"{dashboard.origin}/runs/{ONE}?fold=7")
    page.get_by_text("This fold does not exist.").wait_for()


def test_the_console_shows_its_end_and_more_on_request(
    runs: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{ONE}")
    page.get_by_text("line 4999 of the log").wait_for()
    assert page.get_by_text("line 100 of the log").count() == 0
    page.get_by_role("button", name="Load earlier output").click()
    page.get_by_text("line 0 of the log").wait_for()
    text = page.get_by_role("log").inner_text()
    assert [int(line.split()[1]) for line in text.splitlines() if line.startswith("line ")] == list(
        range(5000)
    )


def test_tags_and_the_note_are_edited_where_they_stand(
    runs: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{ONE}")
    page.get_by_label("Add a tag").fill("camera-2")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove the tag camera-2").wait_for()
    page.get_by_label("Note", exact=True).fill("the lens was dirty")
    page.get_by_text("Saved", exact=True).wait_for()
    wait_for(lambda: json.loads((runs / ONE / "notes.json").read_text())["note"] == "the lens was dirty")
    page.get_by_role("button", name="Remove the tag camera-2").click()
    wait_for(lambda: json.loads((runs / ONE / "notes.json").read_text())["tags"] == [])
    page.get_by_label("Add a tag").fill("a(tag)")
    page.keyboard.press("Enter")
    page.get_by_text("a tag is a word of letters").wait_for()


@pytest.fixture
def evaluated(runs: Path) -> Path:
    """A k-fold run with all that runs leave.  Its folder."""
    leave_everything(runs / TWO)
    return runs / TWO


def test_a_k_fold_runs_page_shows_all_that_it_left(
    evaluated: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{evaluated.name}")
    page.get_by_role("heading", name="Files").wait_for()
    assert page.get_by_role("img", name="Spread over the folds").count() == 1
    assert page.get_by_role("cell", name="0.5800").count() == 1  # out of fold
    worst = page.locator("h3", has_text="Worst images").locator("xpath=following::table[1]")
    assert worst.locator("tbody tr").first.inner_text().startswith("a/2.png")
    assert page.locator(".confusion td").all_inner_texts()[-4:] == ["90", "10", "5", "95"]
    picture = page.get_by_alt_text("val/street")
    assert picture.get_attribute("src").endswith("epoch_002.png")
    page.get_by_role("slider", name="Moment").focus()
    page.keyboard.press("ArrowLeft")
    page.locator('img[src$="epoch_001.png"]').wait_for()
    page.get_by_text("Uncommitted changes: core").click()
    page.get_by_text("+new line").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="model-state.tar").click()
    assert Path(download.value.path()).read_bytes() == b"weights"
    page.get_by_role("link", name="fold 1", exact=True).click()
    page.get_by_role("heading", name=f"{evaluated.name}, fold 1").wait_for()
    drawn(page)


def test_after_a_training_its_model_is_tried_and_everything_taken_along(
    evaluated: Path, dashboard: Dashboard, browse: Callable[..., Tab], tmp_path: Path
) -> None:
    (evaluated / "link.txt").symlink_to(tmp_path)
    titles = [f"class {number}" for number in range(30)]
    matrix = [[90 if one == other else one % 2 for one in range(30)] for other in range(30)]
    matrix[3][4] = 60
    found = {"v": 1, "classes": titles, "model_size": {"confusion": matrix}}
    (evaluated / "evaluation.json").write_text(json.dumps(found))
    image = {"event_type": "EventType.IMAGE", "name": "val/street", "file": "previews/val/street/002.png"}
    (evaluated / "previews/val/street/002.png").write_bytes(
        (evaluated / "previews/val/street/epoch_002.png").read_bytes()
    )
    for old in (evaluated / "previews/val/street").glob("epoch_*"):
        old.unlink()
    with (evaluated / "events.jsonl").open("a") as file:
        file.write(json.dumps({**image, "epoch": 2, "attempt": 1}) + "\n")
    page = browse(dashboard).go(f"/runs/{evaluated.name}")
    page.get_by_role("heading", name="What now").wait_for()
    assert page.locator(".moment").inner_text() == "epoch 2"  # as in the wizard, though the run has ended

    page.get_by_role("button", name="Enlarge val/street").click()
    page.get_by_role("dialog").get_by_text("val/street, epoch 2").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Enlarge worst 1").click()
    page.get_by_role("dialog").get_by_role("img", name="worst 1").wait_for()
    page.keyboard.press("Escape")

    first = page.locator("h3", has_text="Most confused").locator("xpath=following::table[1]//tbody/tr[1]")
    assert first.inner_text().split("\t")[:2] == ["class 3", "class 4"]
    assert page.locator(".confusion tbody tr").count() == 30

    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    archive = zipfile.ZipFile(download.value.path())
    assert archive.testzip() is None and f"{TWO}/link.txt" not in archive.namelist()
    assert {f"{TWO}/model-state.tar", f"{TWO}/run.json", f"{TWO}/folds/1/run.json"} <= set(archive.namelist())
    assert archive.read(f"{TWO}/model-state.tar") == b"weights"
    again = page.get_by_role("link", name="Train again with…").get_attribute("href")
    assert again == f"/train?from={TWO}"
    page.get_by_role("button", name="Try the model").click()  # this file is no model, and the page says so
    page.get_by_role("button", name="Dismiss").wait_for()
    page.get_by_text("model-state.tar").first.wait_for()


def test_files_are_served_from_the_runs_folder_alone(
    runs: Path, raven: Any, dashboard: Dashboard, tmp_path: Path
) -> None:
    bearer = f"Bearer {dashboard.token}"
    (tmp_path / "secret.txt").write_text("the secret")
    (runs / ONE / "link.txt").symlink_to(tmp_path / "secret.txt")
    (runs / ONE / "folder").symlink_to(tmp_path)
    (runs / ONE / "page.html").write_text("<script>alert(1)</script>")
    (raven.home / "config.yaml").write_text("{}")

    def asked(path: str) -> tuple[int, str]:
        return answer(f"{dashboard.origin}/runs/{ONE}/files/{path}", Authorization=bearer)

    assert asked("console.log")[0] == 200
    outside = [
        "link.txt",
        "folder/secret.txt",
        "../../config.yaml",
        "..%2f..%2fconfig.yaml",
        "%2e%2e/%2e%2e/config.yaml",
    ]
    for path in [*outside, str(tmp_path / "secret.txt"), "nothing", "", ".", "a%00b", "x" * 5000]:
        status, body = asked(path)
        assert status in (404, 405), path
        assert "the secret" not in body
    import urllib.request

    request = urllib.request.Request(
        f"{dashboard.origin}/runs/{ONE}/files/page.html", headers={"Authorization": bearer}
    )
    with urllib.request.urlopen(request) as response:
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.headers["content-type"] == "application/octet-stream"
    for run_id in (ONE[:12], "..", "%2e%2e"):  # only whole ids
        assert answer(f"{dashboard.origin}/runs/{run_id}/files/console.log", Authorization=bearer)[0] == 404


@pytest.mark.parametrize(
    "path", ["/runs", f"/runs/{TWO}", f"/runs/compare?ids={ONE},{TWO}", "/models", "/queues"]
)
def test_a_phone_needs_no_scrolling_sideways(
    evaluated: Path, dashboard: Dashboard, browse: Callable[..., Tab], path: str
) -> None:
    tab = browse(dashboard, viewport={"width": 360, "height": 700})
    page = tab.go("/runs")
    page.goto(f"{dashboard.origin}{path}")
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_timeout(800)
    wide = page.evaluate(
        "[...document.querySelectorAll('.content *')]"
        ".filter((e) => !e.closest('.scroll-x, .code') && e.getBoundingClientRect().right > innerWidth)"
        ".map((e) => e.outerHTML.slice(0, 120)).slice(0, 3)"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), wide


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("run.json", '{"id": "x", "attempts": 3, "process": {}}', "is 3, not a list"),
        ("events.jsonl", None, "events.jsonl"),
        ("heartbeat.json", '{"state": "running", "at": "soon"}', "not a number"),
    ],
)
def test_the_page_of_a_broken_run_says_why_and_the_table_shows_all_runs(
    home: Path, start: Start, file: str, content: str | None, said: str
) -> None:
    for name in ("20260101-000000-aaaaaa", "20260102-000000-bbbbbb"):
        folder = home / "runs" / name
        folder.mkdir(parents=True)
        record = {"id": name, "attempts": [], "process": {"host": "elsewhere"}}
        (folder / "run.json").write_text(json.dumps(record))
    broken = folder / file
    broken.mkdir() if content is None else broken.write_text(content)
    dashboard = start("--no-token")
    page, table = answer(dashboard.at(f"/runs/{folder.name}")), answer(dashboard.at("/runs"))
    assert page[0] == table[0] == 200
    assert "broken" in page[1] and said in page[1]
    assert "20260101-000000-aaaaaa" in table[1] and folder.name in table[1]
