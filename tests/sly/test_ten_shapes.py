"""All ten shapes go from the SDK through raven's own files and back, with tags and with who made them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ravenml.sly as sly
from ravenml.data.editable_annotation import Label, read_editable, write_editable
from ravenml.sly.undrawn_geometry import deserialize_geometry

SIZE = (60, 80)
DRAWN = ("bitmap", "polygon", "rectangle", "line", "point")
UNDRAWN = ("cuboid", "cuboid_2d", "graph", "oriented_bbox", "alpha_mask")
COLUMNS, ROWS = st.integers(0, SIZE[1] - 1), st.integers(0, SIZE[0] - 1)
PLACES = st.tuples(COLUMNS, ROWS).map(list)
ABOUT = st.fixed_dictionaries(
    {"id": st.integers(1, 2**40), "labelerLogin": st.text("abc.@", min_size=1)},
    optional={
        "createdAt": st.just("2019-04-01T10:20:30.123Z"),
        "updatedAt": st.just("2020-04-01T10:20:30.123Z"),
        "classId": st.integers(1, 999),
    },
)
TAGS = st.lists(
    st.one_of(
        st.just({"name": "seen", "value": None}),
        st.builds(lambda value: {"name": "sure", "value": value}, st.floats(0, 1)),
        st.builds(lambda value: {"name": "kind", "value": value}, st.sampled_from(["wild", "tame"])),
    ),
    max_size=3,
)


def written_anew(label: Label) -> Label:
    """An object whose tags and, where raven knows it, whose shape is written as raven has it."""
    return label.changed(geometry=label.geometry, tags=label.tags)


@st.composite
def shapes(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """The fields of an object's JSON that tell a shape."""
    places = draw(st.lists(PLACES, min_size=3, max_size=8))
    (left, right), (top, bottom) = (sorted(draw(st.tuples(side, side))) for side in (COLUMNS, ROWS))
    box = {"points": {"exterior": [[left, top], [right, bottom]], "interior": []}}
    nodes = {f"n{number}": {"loc": place} for number, place in enumerate(places)}
    mask = np.array(draw(st.lists(st.booleans(), min_size=12, max_size=12))).reshape(3, 4)
    mask[0, 0] = mask[2, 3] = True
    origin = [draw(st.integers(0, SIZE[1] - 4)), draw(st.integers(0, SIZE[0] - 3))]
    return {
        "bitmap": {"bitmap": {"origin": origin, "data": sly.Bitmap.data_2_base64(mask)}},
        "alpha_mask": {"bitmap": {"origin": origin, "data": sly.Bitmap.data_2_base64(mask)}},
        "polygon": {"points": {"exterior": places, "interior": []}},
        "line": {"points": {"exterior": places, "interior": []}},
        "point": {"points": {"exterior": places[:1], "interior": []}},
        "rectangle": box,
        "oriented_bbox": {**box, "angle": draw(st.floats(-3, 3))},
        "cuboid": {"points": places, "faces": [[0, 1, 2]]},
        "cuboid_2d": {"vertices": nodes},
        "graph": {"nodes": nodes, "edges": [{"src": "n0", "dst": "n1"}]},
    }[name]


@pytest.mark.parametrize("name", [*DRAWN, *UNDRAWN])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_changes_on_the_way_there_and_back(name: str, tmp_path: Path, data: st.DataObject) -> None:
    kind = sly.TagMeta("kind", sly.TagValueType.ONEOF_STRING, ["wild", "tame"])
    tags = [sly.TagMeta("seen"), sly.TagMeta("sure", sly.TagValueType.ANY_NUMBER), kind]
    shape = type(deserialize_geometry(name, data.draw(shapes(name))))
    meta = sly.ProjectMeta([sly.ObjClass("thing", shape)], tags)
    entries = data.draw(st.lists(st.tuples(shapes(name), ABOUT, TAGS), min_size=1, max_size=4))
    objects = [
        {**fields, **about, "classTitle": "thing", "geometryType": name, "tags": given, "description": "d"}
        for fields, about, given in entries
    ]
    size = {"height": SIZE[0], "width": SIZE[1]}
    tagged = [{"name": "seen", "value": None, "labelerLogin": "me"}]
    first = sly.Annotation.from_json({"size": size, "objects": objects, "tags": tagged}, meta)
    path = tmp_path / "scene.png.json"
    path.write_text(json.dumps(first.to_json()))
    read = read_editable(path)
    write_editable(path, replace(read, labels=tuple(map(written_anew, read.labels))))
    again = sly.Annotation.load_json_file(str(path), meta)
    assert again.to_json() == first.to_json()
    assert len(again.labels) == len(objects)
    for label, before, said in zip(again.labels, first.labels, objects, strict=True):
        assert label.geometry == before.geometry and type(label.geometry) is type(before.geometry)
        assert label.tags == before.tags and label.obj_class == before.obj_class
        for field in ("id", "labelerLogin", "createdAt", "updatedAt", "classId", "tags", "description"):
            assert label.to_json().get(field) == said.get(field), field
    assert again.img_tags.to_json() == tagged
