"""Writing projects of VIA 2: one for each dataset, in the folder of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from ravenml.common.io import atomic_open
from ravenml.data.editable_annotation import Tag
from ravenml.data.formats.json_stream import members
from ravenml.data.geometry import AnyGeometry, Line, Point, Polygon, Rectangle

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export, ExportedImage

FILE = "via_region_data.json"
CLASS = "class"
TAGS = "tags"  # the checkboxes that tags without a value become


def write_via(export: Export) -> None:
    """Write each dataset's images into a folder of its name, and VIA's project beside them."""

    def entry(picture: ExportedImage) -> tuple[str, str, dict[str, Any]]:
        item = picture.item
        export.place(item, export.target / item.dataset / item.name)
        size = item.image_path.stat().st_size
        regions = [
            {
                "shape_attributes": _shape(thing.geometry),
                "region_attributes": {**_attributes(thing.tags, export), CLASS: thing.title},
            }
            for thing in picture.things
        ]
        image = {
            "filename": item.name,
            "size": size,
            "regions": regions,
            "file_attributes": _attributes(picture.tags, export),
        }
        return item.dataset, f"{item.name}{size}", image

    for dataset, entries in groupby(export.map(entry), key=lambda made: made[0]):
        with atomic_open(export.target / dataset / FILE) as file:
            ids: list[str] = []
            file.write(b'{"_via_img_metadata": {')
            file.writelines(members(_noting(entries, ids)))
            file.write(b'},\n"_via_image_id_list": ' + orjson.dumps(ids))
            for name, value in _rest(export).items():
                file.write(b",\n" + orjson.dumps(name) + b": " + orjson.dumps(value))
            file.write(b"}\n")


def _noting(entries: Iterable[tuple[str, str, dict[str, Any]]], ids: list[str]) -> Iterator[tuple[str, Any]]:
    for _, key, image in entries:
        ids.append(key)
        yield key, image


def _rest(export: Export) -> dict[str, Any]:
    options = {one.title: "" for one in export.classes}
    chosen = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    checked = {one.name: "" for one in export.project.tags if one.value_type == "none"}
    boxes = {"type": "checkbox", "description": "", "options": checked, "default_options": {}}
    texts = {
        one.name: {"type": "text", "description": "", "default_value": ""}
        for one in export.project.tags
        if one.value_type != "none"
    }
    return {
        "_via_attributes": {
            "region": {CLASS: chosen, TAGS: boxes, **texts},
            "file": {TAGS: boxes, **texts},
        },
        "_via_settings": {
            "ui": {},
            "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""},
            "project": {"name": export.project.name},
        },
        "_via_data_format_version": "2.0.10",
    }


def _attributes(tags: Iterable[Tag], export: Export) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for tag in tags:
        name, value = str(tag["name"]), tag.get("value")
        if value is None:
            attributes.setdefault(TAGS, {})[name] = True
        elif name in (CLASS, TAGS):
            export.lose(f'tags called "{name}" with a value')
        else:
            attributes[name] = value if isinstance(value, int | float) else str(value)
    return attributes


def _shape(geometry: AnyGeometry) -> dict[str, Any]:
    if isinstance(geometry, Rectangle):
        return {
            "name": "rect",
            "x": geometry.left,
            "y": geometry.top,
            "width": geometry.right - geometry.left + 1,
            "height": geometry.bottom - geometry.top + 1,
        }
    if isinstance(geometry, Point):
        return {"name": "point", "cx": geometry.x, "cy": geometry.y}
    assert isinstance(geometry, Polygon | Line)
    corners = geometry.exterior if isinstance(geometry, Polygon) else geometry.points
    name = "polygon" if isinstance(geometry, Polygon) else "polyline"
    return {"name": name, "all_points_x": corners[:, 0].tolist(), "all_points_y": corners[:, 1].tolist()}
