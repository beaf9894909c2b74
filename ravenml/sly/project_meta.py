"""A project's ``meta.json`` as plugin authors know it: classes and tags.

Nothing is changed: each method gives a new object.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from ravenml.common.io import JsonObject
from ravenml.sly.geometry import AnyGeometry, Geometry
from ravenml.sly.json_fields import InvalidJson, expect_object, get_text, inside, read_list
from ravenml.sly.undrawn_geometry import OtherGeometry, geometry_type


class Named(Protocol):
    """Something with a name."""

    @property
    def name(self) -> str:
        """Under which it is found."""
        ...

    def to_json(self) -> object:
        """As JSON."""
        ...


T = TypeVar("T", bound=Named)


class Collection(Generic[T]):
    """Things by name, in order.

    Attributes:
        unique: whether a name may be there only once.
    """

    unique = True

    def __init__(self, items: Iterable[T] | None = None) -> None:
        self._items: list[T] = []
        names: set[str] = set()
        for item in items or ():
            if self.unique and item.name in names:
                raise KeyError(f"{item.name!r} already exists.")
            names.add(item.name)
            self._items.append(item)

    def get(self, key: str, default: T | None = None) -> T | None:
        """The (first) thing of that name."""
        return next((item for item in self._items if item.name == key), default)

    def has_key(self, key: str) -> bool:
        """Whether something of that name is there."""
        return self.get(key) is not None

    def keys(self) -> list[str]:
        """The names."""
        return [item.name for item in self._items]

    def items(self) -> list[T]:
        """The things."""
        return list(self._items)

    def add(self, item: T) -> Self:
        """With one more."""
        return type(self)([*self._items, item])

    def add_items(self, items: Iterable[T]) -> Self:
        """With some more."""
        return type(self)([*self._items, *items])

    def remove_items(self, names: Iterable[str]) -> Self:
        """Without those of these names."""
        gone = set(names)
        return type(self)(item for item in self._items if item.name not in gone)

    def merge(self, other: Collection[T]) -> Self:
        """With what another has beyond this one.

        Raises:
            ValueError: both have something of one name that is not the same.
        """
        for item in other:
            own = self.get(item.name)
            if own is not None and own != item:
                raise ValueError(f"{item.name!r} is there in both, but is not the same.")
        return self.add_items(item for item in other if not self.has_key(item.name))

    def intersection(self, other: Iterable[T]) -> Self:
        """What another has, too.

        Raises:
            ValueError: both have something of one name that is not the same, where names are unique.
        """
        found = []
        for item in other:
            own = self.get(item.name) if self.unique else item
            if own is not None and own != item:
                raise ValueError(f"{item.name!r} is there in both, but is not the same.")
            found += [item] if item in self else []
        return type(self)(found)

    def difference(self, other: Iterable[T]) -> Self:
        """Without what another has, too."""
        others = list(other)
        return type(self)(item for item in self._items if item not in others)

    def clone(self, items: Iterable[T] | None = None) -> Self:
        """The same, or others in its place."""
        return type(self)(self._items if items is None else items)

    def to_json(self) -> list[object]:
        """As a list of JSON objects."""
        return [item.to_json() for item in self._items]

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._items == other._items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"


Color = list[int]  # red, green, blue
TagValue = str | int | float | None


class ObjClass:
    """A class of objects.

    Args:
        name: its title.
        geometry_type: the shape that its objects have: ``Bitmap``, ``Polygon``, ``Rectangle``, …
        color: red, green and blue, 0 to 255; without one, a colour that follows from the name.
        rest: what else ``meta.json`` says.
    """

    def __init__(
        self,
        name: str,
        geometry_type: type[Geometry],
        color: Sequence[int] | None = None,
        rest: JsonObject | None = None,
    ) -> None:
        self.name, self.geometry_type = name, geometry_type
        self._color = list(color) if color is not None else _default_color(name)
        self._rest = rest or {}

    @property
    def color(self) -> Color:
        """Red, green and blue."""
        return list(self._color)

    @property
    def shape(self) -> str:
        """The shape as JSON calls it."""
        known = self.geometry_type is not OtherGeometry
        return self.geometry_type.geometry_name() if known else str(self._rest.get("shape", "any"))

    @classmethod
    def from_json(cls, data: JsonObject) -> ObjClass:
        """Read an entry of ``meta.json``.

        Raises:
            InvalidJson: a field is missing or unusable.
        """
        data = expect_object(data)
        shape = geometry_type(get_text(data, "shape", "any"))
        return cls(get_text(data, "title"), shape, _rgb(data.get("color")), data)

    def to_json(self) -> JsonObject:
        """As an entry of ``meta.json``."""
        fields = {"title": self.name, "shape": self.shape, "color": _hex(self._color)}
        return {"geometry_config": {}, **self._rest, **fields}

    def clone(
        self,
        name: str | None = None,
        geometry_type: type[Geometry] | None = None,
        color: Sequence[int] | None = None,
    ) -> ObjClass:
        """The same with something changed."""
        rest = {key: value for key, value in self._rest.items() if key != "id"}
        return ObjClass(name or self.name, geometry_type or self.geometry_type, color or self.color, rest)

    def key(self) -> str:
        """What it is found by: its name."""
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjClass) and (self.name, self.shape) == (other.name, other.shape)

    def __hash__(self) -> int:
        return hash((self.name, self.shape))

    def __repr__(self) -> str:
        return f"ObjClass({self.name!r}, {self.shape})"


class TagValueType:
    """What a tag's value may be."""

    NONE = "none"
    ANY_STRING = "any_string"
    ANY_NUMBER = "any_number"
    ONEOF_STRING = "oneof_string"


