"""Writing YOLO's folders: `images/<dataset>/`, `labels/<dataset>/`, `data.yaml`, `train.txt`, `val.txt`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ravenml.data.formats import geometry_parsing
from ravenml.data.geometry import AnyGeometry, Polygon, Rectangle

if TYPE_CHECKING:
    from ravenml.data.formats.base import Size
    from ravenml.data.formats.exporting import Export, ExportedImage


def write_yolo(export: Export) -> None:
    """Write images and texts; images that are tagged `train` or `val` are listed, all are where none is."""
    import yaml

    numbers = {one.title: number for number, one in enumerate(export.classes)}

    def one(picture: ExportedImage) -> tuple[str, str | None]:
        item = picture.item
        stem = export.stem(item)
        name = stem + os.path.splitext(item.name)[1]
        export.place(item, export.target / "images" / item.dataset / name)
        lines = [_line(numbers[thing.title], thing.geometry, picture.size) for thing in picture.things]
        export.write(export.target / "labels" / item.dataset / f"{stem}.txt", "".join(lines).encode())
        return f"images/{item.dataset}/{name}", picture.split

    sets: dict[str, list[str]] = {}
    for name, split in export.map(one):
        if split is not None:
            sets.setdefault(split, []).append(name)
    described = {"path": "."} if sets else {"path": ".", "train": "images", "val": "images"}
    for split, names in sets.items():
        described[split] = f"{split}.txt"
        export.write(export.target / f"{split}.txt", "".join(f"./{name}\n" for name in names).encode())
    described |= {"names": dict(enumerate(numbers))}  # type: ignore[dict-item]
    content = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=1000)
    export.write(export.target / "data.yaml", content.encode())


def _line(number: int, geometry: AnyGeometry, size: Size) -> str:
    height, width = size
    if isinstance(geometry, Rectangle):
        left, top, right, bottom = geometry_parsing.edges(geometry)
        shares = [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ]
    else:
        assert isinstance(geometry, Polygon)
        shares = ((geometry.exterior + 0.5) / (width, height)).reshape(-1).tolist()
    return " ".join([str(number), *(f"{share:.9g}" for share in shares)]) + "\n"
