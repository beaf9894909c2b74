"""No text that people or programs wrote becomes a part of the dashboard's pages, in Chromium.

A trial writes markup, templates and scripts of many kinds into every text of runs and models, and opens a
page.  Each would set `window.hacked` if it ran, and most bring an element that must not be there.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from torture.runner import TESTS, Missing
from torture.servers import TOKEN, dashboard, patience

sys.path.append(str(TESTS / "dashboard"))
from hostile_texts import MODEL, OTHER, RUN, write_texts

TRIALS = 300
SECONDS_PER_TRIAL = 120
JS = "window.hacked=1"
VECTORS = [
    f"<script>{JS}</script>", f'<img src=x data-hostile onerror="{JS}">', f"<svg data-hostile onload={JS}>",
    f'"><hostile onfocus={JS} autofocus tabindex=1>', f"'><hostile onpointerenter={JS}>",
    f'" onclick="{JS}" data-hostile="',
    f"{{{{ {JS} }}}}", f"${{{JS}}}", f"javascript:{JS}", f"</script><script>{JS}</script>",
    f"</title><script>{JS}</script>",
    f'<iframe data-hostile srcdoc="<script>parent.{JS}</script>"></iframe>',
    f'<a data-hostile href="javascript:{JS}">x</a>',
    f'" :onclick="{JS}" v-html="1', f"x @click='{JS}' :data-hostile='1'", f"&lt;img src=x onerror={JS}&gt;",
    "</textarea><hostile>",
    f"\u2028{JS}//", f"';{JS}//", f'";{JS}//', f"`;{JS}//", f"--><script>{JS}</script>",
    f"]]><script>{JS}</script>",
    f"[x](javascript:{JS})", f'![x](x"onerror="{JS})', "**b** <hostile>",
    f"\x1b]8;;javascript:{JS}\x07x\x1b]8;;\x07",
    "{b|<hostile>}",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={JS}&gt;'>",
    f"<details data-hostile open ontoggle={JS}>", f"<input data-hostile autofocus onfocus={JS}>",
    "\u202e<hostile>\u202c",
    f"<form data-hostile><button formaction=javascript:{JS}>", f"<object data-hostile data=javascript:{JS}>",
    "%3Chostile%3E",
    f"<base data-hostile href=javascript:/a/-{JS}//>", f"<style>@import'javascript:{JS}'</style>",
    "{{constructor.constructor('" + JS + "')()}}",
]  # fmt: skip


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    try:
        from conftest import CHROMIUM, FLAGS
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Missing("Playwright is not installed (pip install playwright)") from None
    if CHROMIUM is None:
        raise Missing("no Chromium is installed (Debian: apt install chromium)")
    home = folder.parent / "home" / ".ravenML"
    with dashboard(folder) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_extra_http_headers({"Authorization": f"Bearer {TOKEN}"})
        page = context.new_page()
        page.set_default_timeout(patience(20) * 1000)
        dialogs: list[str] = []
        seen = {"log": 0}  # characters that earlier trials have judged
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

        def trial(rng: random.Random) -> str:
            for name in (RUN, OTHER):
                shutil.rmtree(home / "runs" / name, ignore_errors=True)
            write_texts(home, lambda place: f"{_hostile(rng)} {place}")
            address = rng.choice(
                [
                    *("/runs", f"/runs/{RUN}", f"/runs/{RUN}", f"/runs/compare?ids={RUN},{OTHER}", "/queues"),
                    *("/models", f"/models/{MODEL}", f"/train/new?from={RUN}"),
                    *(
                        f"{place}{quote(_hostile(rng), safe='')}"
                        for place in ("/runs/", "/models/", "/train/", "/x/")
                    ),
                    *(
                        f"{place}{quote(_hostile(rng))}"
                        for place in ("/runs?where=", "/runs?sort=", "/train?from=")
                    ),
                ]
            )
            page.goto(f"http://127.0.0.1:{server.port}{address}")
            page.get_by_role("heading", level=1).or_(page.locator(".empty")).first.wait_for()
            page.wait_for_timeout(300)
            for more in page.locator(".more .q-item").all():
                more.click()
            for _ in range(10):
                page.mouse.move(rng.randrange(1280), rng.randrange(900))
            page.keyboard.press("Tab")
            page.mouse.wheel(0, 5000)
            page.wait_for_timeout(200)
            assert page.evaluate("window.hacked") is None, f"a script ran on {address}"
            assert not dialogs, f"a dialog was shown on {address}: {dialogs}"
            found = page.evaluate("document.querySelector('hostile, [data-hostile], img[src=x]')?.outerHTML")
            assert found is None, f"markup is on {address}: {found}"
            printed = server.log.read_text()[seen["log"] :]
            seen["log"] += len(printed)
            assert server.process.poll() is None and "Traceback" not in printed, f"{address}:\n{printed}"
            return address.partition("?")[0].split("/")[1]

        yield trial
        browser.close()


def _hostile(rng: random.Random) -> str:
    return "".join(rng.sample(VECTORS, rng.randint(1, 3)))
