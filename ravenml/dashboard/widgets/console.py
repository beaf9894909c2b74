"""What a run printed, as plain text: the end first, more on request, and what comes while it runs."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

from nicegui import run, ui
from nicegui.events import ValueChangeEventArguments

from ravenml.runs import layout

_TAIL = 32_768  # bytes that are shown at first
_MORE = 262_144  # bytes that are brought on request
_LINE = 2_000  # letters of a line that are shown
_PARTS = 1_000  # pieces of text on a page; a run may print for days
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b\x0c\x0e-\x1f]")


def clean_text(content: bytes) -> str:
    """Printed bytes as text: colours and cursor movements left out, of a bar that redraws itself the last."""
    lines = content.decode("utf-8", errors="replace").split("\n")
    kept = (_CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)
    return "\n".join(line if len(line) <= _LINE else f"{line[:_LINE]}…" for line in kept)


class ConsoleTail:
    """A log that is read from its end in both directions.  Its methods are work for a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin = self.end = 0  # what was read

    def tail(self, ended: bool = False) -> str:
        """Its end; see :meth:`new`."""
        size = self._size()
        self.begin = self.end = max(0, size - _TAIL)
        if self.begin:
            self.begin = self.end = self._after_line(self.end)
        return self.new(ended)

    def new(self, ended: bool = False) -> str:
        """What has been added since, as far as its lines are complete; a torn last one follows when it is.

        Args:
            ended: nothing more will come, so that a torn line is all that there is of it.
        """
        if self._size() < self.end:  # written anew
            self.begin = self.end = 0
        content = self._read(self.end, self.end + 4 * _MORE)
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and len(content) == 4 * _MORE:  # a bar that has drawn itself over itself for hours
            whole = content[: content.rfind(b"\r") + 1] or content
        if ended and len(content) < 4 * _MORE:
            whole = content
        self.end += len(whole)
        return clean_text(whole)

    def before(self) -> str:
        """A part of what stands before."""
        begin = max(0, self.begin - _MORE)
        if begin:
            begin = min(self._after_line(begin), self.begin)
        content = self._read(begin, self.begin)
        self.begin = begin
        return clean_text(content)

    def _after_line(self, place: int) -> int:
        found = self._read(place, place + _TAIL).find(b"\n")
        return place + found + 1

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _read(self, begin: int, end: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                return file.read(max(0, end - begin))
        except OSError:
            return b""


class Console:
    """The log on the current page; of a k-fold run, the fold's that is chosen."""

    def __init__(self, folder: Path, ended: bool) -> None:
        self._folder = folder
        self._log = ConsoleTail(folder / layout.CONSOLE)
        self._ended = ended
        self._folds = 0
        self._parts: deque[tuple[ui.label, int]] = deque()  # what is shown, and where in the log it ends

    async def build(self) -> None:
        """Put it on the page."""
        with ui.element("div").classes("line"):
            self._choice = ui.element("div")
            self._more = ui.button("Load earlier output", on_click=self._before).props("flat dense")
        self._text = (
            ui.element("div").classes("code console").props('tabindex=0 role=log aria-label="Console"')
        )
        self._offer_folds()
        await self._tail()

    async def refresh(self) -> None:
        """Bring what is new to the page."""
        self._offer_folds()
        self._put(await run.io_bound(self._log.new))

    def _offer_folds(self) -> None:
        """A choice between the logs of the run and of its folds, of which there are more and more."""
        folds = layout.fold_folders(self._folder)
        if len(folds) == self._folds:
            return
        self._folds = len(folds)
        options = {path: f"fold {path.name}" for path in folds}
        self._choice.clear()
        with self._choice:
            toggle = ui.toggle({self._folder: "run"} | options, value=self._log.path.parent)
            toggle.props("dense no-caps unelevated").on_value_change(self._choose)

    async def _choose(self, event: ValueChangeEventArguments[Path]) -> None:
        self._log = ConsoleTail(event.value / layout.CONSOLE)
        await self._tail()

    async def _tail(self) -> None:
        text = await run.io_bound(self._log.tail, self._ended)
        self._text.clear()
        self._parts.clear()
        self._put(text)
        if not text:
            with self._text:
                ui.label("No output yet.").classes("muted")
        self._more.set_visibility(self._log.begin > 0)
        self._scroll()

    async def _before(self) -> None:
        end = self._log.begin
        text = await run.io_bound(self._log.before)
        with self._text:
            label = ui.label((text or "").removesuffix("\n"))
        label.move(self._text, 0)
        self._parts.appendleft((label, end))
        self._more.set_visibility(self._log.begin > 0)

    def _put(self, text: str | None) -> None:
        if not text:
            return
        if not self._parts:  # in place of the words that nothing was printed yet
            self._text.clear()
        with self._text:
            self._parts.append((ui.label(text.removesuffix("\n")), self._log.end))
        while len(self._parts) > _PARTS:
            label, self._log.begin = self._parts.popleft()
            label.delete()
            self._more.set_visibility(True)
        self._scroll()

    def _scroll(self) -> None:
        """To the end, unless somebody reads further up."""
        ui.run_javascript(
            f"const box = getHtmlElement({self._text.id}); if (box && (!box.dataset.seen || "
            "box.scrollHeight - box.scrollTop - box.clientHeight < 400)) "
            "{ box.scrollTop = box.scrollHeight; box.dataset.seen = 1; }"
        )
