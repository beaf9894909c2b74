"""Writing COCO files: `annotations/instances_<split>.json`, and the images in `images/<dataset>/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import orjson

from ravenml.common.io import atomic_open
from ravenml.data.editable_annotation import Tag
from ravenml.data.formats.coco_shapes import said_of
from ravenml.data.formats.json_stream import elements
from ravenml.data.geometry import Line, Point

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export, ExportedImage

CROWD = "crowd"
_LINE = b",\n"


def write_coco(export: Export) -> None:
    """Write a file per split: `train`, `val`, and `default` for images that are tagged with neither."""
    numbers = {one.title: number for number, one in enumerate(export.classes, 1)}

    def entries(picture: ExportedImage) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
        item, (height, width) = picture.item, picture.size
        name = f"{item.dataset}/{item.name}"
        export.place(item, export.target / "images" / item.dataset / item.name)
        split = picture.split
        own = [tag for tag in picture.tags if tag["name"] != split]
        image = {"file_name": name, "height": height, "width": width, **_attributes(own)}
        made = []
        for thing in picture.things:
            assert not isinstance(thing.geometry, Line | Point)
            crowd = any(tag["name"] == CROWD for tag in thing.tags)
            said = said_of(thing.geometry, picture.size, crowd)
            rest = _attributes(tag for tag in thing.tags if tag["name"] != CROWD)
            made.append({"category_id": numbers[thing.title], **said, "iscrowd": int(crowd), **rest})
        return split or "default", image, made

    with ExitStack() as stack:
        files: dict[str, _File] = {}
        annotations = 0
        for images, (split, image, made) in enumerate(export.map(entries), 1):
            if split not in files:
                files[split] = stack.enter_context(_File(export, split))
            files[split].add("images", {"id": images, **image})
            for annotation in made:
                annotations += 1
                files[split].add("annotations", {"id": annotations, "image_id": images, **annotation})
        for file in files.values():
            file.finish()


class _File:
    """One JSON; images and annotations are gathered beside it, as they come in turns."""

    def __init__(self, export: Export, split: str) -> None:
        self.export, self.split = export, split
        self.parts: dict[str, IO[bytes]] = {}

    def __enter__(self) -> _File:
        self.folder: Path = self.export.target / "annotations"
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("images", "annotations"):
            self.parts[name] = TemporaryFile(dir=self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        for part in self.parts.values():
            part.close()

    def add(self, name: str, entry: dict[str, Any]) -> None:
        part = self.parts[name]
        part.write((_LINE if part.tell() else b"\n") + orjson.dumps(entry))

    def finish(self) -> None:
        categories = (
            {"id": number, "name": one.title, "supercategory": "", "color": list(one.rgb)}
            for number, one in enumerate(self.export.classes, 1)
        )
        with atomic_open(self.folder / f"instances_{self.split}.json") as file:
            file.write(b'{"info": {"description": ' + orjson.dumps(self.export.project.name) + b"},\n")
            file.write(b'"licenses": [],\n"categories": [')
            file.writelines(elements(categories))
            for name, part in self.parts.items():
                file.write(b'],\n"' + name.encode() + b'": [')
                part.seek(0)
                file.writelines(_chunks(part))
            file.write(b"]}\n")


def _chunks(part: IO[bytes]) -> Iterator[bytes]:
    while content := part.read(1 << 20):
        yield content


def _attributes(tags: Iterable[Tag]) -> dict[str, Any]:
    """Tags as CVAT writes attributes: one without a value is true."""
    given = {str(tag["name"]): True if tag.get("value") is None else tag["value"] for tag in tags}
    return {"attributes": given} if given else {}
