"""The table's element.  Only the page's function imports this file, for it needs NiceGUI at its import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui.element import Element


class RunsTable(Element, component="rows.js"):
    """A table of runs: a head, a row for each, a box before it.

    Args:
        columns: ``name``, ``title``, ``address`` (which orders by it), ``order`` and ``phone`` (whether there
            is room for it).
        tick: called with the ids whose box was changed, and whether they are chosen now.
    """

    def __init__(self, columns: Sequence[dict[str, Any]], tick: Callable[[list[str], bool], None]) -> None:
        super().__init__()
        self.props.update({"columns": list(columns), "rows": [], "chosen": []})

        def ticked(event: Any) -> None:
            known = {row["id"] for row in self.props["rows"]}
            tick([one for one in event.args.get("ids") or () if one in known], bool(event.args.get("on")))

        self.on("tick", ticked)

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Replace the rows; what is the same is not sent."""
        if rows != self.props["rows"]:
            self.props["rows"] = rows

    def choose(self, ids: Sequence[str]) -> None:
        """Say which boxes are ticked."""
        if list(ids) != self.props["chosen"]:
            self.props["chosen"] = list(ids)
