"""Dropping a file onto the page of ``raven serve``, as a person does with the mouse."""

from __future__ import annotations

import base64
from typing import Any

_DROP = """(given) => {
  const bytes = Uint8Array.from(atob(given.content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], given.name, {type: given.type}));
  document.getElementById("drop").dispatchEvent(
    new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


def drop(page: Any, content: bytes, name: str = "half.png", type: str = "image/png") -> None:
    """Drop a file with this content."""
    page.evaluate(_DROP, {"content": base64.b64encode(content).decode(), "name": name, "type": type})
