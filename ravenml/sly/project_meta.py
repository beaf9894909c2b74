"""A project's ``meta.json`` as plugin authors know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ravenml.sly.classes import ObjClass, ObjClassCollection, TagMeta, TagMetaCollection


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
        rest: dict[str, Any] | None = None,
    ) -> None:
        self.obj_classes = ObjClassCollection(obj_classes)
        self.tag_metas = TagMetaCollection(tag_metas)
        for more in (img_tag_metas, obj_tag_metas):
            self.tag_metas = self.tag_metas.merge(TagMetaCollection(more))
        self._rest = rest or {"projectType": "images"}

    img_tag_metas = property(lambda self: self.tag_metas, doc="The tags that images may have.")
    obj_tag_metas = property(lambda self: self.tag_metas, doc="The tags that objects may have.")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ProjectMeta:
        """Read the content of a ``meta.json``."""
        names = ("tags", "tags_images", "tags_objects")
        tags = [tag for name in names for tag in data.get(name) or ()]
        rest = {key: value for key, value in data.items() if key not in ("classes", *names)}
        classes = ObjClassCollection.from_json(data.get("classes", ()))
        return cls(classes, TagMetaCollection.from_json(tags), rest=rest or None)

    def to_json(self) -> dict[str, Any]:
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
        mine = (self.obj_classes, self.tag_metas)
        return isinstance(other, ProjectMeta) and mine == (other.obj_classes, other.tag_metas)

    __hash__ = None  # type: ignore[assignment]
