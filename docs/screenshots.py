"""Makes the pictures of the dashboard, and of a served model, in the documentation: ``make screenshots``.

    .venv/bin/python docs/screenshots.py [NAME …]

Makes a home of its own in a temporary folder (the demo project, two short trainings of the U-Net plugin),
starts `raven dashboard` and `raven serve` on it, and photographs their pages with Chromium into
``docs/images/NAME.png``.  Needs the extras ``dashboard`` and ``dev``, the U-Net plugin, and Chromium; takes
some minutes.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).resolve().parent / "images"
LIMIT = 150_000  # bytes of a picture
TOKEN = "x" * 32
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SMALL = ["--model", "LinkNet34", "--input-width", "96", "--input-height", "64", "--metrics-period", "1"]
SMALL += ["--batch-size", "4", "--class-weights", "balanced"]


def main(wanted: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no Chromium; install one (Debian: apt install chromium).")
    with tempfile.TemporaryDirectory(prefix="screenshots") as folder, ExitStack() as servers:
        # As a person's own home, so that the pictures show no path of this machine.
        os.environ.update(HOME=folder, RAVENML_TRACK="none", RAVENML_TOKEN=TOKEN)
        os.environ.pop("RAVENML_STORAGE_PATH", None)
        home = Path(folder) / ".ravenML"
        runs = make_home(home)
        draft = make_draft()
        dashboard = servers.enter_context(serving("dashboard", "--no-browser", "--port", "0"))
        model = servers.enter_context(serving("serve", runs[-1], "--port", "0"))
        image = sorted((home / "datasets" / "demo").glob("*/img/*"))[3]
        every = {
            f"dashboard-{n}": (f"{dashboard}{p}", h, b) for n, (p, h, b) in pictures(draft, runs).items()
        }
        every |= {n: (f"{model}/", h, b) for n, (h, b) in of_model(image).items()}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            for name, (address, how, before) in every.items():
                if not wanted or name in wanted:
                    photograph(browser, address, name, how, before)


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run a server; its address without the token."""
    server = subprocess.Popen(raven(*arguments), stdout=subprocess.PIPE, text=True, cwd=os.environ["HOME"])
    try:
        assert server.stdout is not None
        yield next(found[0] for line in server.stdout if (found := re.search(r"http://[^/]+", line)))
    finally:
        server.terminate()
        server.wait()


def raven(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "ravenml", *arguments]


def make_home(home: Path) -> list[str]:
    """The demo project and two short trainings; their ids."""
    demo = home / "datasets" / "demo"
    subprocess.run(raven("data", "demo", str(demo)), check=True, stdout=subprocess.DEVNULL)
    for options in (
        ["--epochs", "16"],
        ["--epochs", "16", "--lr", "0.0015", "--augmentations", "colour+rotate"],
    ):
        print("Training:", *options)
        command = raven("train", "--dataset", "demo", "unet", "train", *SMALL, *options)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return sorted(path.name for path in (home / "runs").iterdir())


def make_draft() -> str:
    """A draft whose steps are all done, and which the second run was started from; its id."""
    from ravenml.config.home import runs_dir
    from ravenml.dashboard.train.draft import SplitOptions, new_draft

    settings = {
        "model": "LinkNet34",
        "augmentations": "colour+rotate",
        "epochs": 16,
        "lr_schedule": "cosine",
        "warmup_epochs": 1,
        "input_size": {"width": 96, "height": 64},
        "batch_size": {"train": 4},
        "class_weights": "balanced",
    }
    last = sorted(path.name for path in runs_dir().iterdir())[-1]
    draft = new_draft(
        title="gardens, first try",
        dataset="demo",
        plugin="unet",
        split=SplitOptions(way="tags"),
        settings=settings,
        runs=[last],
    )
    return draft.id


How = tuple[dict[str, Any], Callable[[Any], None]]
Page = tuple[str, dict[str, Any], Callable[[Any], None]]
WIDE = {"viewport": {"width": 1180, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 1.5}
DARK = {**WIDE, "color_scheme": "dark"}


def pictures(draft: str, runs: list[str]) -> dict[str, Page]:
    """Name, address, how it is looked at, and what is waited for."""
    wide, phone, dark = WIDE, PHONE, DARK

    def seen(text: str) -> Callable[[Any], None]:
        return lambda page: page.get_by_text(text).first.wait_for()

    def painted(page: Any) -> None:
        page.get_by_role("img", name=re.compile("augmented, 4")).nth(2).wait_for()

    def to_schedule(page: Any) -> None:
        page.locator(".curve canvas").first.wait_for()
        page.get_by_role("heading", name="Optimizer").scroll_into_view_if_needed()
        page.evaluate("window.scrollBy(0, 420)")

    step = f"/train/{draft}?step="
    return {
        "project": (step + "project", wide, seen("161")),
        "split": (step + "split", wide, seen("37 + 11 objects")),
        "classes": (step + "classes", wide, seen("background (__bg__)")),
        "augmentations": (step + "augment", wide, painted),
        "model": (step + "model", wide, seen("LinkNet34")),
        "hyperparameters": (step + "settings", wide, to_schedule),
        "train": (step + "train", wide, lambda page: page.locator("canvas").first.wait_for()),
        "dark": (step + "split", dark, seen("37 + 11 objects")),
        "phone": (step + "split", phone, seen("37 + 11 objects")),
        "runs": ("/runs", wide, lambda page: page.locator("a[href^='/runs/2']").first.wait_for()),
        "run": (f"/runs/{runs[-1]}", wide, lambda page: page.locator("canvas").first.wait_for()),
        "run-phone": (f"/runs/{runs[-1]}", phone, lambda page: page.locator("canvas").first.wait_for()),
        "compare": (
            f"/runs/compare?ids={','.join(runs)}",
            wide,
            lambda page: page.locator("canvas").first.wait_for(),
        ),
        "models": ("/models", wide, lambda page: page.get_by_role("heading").first.wait_for()),
        "queues": ("/queues", wide, lambda page: page.get_by_role("heading").first.wait_for()),
    }


def of_model(image: Path) -> dict[str, How]:
    """The pages of a served model, before and after an image was given to it."""

    def ready(page: Any) -> None:
        page.locator("#classes li").first.wait_for()

    def given(page: Any) -> None:
        ready(page)
        page.locator("#file").set_input_files(image)
        page.locator("#status", has_text="object").wait_for()

    small = {"viewport": {"width": 940, "height": 620}}
    return {
        "serve": (small, given),
        "serve-empty": (small, ready),
        "serve-dark": ({**small, "color_scheme": "dark"}, given),
        "serve-phone": (PHONE, given),
    }


def photograph(
    browser: Any, address: str, name: str, how: dict[str, Any], before: Callable[[Any], None]
) -> None:
    """Write one picture, with as few colours as it takes to stay below the limit."""
    from PIL import Image

    context = browser.new_context(**how)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}{'&' if '?' in address else '?'}token={TOKEN}")
    before(page)
    page.wait_for_timeout(1500)  # pictures and fonts
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    path = IMAGES / f"{name}.png"
    for colours in (256, 128, 64, 32):
        picture.quantize(colours).save(path, optimize=True)
        if path.stat().st_size <= LIMIT:
            break
    print(f"{path.name}: {path.stat().st_size // 1000} kB, {colours} colours")


if __name__ == "__main__":
    main(sys.argv[1:])