class TagMeta:
    """A tag for images and objects; ``possible_values`` are those of ``ONEOF_STRING``."""

    def __init__(
        self,
        name: str,
        value_type: str = TagValueType.NONE,
        possible_values: Sequence[str] | None = None,
        color: Sequence[int] | None = None,
        rest: JsonObject | None = None,
    ) -> None:
        self.name, self.value_type = name, value_type
        self.possible_values = list(possible_values) if possible_values is not None else None
        self.color = list(color) if color is not None else _default_color(name)
        self._rest = rest or {}

    @classmethod
    def from_json(cls, data: JsonObject | str) -> TagMeta:
        """Read an entry of ``meta.json``; older projects have bare names.

        Raises:
            InvalidJson: a field is missing or unusable.
        """
        if isinstance(data, str):
            return cls(data)
        data = expect_object(data)
        values = data.get("values")
        if values is not None and not (isinstance(values, list) and all(isinstance(v, str) for v in values)):
            raise InvalidJson("values", "should be a list of texts")
        kind = get_text(data, "value_type", TagValueType.NONE)
        return cls(get_text(data, "name"), kind, values, _rgb(data.get("color")), data)

    def to_json(self) -> JsonObject:
        """As an entry of ``meta.json``."""
        fields = {"name": self.name, "value_type": self.value_type, "color": _hex(self.color)}
        values = {} if self.possible_values is None else {"values": self.possible_values}
        return {**self._rest, **fields, **values}

    def clone(
        self,
        name: str | None = None,
        value_type: str | None = None,
        possible_values: Sequence[str] | None = None,
        color: Sequence[int] | None = None,
    ) -> TagMeta:
        """The same with something changed."""
        rest = {key: value for key, value in self._rest.items() if key not in ("id", "values")}
        values = self.possible_values if possible_values is None else possible_values
        kind = value_type or self.value_type
        if kind != TagValueType.ONEOF_STRING:
            values = None
        return TagMeta(name or self.name, kind, values, color or self.color, rest)

    def key(self) -> str:
        """What it is found by: its name."""
        return self.name

    def is_valid_value(self, value: TagValue) -> bool:
        """Whether a tag may have a value."""
        if self.value_type == TagValueType.ONEOF_STRING and self.possible_values:
            return value in self.possible_values
        kinds: JsonObject = {
            TagValueType.NONE: type(None),
            TagValueType.ANY_NUMBER: int | float,
            TagValueType.ANY_STRING: str,
            TagValueType.ONEOF_STRING: str,
        }
        return isinstance(value, kinds.get(self.value_type, object))

    def add_possible_value(self, value: str) -> TagMeta:
        """With one more value.

        Raises:
            ValueError: it is there, or the tag takes other values than some texts.
        """
        if self.value_type != TagValueType.ONEOF_STRING:
            raise ValueError(f"The tag {self.name!r} takes {self.value_type}, not one of some texts.")
        if value in (self.possible_values or []):
            raise ValueError(f"The tag {self.name!r} takes {value!r} already.")
        return self.clone(possible_values=[*(self.possible_values or []), value])

    def is_compatible(self, other: TagMeta) -> bool:
        """Whether another has the same name, kind and values."""
        return self == other and self.possible_values == other.possible_values

    def __eq__(self, other: object) -> bool:
        own = (self.name, self.value_type)
        return isinstance(other, TagMeta) and own == (other.name, other.value_type)

    def __hash__(self) -> int:
        return hash((self.name, self.value_type))

    def __repr__(self) -> str:
        return f"TagMeta({self.name!r}, {self.value_type})"


