"""Writing CVAT for images 1.1: `annotations.xml`, and the images in `images/<dataset>/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np

from ravenml.common.io import atomic_open
from ravenml.data.editable_annotation import Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.rle import runs_of
from ravenml.data.formats.xml import tag
from ravenml.data.geometry import Bitmap, Line, Point, Polygon, Rectangle

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export, ExportedImage, ExportedObject

_SUBSETS = {"train": "Train", "val": "Validation"}
_OCCLUDED = "occluded"
_INPUT = {"none": "checkbox", "any_number": "number"}


def write_cvat(export: Export) -> None:
    """Write the XML as it comes; objects keep their order by ``z_order``."""

    def one(picture: ExportedImage) -> str:
        item, (height, width) = picture.item, picture.size
        export.place(item, export.target / "images" / item.dataset / item.name)
        subset = _SUBSETS.get(picture.split or "")
        said = {"name": f"{item.dataset}/{item.name}", **({"subset": subset} if subset else {})}
        own = [_image_tag(t) for t in picture.tags if t["name"] != picture.split]
        shapes = [_shape(thing, order) for order, thing in enumerate(picture.things)]
        content = "".join(f"\n    {child}" for child in (*own, *shapes))
        return tag("image", {"id": "{id}", **said, "width": width, "height": height}, f"{content}\n  ")

    with atomic_open(export.target / "annotations.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(_meta(export).encode())
        for number, element in enumerate(export.map(one)):
            file.write(f"  {element.replace('{id}', str(number), 1)}\n".encode())
        file.write(b"</annotations>\n")


def _meta(export: Export) -> str:
    kinds = {one.name: _INPUT.get(one.value_type, "text") for one in export.project.tags}
    attributes = "".join(_attribute(name, kind) for name, kind in kinds.items())
    labels = "".join(
        f"<label><name>{escape(one.title)}</name><color>{one.color.lower()}</color><type>any</type>"
        f"<attributes>{attributes}</attributes></label>"
        for one in export.classes
    )
    labels += "".join(
        f"<label><name>{escape(one.name)}</name><color>{one.color.lower()}</color><type>tag</type>"
        f"<attributes>{_attribute('value', 'text')}</attributes></label>"
        for one in export.project.tags
    )
    name = escape(export.project.name)
    return f"  <meta><task><name>{name}</name><labels>{labels}</labels></task></meta>\n"


def _attribute(name: str, kind: str) -> str:
    values = "false" if kind == "checkbox" else ""
    return (
        f"<attribute><name>{escape(name)}</name><mutable>False</mutable><input_type>{kind}</input_type>"
        f"<default_value>{values}</default_value><values>{values}</values></attribute>"
    )


def _image_tag(given: Tag) -> str:
    value = given.get("value")
    content = "" if value is None else tag("attribute", {"name": "value"}, escape(str(value)))
    return tag("tag", {"label": given["name"], "source": "manual"}, content)


def _shape(thing: ExportedObject, order: int) -> str:
    geometry = thing.geometry
    said: dict[str, object] = {
        "label": thing.title,
        "source": "manual",
        "occluded": int(any(t["name"] == _OCCLUDED for t in thing.tags)),
    }
    if isinstance(geometry, Rectangle):
        kind = "box"
        said |= dict(zip(("xtl", "ytl", "xbr", "ybr"), geometry_parsing.edges(geometry), strict=True))
    elif isinstance(geometry, Bitmap):
        kind = "mask"
        (left, top), (height, width) = geometry.origin, geometry.mask.shape
        runs = ", ".join(map(str, runs_of(geometry.mask.reshape(-1))))
        said |= {"rle": runs, "left": left, "top": top, "width": width, "height": height}
    elif isinstance(geometry, Point):
        kind = "points"
        said["points"] = f"{geometry.x + 0.5},{geometry.y + 0.5}"
    else:
        assert isinstance(geometry, Polygon | Line)
        kind = "polygon" if isinstance(geometry, Polygon) else "polyline"
        corners = geometry.exterior if isinstance(geometry, Polygon) else geometry.points
        said["points"] = _points(corners)
    return tag(kind, {**said, "z_order": order}, "".join(_attributes(thing.tags)))


def _attributes(tags: tuple[Mapping[str, object], ...]) -> Iterator[str]:
    for given in tags:
        if given["name"] != _OCCLUDED:
            value = given.get("value")
            said = "true" if value is None else str(value)
            yield tag("attribute", {"name": given["name"]}, escape(said))


def _points(corners: np.ndarray) -> str:
    return ";".join(f"{x},{y}" for x, y in (corners + 0.5).tolist())
