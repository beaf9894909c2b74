"""The wizard in a real browser, with a plugin that nobody wrote a page for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven, wait_for, within
from browsing import Browse, Dashboard, Start, answer
from painter import write_painter
from simple_project import write_simple_project

from ravenml.dashboard.train.draft import Draft, SplitOptions, change_draft, new_draft, put, read_draft

EVIL = "<script>document.title = 'taken over'</script>"


@pytest.fixture
def painted(site: Path, home: Path) -> Path:
    """The plugin ``painter``, and a known project ``meadows`` whose class, tag and dataset are markup."""
    write_painter(site)
    root = write_simple_project(home / "datasets" / "meadows", images=12, val=3)
    for file in [root / "meta.json", *(root / "ds" / "ann").glob("*.json")]:
        file.write_text(file.read_text().replace('"thing"', json.dumps("thing <img src=x onerror=alert(1)>")))
    return root


@pytest.fixture
def ready(painted: Path) -> Draft:
    """A draft of which every step is done."""
    return new_draft(dataset="meadows", plugin="painter", split=SplitOptions(way="tags"), title="ready")


def onward(page: Any, step: str) -> None:
    """Press the button that leads to the next step."""
    page.get_by_role("button", name=f"Next: {step}").click()
    page.locator(".rail-step[aria-current='step']").filter(has_text=step).wait_for()


def test_two_browsers_see_what_the_other_chose(dashboard: Dashboard, browse: Browse, ready: Draft) -> None:
    one, other = (browse(dashboard).go(f"/train/{ready.id}") for _ in range(2))
    one.get_by_role("button", name=re.compile("Hyperparameters")).click()
    one.get_by_label("Epochs").fill("7")
    with within(5):
        other.get_by_text("7 epochs").wait_for()
    other.get_by_label("Draft title").fill("by the other")
    wait_for(lambda: read_draft(ready.id).title == "by the other")
    assert read_draft(ready.id).settings == {"epochs": 7}
    one.reload()
    one.get_by_label("Epochs").wait_for()  # the step, too, is found again
    assert one.get_by_label("Epochs").input_value() == "7"


def test_what_is_typed_while_a_choice_is_still_being_looked_at_stays(
    start: Start, browse: Browse, ready: Draft
) -> None:
    page = browse(start(PAINTER_THINKS="2")).go(f"/train/{ready.id}?step=model")
    page.get_by_role("radio", name="flat").click()
    page.get_by_role("button", name="Next: Hyperparameters").click()
    page.get_by_text("No settings").or_(page.get_by_label("Canvas width")).wait_for()
    with within(0.5):
        page.get_by_label("Canvas width").fill("48")
    wait_for(lambda: read_draft(ready.id).settings == {"brush": "flat", "canvas": {"width": 48}})
    page.wait_for_timeout(1000)
    assert page.get_by_label("Canvas width").input_value() == "48"


def test_title_and_note_of_a_training_are_those_of_its_run(
    dashboard: Dashboard, browse: Browse, raven: Raven, ready: Draft
) -> None:
    change_draft(ready.id, lambda draft: draft.settings.update(words="pack"))
    page = browse(dashboard).go(f"/train/{ready.id}?step=settings")
    page.get_by_label("Draft title").fill("wet meadows")
    page.get_by_label("Note", exact=True).fill("after the flood")
    wait_for(lambda: (kept := read_draft(ready.id)).title == "wet meadows" and kept.comments)
    onward(page, "Train")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Completed", exact=True).wait_for()
    (run,) = raven.runs()
    page.get_by_role("link", name=run.name).click()
    page.get_by_role("heading", name="wet meadows", level=1).wait_for()
    assert page.get_by_label("Note", exact=True).input_value() == "after the flood"
    for place in (
        *("runs", "runs?where=note~flood", "runs?where=name~wet", f"runs/compare?ids={run.name}"),
        "models",
    ):
        page.goto(f"{dashboard.origin}/{place}")
        page.get_by_role("link", name="wet meadows", exact=True).wait_for()


def test_what_the_command_would_refuse_is_shown_in_its_step_before_and_after_the_start(
    dashboard: Dashboard, browse: Browse, raven: Raven, ready: Draft, home: Path
) -> None:
    style = home / "datasets" / "style.txt"
    style.write_text("no style")
    page = browse(dashboard).go(f"/train/{ready.id}?step=augment")
    page.get_by_label("Or your own file").fill(str(style))
    page.get_by_label("Or your own file").press("Enter")
    page.get_by_text(f"Changes: {style} is no style; write one.").wait_for()
    assert page.get_by_role("button", name="Next: Model").is_disabled()
    by_hand = raven("train", "-c", str(home / "drafts" / f"{ready.id}.yml"), "painter", "train")
    assert by_hand.stderr.strip() == f"Error: changes: {style} is no style; write one." and not raven.runs()

    style.write_text("a style")
    page.reload()
    for step in ("Model", "Hyperparameters", "Train"):
        onward(page, step)
    style.write_text("no style")  # changed after it was chosen
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("alert").get_by_text("no style; write one.").wait_for()
    assert not raven.runs()

    style.write_text("a style")
    change_draft(ready.id, lambda draft: draft.settings.update(words="too many"))  # the plugin alone minds
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Could not start").wait_for()
    page.get_by_text("words: too many of them; use fewer.", exact=True).wait_for()
    assert page.get_by_role("link", name=read_draft(ready.id).runs[0]).count() == 0 and not raven.runs()
    page.get_by_role("button", name="Back to Hyperparameters").click()
    page.get_by_label("Epochs").wait_for()


def test_a_typed_folder_a_small_share_classes_without_objects_and_a_size_in_proportion(
    start: Start, browse: Browse, painted: Path, site: Path, home: Path
) -> None:
    meta = json.loads((painted / "meta.json").read_text())
    meta["classes"] += [
        {"title": title, "shape": shape, "color": "#0000FF"}
        for title, shape in (("an empty one", "polygon"), ("spot", "point"))
    ]
    (painted / "meta.json").write_text(json.dumps(meta))
    about = next(site.glob("ravenml_painter*.dist-info/METADATA"))
    about.write_text(about.read_text().replace("Version:", "Summary: Paints meadows.\nVersion:"))
    draft = new_draft(plugin="painter", split=SplitOptions(way="tags"))
    tab = browse(start(HOME=str(home)))
    page = tab.go(f"/train/{draft.id}")
    page.get_by_role("radio", name="painter").get_by_text("Paints meadows · ravenml_painter").wait_for()
    page.get_by_label("Or a project's folder").fill("~/datasets/meadows")
    page.get_by_label("Or a project's folder").press("Enter")
    page.get_by_text("12", exact=True).first.wait_for()
    assert read_draft(draft.id).dataset == str(painted.resolve())

    onward(page, "Split")
    page.get_by_role("radio", name="Random").click()
    page.get_by_label("Validation share").fill("5")
    page.get_by_text("5 % of 12 images is less than one, so 1 image validates.").wait_for()

    onward(page, "Classes")
    page.get_by_text("a point cannot become a mask").wait_for()
    page.get_by_text("no objects", exact=True).wait_for()
    empty, thing = (page.get_by_role("checkbox", name=f"Train on {title}") for title in ("an empty", "thing"))
    assert empty.get_attribute("aria-checked") == "false" and thing.get_attribute("aria-checked") == "true"
    rows = page.locator("tbody tr")
    assert "100.00 %" not in rows.last.inner_text()
    thing.click()
    rows.last.get_by_text("100.00 %").wait_for()
    thing.click()
    rows.last.get_by_text("100.00 %").wait_for(state="detached")
    page.get_by_role("button", name="Class", exact=True).click()
    page.locator("tbody tr:first-child").get_by_text("an empty one").wait_for()
    page.get_by_role("button", name="Objects", exact=True).click()
    page.locator("tbody tr:first-child").get_by_text("thing").wait_for()
    assert page.locator("th[aria-sort='descending']").inner_text().startswith("Objects")

    for step in ("Augmentations", "Model"):
        onward(page, step)
    page.get_by_text("18,300 parameters · hard").wait_for()
    onward(page, "Hyperparameters")
    page.get_by_role("checkbox", name="Keep proportions").click()
    page.get_by_label("Frame width").fill("128")
    page.wait_for_function("() => document.querySelector('[aria-label=\"Frame height\"]').value === '96'")
    page.get_by_label("Frame height").fill("36")
    page.wait_for_function("() => document.querySelector('[aria-label=\"Frame width\"]').value === '48'")
    wait_for(lambda: read_draft(draft.id).settings["frame"] == {"width": 48, "height": 36})


def test_the_preview_of_augmentations_draws_masks_enlarges_and_can_be_copied(
    dashboard: Dashboard, browse: Browse, ready: Draft
) -> None:
    change_draft(ready.id, lambda draft: draft.settings.update(changes="night"))
    page = browse(dashboard).go(f"/train/{ready.id}?step=augment")
    orange = """(number) => {
      const image = document.querySelectorAll(".augmented img")[number];
      if (!image?.complete || !image.naturalWidth) return null;
      const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 24 });
      canvas.getContext("2d").drawImage(image, 0, 0, 32, 24);
      const data = canvas.getContext("2d").getImageData(0, 0, 32, 24).data, found = [];
      for (let at = 0; at < data.length; at += 4) if (data[at] - data[at + 2] > 50) found.push((at / 4) % 32);
      return { least: Math.min(...found), most: Math.max(...found), count: found.length };
    }"""  # where the class's colour lies, from left to right
    original, changed = (page.wait_for_function(orange, arg=number).json_value() for number in (0, 1))
    assert 80 < original["count"] < 130 and 80 < changed["count"] < 130
    assert abs(original["least"] - (31 - changed["most"])) <= 1  # the mask is mirrored as the image is
    page.get_by_role("switch", name="Masks").click()
    page.wait_for_function(f"() => ({orange})(0)?.count === 0 && ({orange})(1)?.count === 0")
    page.get_by_role("button", name=re.compile("Enlarge .* augmented, 1")).first.click()
    page.get_by_role("dialog").get_by_role("img", name=re.compile("augmented, 1")).wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Python of the pipeline").click()
    page.get_by_text("darker()").wait_for()
    page.get_by_role("button", name="Copy", exact=True).wait_for()


@pytest.mark.slow
def test_a_dashboard_that_is_killed_stops_nothing_and_the_next_one_goes_on(
    start: Start, browse: Browse, raven: Raven, ready: Draft
) -> None:
    # three minutes: it must not end by itself while a busy machine starts the second dashboard
    change_draft(ready.id, lambda d: d.settings.update(epochs=600, seconds=0.3))
    first = start()
    page = browse(first).go(f"/train/{ready.id}?step=train")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text(re.compile("epoch [2-9] of 600")).wait_for()
    first.kill()
    page.context.close()
    second = start()
    page = browse(second).go(f"/train/{ready.id}")
    page.get_by_text(re.compile("epoch [0-9]+ of 600")).wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused or stopped").wait_for()
    events = [json.loads(line) for line in (raven.runs()[0] / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event_type"] == "EventType.TASK_STOPPED"
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Running").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Paused or stopped").wait_for()
    assert len(json.loads((raven.runs()[0] / "run.json").read_text())["attempts"]) == 2


@pytest.mark.slow
def test_a_plugin_that_never_looks_can_only_be_stopped(
    dashboard: Dashboard, browse: Browse, raven: Raven, ready: Draft
) -> None:
    change_draft(ready.id, lambda d: d.settings.update(epochs=100, seconds=0.3, polite=False))
    page = browse(dashboard).go(f"/train/{ready.id}?step=train")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Running").wait_for()
    page.get_by_text(re.compile("epoch [1-9] of 100")).wait_for()
    assert page.get_by_role("button", name="Pause").count() == 0
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Paused or stopped").wait_for()


def test_what_a_user_writes_is_shown_and_never_run(
    dashboard: Dashboard, browse: Browse, ready: Draft
) -> None:
    def fill(draft: Draft) -> None:
        draft.title = draft.comments = EVIL
        draft.split = SplitOptions(way="percent")
        put(draft.settings, "titles", ["thing <img src=x onerror=alert(1)>"])

    change_draft(ready.id, fill)
    tab = browse(dashboard)
    dialogs: list[str] = []
    tab.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page = tab.go("/train")
    page.get_by_text(EVIL).wait_for()
    for step in ("project", "split", "classes", "augment", "model", "settings", "train"):
        tab.go(f"/train/{ready.id}?step={step}")
        page.locator(".step-foot").wait_for()
        page.wait_for_timeout(400)
        assert "ravenML" in page.title(), step
        assert page.locator("img[src='x']").count() == 0, step
        assert page.locator(".content script, .content b, .content i:not(.q-icon)").count() == 0, step
    assert page.get_by_label("Draft title").input_value() == EVIL
    assert dialogs == []


WRONG = [
    ("project", "Or a project's folder", "/etc", "not below the folders"),
    ("project", "Or a project's folder", "nowhere", "does not exist"),
    ("augment", "Or your own file", "/etc/passwd", "not below the folders"),
    ("model", "Other", "square", "There is no brush 'square'"),
    ("settings", "Epochs", "0", "greater than or equal to 1"),
    ("settings", "Epochs", "many", "valid integer"),
    ("settings", "Canvas width", "-3", "greater than 0"),
]


def test_each_step_says_what_is_wrong_and_what_follows_stays_closed(
    dashboard: Dashboard, browse: Browse, ready: Draft
) -> None:
    tab = browse(dashboard)
    page = tab.page
    before = read_draft(ready.id)
    for step, label, text, said in WRONG:
        change_draft(
            ready.id, lambda d: (setattr(d, "settings", {}), setattr(d, "dataset", before.dataset))[0]
        )
        tab.go(f"/train/{ready.id}?step={step}")
        page.get_by_label(label).fill(text)
        page.get_by_label(label).press("Enter")
        page.get_by_text(said).first.wait_for()
    assert page.get_by_role("button", name="Next: Train").is_disabled()
    tab.go(f"/train/{ready.id}?step=train")
    page.get_by_text("Canvas width: Should be greater than 0.").wait_for()  # the step to be mended is shown


def test_no_class_no_dataset_and_a_split_that_leaves_nothing(
    dashboard: Dashboard, browse: Browse, ready: Draft
) -> None:
    tab = browse(dashboard)
    page = tab.page
    tab.go(f"/train/{ready.id}?step=classes")
    page.get_by_role("button", name="None", exact=True).click()
    page.get_by_text("Choose at least one class.").wait_for()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Next: Augmentations").wait_for()
    tab.go(f"/train/{ready.id}?step=split")
    page.get_by_role("radio", name="By datasets").click()
    page.get_by_text("Choose at least one validation dataset.").wait_for()
    page.get_by_role("radio", name="k-fold").click()
    page.get_by_label("Folds", exact=True).fill("13")
    page.get_by_text("fewer than 13 folds").wait_for()
    page.get_by_label("Folds", exact=True).fill("3")
    page.get_by_text("fold 2").wait_for()


def test_pictures_are_reached_by_number_alone(dashboard: Dashboard, ready: Draft) -> None:
    bearer = {"Authorization": f"Bearer {dashboard.token}"}
    base = f"{dashboard.origin}/train/{ready.id}"
    assert answer(f"{base}/images/0", **bearer)[0] == 200
    assert answer(f"{base}/images/0")[0] == 401
    for path in (
        "images/99",
        "images/-1",
        "augmented/1/..%2f..%2fconfig.yaml",
        "augmented/..%2f..%2f/0-0.jpg",
    ):
        assert answer(f"{base}/{path}", **bearer)[0] in (404, 422), path
    outside = new_draft(dataset="/etc", plugin="painter")
    assert answer(f"{dashboard.origin}/train/{outside.id}/images/0", **bearer)[0] == 404


def test_a_run_is_opened_in_the_wizard(
    dashboard: Dashboard, browse: Browse, raven: Raven, painted: Path
) -> None:
    raven.ok(
        "train",
        "--dataset",
        "meadows",
        "painter",
        "train",
        "--epochs",
        "1",
        "--brush",
        "flat",
        "--kfold",
        "--folds",
        "2",
    )
    tab = browse(dashboard)
    page = tab.page
    tab.go(f"/train/new?clone={raven.runs()[0].name}")
    page.get_by_text("2 folds").wait_for()
    draft = read_draft(page.url.rpartition("/")[2].partition("?")[0])
    assert draft.settings == {"epochs": 1, "brush": "flat"} and draft.split.way == "kfold"
    tab.go("/train/new?clone=nothing")
    page.get_by_text("Cannot open this run").wait_for()

    tab.go("/train")
    file = page.get_by_label("A training's settings")
    file.set_input_files({"name": "x.yml", "mimeType": "text/yaml", "buffer": b"epochs: 3"})
    page.get_by_text("x.yml: `epochs`").wait_for()
    file.set_input_files(raven.runs()[0] / "info" / "ui_state.json")
    page.wait_for_url("**/train/2*")
    page.get_by_text("2 folds").wait_for()
    opened = read_draft(page.url.rpartition("/")[2].partition("?")[0])
    assert opened.plugin == "painter" and opened.settings == draft.settings
    assert opened.dataset == draft.dataset and opened.split == draft.split


def test_from_an_empty_home_to_a_trained_model(
    site: Path, home: Path, raven: Raven, dashboard: Dashboard, browse: Browse
) -> None:
    """A newcomer's way; what can be done after it (serving the model) begins where this ends."""
    write_painter(site)
    page = browse(dashboard).go("/train")
    page.get_by_role("button", name="New training").click()
    page.get_by_role("button", name="Create the demo project").click()
    page.get_by_role("radio", name="painter").click()
    page.get_by_text("161", exact=True).wait_for()  # objects
    page.get_by_role("button", name=re.compile("View ")).first.click()
    page.get_by_role("dialog").get_by_role("img").wait_for()
    page.keyboard.press("Escape")
    onward(page, "Split")
    page.get_by_text("37 + 11 objects", exact=False).wait_for()
    onward(page, "Classes")
    page.get_by_role("checkbox", name="Train on roof").click()
    page.get_by_text("2 of 3").wait_for()
    onward(page, "Augmentations")
    page.get_by_role("radio", name="night").click()
    page.get_by_role("img", name=re.compile("augmented, 4")).first.wait_for()
    page.wait_for_function("[...document.querySelectorAll('.augmented img')].every(i => i.complete)")
    onward(page, "Model")
    page.get_by_role("radio", name="flat").click()
    onward(page, "Hyperparameters")
    page.get_by_label("Canvas width").fill("48")
    page.get_by_role("button", name="Next: Train").wait_for()
    wait_for(lambda: json.loads(next((home / "drafts").glob("*.json")).read_text())["settings"].get("canvas"))
    onward(page, "Train")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Completed").wait_for()
    page.get_by_text("epoch 3 of 3 · iteration 10 of 10").wait_for()
    page.get_by_role("img", name="val/meadow, epoch 3").wait_for()
    page.get_by_role("link", name="open_app.lnk").wait_for()
    page.get_by_role("log").get_by_text(EVIL, exact=False).wait_for()
    (run,) = raven.runs()
    config = json.loads((run / "run.json").read_text())["config"]
    assert config["split"]["tags"] == ["train", "val"]
    chosen = {name: config["plugin"][name] for name in ("titles", "changes", "brush")}
    assert chosen == {"titles": ["pond", "hedge"], "changes": "night", "brush": "flat"}
    assert config["plugin"]["canvas"] == {"width": 48}
    assert (run / "open_app.lnk").read_text() == f"{dashboard.origin}/runs/{run.name}\n"
    assert json.loads((run / "info" / "ui_state.json").read_text())["plugin"]["brush"] == "flat"
