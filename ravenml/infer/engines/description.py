"""What a file with a graph says of itself: classes, input, precision, provenance.

An exported file holds it inside, as JSON: in ONNX among ``metadata_props``, in OpenVINO's XML in ``rt_info``,
in TorchScript as an extra file.  For an ``.onnx`` of the user's own, a YAML file of the same name stands
beside it.  Either comes from outside, and is checked when it is read; the graph is not opened for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ravenml.common.io import JsonObject
from ravenml.common.parsing import LARGEST_JSON, parse_json, read_yaml
from ravenml.common.reading import open_file
from ravenml.common.validation import validate
from ravenml.data.formats.xml import elements_of
from ravenml.data.meta import ObjClass, spare_color
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError
from ravenml.infer.model_folder import LARGEST_SIDE, MOST_CLASSES

KEY = "ravenml"  # under which each format keeps the description
ONNX, OPENVINO, TORCHSCRIPT = "onnx", "openvino", "torchscript"
SUFFIXES = {ONNX: ".onnx", OPENVINO: ".xml", TORCHSCRIPT: ".torchscript.pt"}
SCHEMA = 1
LONGEST = 16 << 20  # bytes of a description
_METADATA_PROPS, _BYTES = 14, 2  # of ONNX's ModelProto; protobuf's wire type of all that has a length

Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Three = tuple[Number, Number, Number]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GraphClass(_Part):
    """A class: title, shape of its objects, and colour."""

    title: str = Field(min_length=1)
    shape: str = "bitmap"
    color: str | None = Field(default=None, pattern=r"^#[0-9A-Fa-f]{6}$")


class GraphInput(_Part):
    """What a graph takes: one tensor of images of one size, which others are resized to.

    Attributes:
        width: in pixels.
        height: in pixels.
        dtype: of the tensor's values.
        layout: ``nhwc`` or ``nchw``.
        colors: the order of the channels.
        scale: bytes are multiplied by it; 1/255 gives 0 to 1.
        mean: is then subtracted, by channel in the tensor's order.
        std: divides then.
    """

    width: Side
    height: Side
    dtype: Literal["uint8", "float32"] = "float32"
    layout: Literal["nhwc", "nchw"] = "nchw"
    colors: Literal["rgb", "bgr"] = "rgb"
    scale: Number = 1 / 255
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 0 in self.std:
            raise ValueError("std must not be 0")
        if self.dtype == "uint8" and {"scale", "mean", "std"} & self.model_fields_set:
            raise ValueError("an input of uint8 takes the bytes as they are; leave out scale, mean and std")
        return self


class Normalisation(_Part):
    """Mean and deviation, of images in 0 to 1, that a graph takes out of them itself."""

    mean: Three
    std: Three


class GraphDescription(_Part):
    """What a file with a graph says of itself.

    Attributes:
        v: version of this form.
        task: what it is for.
        classes: in index order; a title alone will do.
        input: what it takes.
        activation: what makes probabilities of its output.
        normalisation: what the graph does to the pixels, for information.
        architecture: the network's name.
        precision: bits of its weights: ``32``, ``16`` or ``8``.
        dynamic: whether it takes images of any size, and any number of them.
        plugin: the plugin whose model it was.
        provenance: where it comes from, for information.
    """

    v: int = Field(default=SCHEMA, ge=1, le=SCHEMA)
    task: Literal["segmentation"] = "segmentation"
    classes: list[GraphClass] = Field(min_length=1, max_length=MOST_CLASSES)
    input: GraphInput
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    normalisation: Normalisation | None = None
    architecture: str = ""
    precision: Literal["32", "16", "8"] = "32"
    dynamic: bool = False
    plugin: str | None = None
    provenance: JsonObject = {}

    @field_validator("classes", mode="before")
    @classmethod
    def _titles(cls, value: object) -> object:
        return (
            [{"title": one} if isinstance(one, str) else one for one in value]
            if isinstance(value, list)
            else value
        )

    @field_validator("classes")
    @classmethod
    def _unique(cls, value: list[GraphClass]) -> list[GraphClass]:
        titles = [one.title for one in value]
        if len(set(titles)) < len(titles):
            twice = next(title for title in titles if titles.count(title) > 1)
            raise ValueError(f"names the class {twice!r} twice")
        return value

    @property
    def obj_classes(self) -> list[ObjClass]:
        """The classes; those without a colour get one."""
        return [
            ObjClass(one.title, one.shape, one.color or spare_color(index))
            for index, one in enumerate(self.classes)
        ]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the input."""
        return self.input.width, self.input.height