class Tag:
    """A tag that an image or an object has.

    Raises:
        ValueError: the value is not of the kind that ``meta`` asks for.
    """

    def __init__(self, meta: TagMeta, value: TagValue = None, rest: JsonObject | None = None) -> None:
        item = getattr(value, "item", None)  # numpy's numbers become Python's
        plain: Any = item() if item is not None else value
        if not meta.is_valid_value(plain):
            kind = f"one of {meta.possible_values}" if meta.possible_values else meta.value_type
            raise ValueError(f"The tag {meta.name!r} takes {kind}, not {plain!r}.")
        self.meta, self.value, self._rest = meta, plain, rest or {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.meta.name

    @classmethod
    def from_json(cls, data: JsonObject | str, tag_metas: TagMetaCollection) -> Tag:
        """Read a tag; older annotations have bare names.

        Raises:
            InvalidJson: its name is not in ``meta.json``, or its value is not of the kind that is said there.
        """
        if isinstance(data, str):
            with inside(""):
                return cls(tag_metas.get(data) or TagMeta(data))
        data = expect_object(data)
        name = get_text(data, "name")
        meta = tag_metas.get(name)
        if meta is None:
            raise InvalidJson("name", f'the tag "{name}" is not in meta.json; add it there')
        with inside("value"):
            return cls(meta, data.get("value"), data)

    def to_json(self) -> JsonObject:
        """As annotations hold it."""
        return {**self._rest, "name": self.name, "value": self.value}

    def key(self) -> str:
        """What it is found by: its name."""
        return self.name

    def get_compact_str(self) -> str:
        """Its name and its value, in one line."""
        return self.name if self.value is None else f"{self.name}:{self.value}"

    def clone(self, meta: TagMeta | None = None, value: TagValue = None) -> Tag:
        """The same with something changed."""
        return Tag(meta or self.meta, self.value if value is None else value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and (self.meta, self.value) == (other.meta, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Tag({self.name!r}, {self.value!r})"


class ObjClassCollection(Collection[ObjClass]):
    """Classes by name, in order."""

    @classmethod
    def from_json(cls, data: Sequence[JsonObject] | None) -> Self:
        """Read ``classes`` of a ``meta.json`` or a ``config.json``.

        Raises:
            InvalidJson: an entry is unusable, or two have one title.
        """
        with inside(""):
            return cls(read_list(data, ObjClass.from_json))


class TagMetaCollection(Collection[TagMeta]):
    """Tags' metas by name, in order."""

    @classmethod
    def from_json(cls, data: Sequence[JsonObject | str] | None) -> Self:
        """Read ``tags`` of a ``meta.json``; the first of a name counts.

        Raises:
            InvalidJson: an entry is unusable.
        """
        found: dict[str, TagMeta] = {}
        for meta in read_list(data, TagMeta.from_json):
            found.setdefault(meta.name, meta)
        return cls(found.values())


class TagCollection(Collection[Tag]):
    """Tags in order; a name may be there more than once."""

    unique = False

    @classmethod
    def from_json(cls, data: Sequence[JsonObject | str] | None, tag_metas: TagMetaCollection) -> Self:
        """Read ``tags`` of an annotation.

        Raises:
            InvalidJson: an entry is unusable.
        """
        return cls(read_list(data, lambda entry: Tag.from_json(entry, tag_metas)))

    def get_all(self, key: str, default: Sequence[Tag] = ()) -> list[Tag]:
        """All tags of a name, or ``default``."""
        return [tag for tag in self if tag.name == key] or list(default)


def accepts_geometry(obj_class: ObjClass, geometry: Geometry) -> bool:
    """Whether an object of a class may have a shape."""
    return obj_class.geometry_type in (AnyGeometry, type(geometry))


def _rgb(color: object) -> Color | None:
    if isinstance(color, list | tuple):
        if len(color) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in color):
            raise InvalidJson("color", 'should be "#RRGGBB", or three numbers from 0 to 255')
        return list(color)
    if isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color):
        return [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return None


def _hex(color: Sequence[int]) -> str:
    return "#{:02X}{:02X}{:02X}".format(*color)


def _default_color(name: str) -> Color:
    """A colour that a name always gets, neither black nor white."""
    return [40 + (zlib.crc32(name.encode("utf-8", "surrogatepass")) >> shift) % 180 for shift in (0, 8, 16)]


class ProjectMeta:
    """A project's ``meta.json``: its classes and tags.

    Images and objects share their tags; ``img_tag_metas`` and ``obj_tag_metas``, which older plugins name,
    are added to them and read as all of them.
    """

    def __init__(
        self,
        obj_classes: Iterable[ObjClass] | None = None,
        tag_metas: Iterable[TagMeta] | None = None,
        img_tag_metas: Iterable[TagMeta] | None = None,
        obj_tag_metas: Iterable[TagMeta] | None = None,
        rest: JsonObject | None = None,
    ) -> None:
        self.obj_classes = ObjClassCollection(obj_classes)
        self.tag_metas = TagMetaCollection(tag_metas)
        for more in (img_tag_metas, obj_tag_metas):
            self.tag_metas = self.tag_metas.merge(TagMetaCollection(more))
        self._rest = rest or {"projectType": "images"}

    img_tag_metas = property(lambda self: self.tag_metas, doc="The tags that images may have.")
    obj_tag_metas = property(lambda self: self.tag_metas, doc="The tags that objects may have.")

    @classmethod
    def from_json(cls, data: JsonObject) -> ProjectMeta:
        """Read the content of a ``meta.json``.

        Raises:
            InvalidJson: a field is missing or unusable.
        """
        data = expect_object(data)
        names = ("tags", "tags_images", "tags_objects")
        tags: dict[str, TagMeta] = {}
        for name in names:
            with inside(name):
                for meta in TagMetaCollection.from_json(data.get(name)):
                    tags.setdefault(meta.name, meta)
        rest = {key: value for key, value in data.items() if key not in ("classes", *names)}
        with inside("classes"):
            classes = ObjClassCollection.from_json(data.get("classes"))
        return cls(classes, tags.values(), rest=rest or None)

    def to_json(self) -> JsonObject:
        """The content of a ``meta.json``."""
        return {**self._rest, "classes": self.obj_classes.to_json(), "tags": self.tag_metas.to_json()}

    def get_obj_class(self, name: str) -> ObjClass | None:
        """A class by its name."""
        return self.obj_classes.get(name)

    def get_tag_meta(self, name: str) -> TagMeta | None:
        """A tag's meta by its name."""
        return self.tag_metas.get(name)

    get_img_tag_meta = get_obj_tag_meta = get_tag_meta

    def add_obj_class(self, new: ObjClass) -> ProjectMeta:
        """With one more class."""
        return self.add_obj_classes([new])

    def add_obj_classes(self, new: Iterable[ObjClass]) -> ProjectMeta:
        """With more classes."""
        return ProjectMeta(self.obj_classes.add_items(new), self.tag_metas, rest=self._rest)

    def add_tag_meta(self, new: TagMeta) -> ProjectMeta:
        """With one more tag."""
        return self.add_tag_metas([new])

    def add_tag_metas(self, new: Iterable[TagMeta]) -> ProjectMeta:
        """With more tags."""
        return ProjectMeta(self.obj_classes, self.tag_metas.merge(TagMetaCollection(new)), rest=self._rest)

    add_img_tag_meta = add_obj_tag_meta = add_tag_meta
    add_img_tag_metas = add_obj_tag_metas = add_tag_metas

    def delete_obj_class(self, obj_class_name: str) -> ProjectMeta:
        """Without a class."""
        return self.delete_obj_classes([obj_class_name])

    def delete_obj_classes(self, obj_class_names: Iterable[str]) -> ProjectMeta:
        """Without some classes."""
        return self.clone(obj_classes=self.obj_classes.remove_items(obj_class_names))

    def delete_tag_meta(self, tag_name: str) -> ProjectMeta:
        """Without a tag."""
        return self.delete_tag_metas([tag_name])

    def delete_tag_metas(self, tag_names: Iterable[str]) -> ProjectMeta:
        """Without some tags."""
        return self.clone(tag_metas=self.tag_metas.remove_items(tag_names))

    def merge(self, other: ProjectMeta) -> ProjectMeta:
        """With what another has beyond this one.

        Raises:
            ValueError: both have something of one name that is not the same.
        """
        classes = self.obj_classes.merge(other.obj_classes)
        return ProjectMeta(classes, self.tag_metas.merge(other.tag_metas), rest=self._rest)

    def clone(
        self, obj_classes: Iterable[ObjClass] | None = None, tag_metas: Iterable[TagMeta] | None = None
    ) -> ProjectMeta:
        """The same with something changed."""
        classes = self.obj_classes if obj_classes is None else obj_classes
        return ProjectMeta(classes, self.tag_metas if tag_metas is None else tag_metas, rest=self._rest)

    def __eq__(self, other: object) -> bool:
        own = (self.obj_classes, self.tag_metas)
        return isinstance(other, ProjectMeta) and own == (other.obj_classes, other.tag_metas)

    __hash__ = None  # type: ignore[assignment]
