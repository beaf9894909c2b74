"""Sources in other programs' formats, and the command that imports and exports them, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from projects import encoded

from ravenml.cli.data import data
from ravenml.data.editable_annotation import EditableAnnotation, read_editable
from ravenml.data.project import Project
from ravenml.errors import RavenError


@dataclass
class Done:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run(*arguments: object) -> Done:
    """``raven data …``, with errors worded as on the command line."""
    result = CliRunner().invoke(data, [str(argument) for argument in arguments])
    error = result.exception
    if isinstance(error, RavenError):
        return Done(error.exit_code, result.stdout, f"{result.stderr}Error: {error}\n")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Done(result.exit_code, result.stdout, result.stderr)


def imported(format_name: str, source: Path, *options: object) -> list[EditableAnnotation]:
    """The annotations that an import gives, in the order of the items."""
    target = source.parent / f"{source.name}_imported"
    done = run("import", format_name, source, target, *options)
    assert done.exit_code == 0, done.output
    return [read_editable(item.annotation_path) for item in Project.open(target).items]


def left_out(done: Done) -> list[str]:
    """The bad records that a command named."""
    return [line for line in done.stderr.splitlines() if line.startswith("Left out")]


def picture(path: Path, height: int = 60, width: int = 80) -> Path:
    """Write a grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(np.full((height, width, 3), 90, np.uint8), path.suffix))
    return path


def write_coco(folder: Path, annotations: Any, **more: Any) -> Path:
    """A file with one image of 60×80 and the category 7, `car`."""
    picture(folder / "images" / "a.png")
    data = {
        "images": [{"id": 1, "file_name": "a.png", "height": 60, "width": 80}],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "car"}],
        **more,
    }
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(data))
    return folder


def annotation(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 5], "iscrowd": 0, **more}


def region(name: str, attributes: dict[str, Any] | None = None, **shape: Any) -> dict[str, Any]:
    """A region of VIA."""
    return {"shape_attributes": {"name": name, **shape}, "region_attributes": attributes or {}}


SQUARE = region("polygon", all_points_x=[10, 20, 20, 10], all_points_y=[5, 5, 15, 15])


def write_via(folder: Path, regions: Any, name: str = "a.png", file: str = "via.json", **more: Any) -> Path:
    """A source of VIA with one image."""
    picture(folder / name)
    entry = {"filename": name, "size": 1, "regions": regions, "file_attributes": {}, **more}
    (folder / file).write_text(json.dumps({f"{name}1": entry}))
    return folder
