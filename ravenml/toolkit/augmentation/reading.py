"""From the setting ``augmentations`` to a pipeline: none, a template's name, or a file.

A file is ours (:mod:`ravenml.toolkit.augmentation.pipeline`; ``info/augs_config.json`` is one) or what
Supervisely's ImgAug Studio writes, whose operations have a ``category``.
"""

from __future__ import annotations

from pathlib import Path

from ravenml.common.parsing import read_yaml
from ravenml.common.validation import validate
from ravenml.errors import InputError
from ravenml.toolkit.augmentation.imgaug import from_imgaug
from ravenml.toolkit.augmentation.pipeline import OPERATIONS, Operation, Pipeline
from ravenml.toolkit.augmentation.templates import NONE, TEMPLATES


def read_augmentations(value: str) -> Pipeline:
    """The pipeline that the setting names; an empty one for ``none``.

    Raises:
        InputError: no such template or file, or an operation or parameter that we do not have.
    """
    if value == NONE:
        return Pipeline()
    if value in TEMPLATES:
        return TEMPLATES[value]
    path = Path(value).expanduser()
    if not path.is_file():
        known = ", ".join([NONE, *TEMPLATES])
        raise InputError(f"augmentations: there is no file {value}; name one, or choose one of {known}.")
    return read_pipeline(path)


def pipeline_as_python(pipeline: Pipeline) -> str:
    """Python that makes the same pipeline; empty where it does nothing."""
    if not pipeline.pipeline:
        return ""
    kinds = sorted({type(step).__name__ for step in pipeline.pipeline})
    lines = [f"from ravenml.toolkit.augmentation.pipeline import {', '.join([*kinds, 'Pipeline'])}", ""]
    order = "random_order=True, " if pipeline.random_order else ""
    lines.append(f"pipeline = Pipeline({order}pipeline=[")
    for step in pipeline.pipeline:
        given = {name: value for name, value in step if name != "name" and name in step.model_fields_set}
        arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
        lines.append(f"    {type(step).__name__}({arguments}),")
    return "\n".join([*lines, "])", ""])


def read_pipeline(path: Path) -> Pipeline:
    """Read a pipeline from YAML or JSON.

    Raises:
        InputError: it is neither, or has an operation or parameter that we do not have.
    """
    content = read_yaml(path)  # JSON is YAML
    if not isinstance(content.get("pipeline"), list):
        raise InputError(f"{path}: `pipeline` is missing or not a list of operations.")
    steps = [_operation(path, number, step) for number, step in enumerate(content["pipeline"])]
    return validate(Pipeline, content | {"pipeline": steps}, str(path))


def _operation(path: Path, number: int, step: object) -> Operation:
    where = f"{path}: pipeline[{number}]"
    if not isinstance(step, dict):
        raise InputError(f"{where} is not an operation with fields.")
    if "category" in step:
        step = from_imgaug(step, where)
    name = step.get("name")
    if not isinstance(name, str) or name not in OPERATIONS:
        known = ", ".join(OPERATIONS)
        raise InputError(f"{where}: there is no operation {name!r:.100}; there are {known}.")
    return validate(OPERATIONS[name], step, f"{where} ({name})")