def graph_format(path: Path) -> str | None:
    """``onnx``, ``openvino`` or ``torchscript`` by a file's name; None for any other."""
    name = path.name.lower()
    return next((kind for kind, suffix in SUFFIXES.items() if name.endswith(suffix)), None)


def is_graph(path: Path) -> bool:
    """Whether a path is a file with a graph, by its name."""
    return graph_format(path) is not None and path.is_file()


def read_description(path: Path) -> GraphDescription:
    """Read what a file says of itself, or the YAML file beside it.

    Raises:
        InputError: it says nothing, or what it says is not usable; or the file is a TorchScript, which is a
            program that only PyTorch can open.
    """
    kind = graph_format(path)
    if kind == TORCHSCRIPT:
        raise InputError(
            f"{path} is a TorchScript, a program that runs when it is opened; ravenML writes such files for "
            "other programs, and opens .onnx and .xml."
        )
    try:
        text = _onnx_metadata(path) if kind == ONNX else _openvino_metadata(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if text is not None:
        values = parse_json(text, f"{path}: its description")
        where = f"{path}: its description"
    else:
        beside = [path.with_suffix(suffix) for suffix in (".yaml", ".yml")]
        file = next((one for one in beside if one.is_file()), None)
        if file is None:
            raise InputError(
                f"{path} does not say its classes and input; write a {beside[0].name} beside it with "
                "`classes` and `input`."
            )
        values, where = read_yaml(file), str(file)
    if not isinstance(values, dict):
        raise InputError(f"{where} should hold fields, such as `classes` and `input`.")
    return validate(GraphDescription, values, where)


def _openvino_metadata(path: Path) -> str | None:
    try:
        if path.stat().st_size > LARGEST_JSON:  # what this text becomes takes as much memory as JSON does
            raise InputError(f"{path} is larger than {LARGEST_JSON >> 20} MiB, which no OpenVINO model is.")
        found = [one.get("value") for one in elements_of(path, KEY)]
        last = found[-1] if found else None  # what an ONNX file that it was made of said stands before it
    except DataProblem as error:
        raise InputError(f"{path} is not an OpenVINO model: {error}") from None
    if last is not None and len(last) > LONGEST:
        raise InputError(f"{path} has a description of more than {LONGEST >> 20} MiB.")
    return last


def _onnx_metadata(path: Path) -> bytes | None:
    """The value of ``KEY`` in an ONNX file's ``metadata_props``; the graph is passed over unread."""
    with open_file(path) as file:
        try:
            for number, content in _fields(file, {_METADATA_PROPS}):
                entry = dict(_entry(content)) if number == _METADATA_PROPS else {}
                if entry.get(1) == KEY.encode():
                    return entry.get(2, b"")
        except ValueError as error:
            raise InputError(f"{path} is not an ONNX file: {error}.") from None
    return None


def _entry(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of one of ``metadata_props``: 1 is the key, 2 the value."""
    from io import BytesIO

    yield from _fields(BytesIO(content), {1, 2})


def _fields(file: BinaryIO, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that have a length and one of these numbers.

    Raises:
        ValueError: these are not the bytes of a message.
    """
    while (tag := _varint(file, first=True)) is not None:
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length = _varint(file) or 0
            if number not in wanted:
                file.seek(length, 1)
                continue
            if length > LONGEST:
                raise ValueError(f"a description of more than {LONGEST >> 20} MiB")
            content = file.read(length)
            if len(content) < length:
                raise ValueError("it is cut off")
            yield number, content
        elif kind == 0:
            _varint(file)
        elif kind in (1, 5):
            file.seek(8 if kind == 1 else 4, 1)
        else:
            raise ValueError("it is not a protobuf message")


def _varint(file: BinaryIO, first: bool = False) -> int | None:
    """A number of protobuf's; None at the end of the file, where a field may begin."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            if first and shift == 0:
                return None
            raise ValueError("it is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is not a protobuf message")
