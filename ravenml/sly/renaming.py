"""The names under which a network's classes and tags come into a project: with a suffix, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from ravenml.common.io import JsonObject
from ravenml.infer.modes.base import is_chosen
from ravenml.infer.modes.configs import ALL, Titles
from ravenml.sly.project_meta import (
    ObjClass,
    ObjClassCollection,
    Tag,
    TagCollection,
    TagMeta,
    TagMetaCollection,
)

MATCH_ALL = ALL
T = TypeVar("T", ObjClass, TagMeta)


def is_name_included(name: str, enabled_names: Any) -> bool:
    """Whether a name is among some: a list, or ``__all__``; any other text holds none."""
    if isinstance(enabled_names, str) and enabled_names != MATCH_ALL:
        return False
    return is_chosen(enabled_names, name)


class Renamer:
    """Gives names a suffix.

    Args:
        add_suffix: the suffix.
        save_names: the names that are kept, or ``__all__``.
    """

    ADD_SUFFIX, SAVE_CLASSES, SAVE_NAMES = "add_suffix", "save_classes", "save_names"

    def __init__(self, add_suffix: str = "", save_names: Titles | None = None) -> None:
        self._add_suffix = add_suffix
        self._save_names: Any = MATCH_ALL if save_names is None else save_names

    def rename(self, name: str) -> str | None:
        """The new name; None where it is not kept."""
        return name + self._add_suffix if is_name_included(name, self._save_names) else None

    def to_json(self) -> JsonObject:
        """As the part ``model_classes`` of an inference mode's config."""
        return {self.ADD_SUFFIX: self._add_suffix, self.SAVE_CLASSES: self._save_names}

    @staticmethod
    def from_json(renamer_json: JsonObject) -> Renamer:
        """Read a part ``model_classes`` or ``model_tags`` of an inference mode's config."""
        names = renamer_json.get(Renamer.SAVE_NAMES)
        names = renamer_json.get(Renamer.SAVE_CLASSES) if names is None else names
        return Renamer(renamer_json.get(Renamer.ADD_SUFFIX, ""), names)


def make_renamed_classes(
    src_obj_classes: Iterable[ObjClass], renamer: Renamer, skip_missing: bool = False
) -> ObjClassCollection:
    """Classes under their new names.

    Args:
        src_obj_classes: the classes.
        renamer: gives the names.
        skip_missing: whether those that it does not keep are left out.

    Raises:
        KeyError: one is not kept, and none may be left out.
    """
    return ObjClassCollection(
        one.clone(name=name) for one, name in _renamed(src_obj_classes, renamer, skip_missing)
    )


def make_renamed_tag_metas(
    src_tag_metas: Iterable[TagMeta], renamer: Renamer, skip_missing: bool = False
) -> TagMetaCollection:
    """Kinds of tags under their new names; as `make_renamed_classes`."""
    return TagMetaCollection(
        one.clone(name=name) for one, name in _renamed(src_tag_metas, renamer, skip_missing)
    )


def _renamed(things: Iterable[T], renamer: Renamer, skip_missing: bool) -> Iterator[tuple[T, str]]:
    for thing in things:
        name = renamer.rename(thing.name)
        if name is not None:
            yield thing, name
        elif not skip_missing:
            raise KeyError(f"There is no new name for {thing.name!r}.")


class ObjClassMapper:
    """Finds the class that objects of another one get."""

    def map(self, src: ObjClass) -> ObjClass | None:
        """The class; None where its objects are left out."""
        raise NotImplementedError


class RenamingObjClassMapper(ObjClassMapper):
    """Finds the class of the new name."""

    def __init__(self, dest_obj_classes: ObjClassCollection, renamer: Renamer) -> None:
        self._classes, self._renamer = dest_obj_classes, renamer

    def map(self, src: ObjClass) -> ObjClass | None:
        """The class; None where there is none of the new name, or the name is not kept."""
        name = self._renamer.rename(src.name)
        return None if name is None else self._classes.get(name)


class TagMetaMapper:
    """Finds the tag that stands for another one."""

    def map(self, src: TagMeta) -> TagMeta | None:
        """The tag; None where it is left out."""
        raise NotImplementedError


class RenamingTagMetaMapper(TagMetaMapper):
    """Finds the tag of the new name."""

    def __init__(self, dest_tag_meta_dict: TagMetaCollection, renamer: Renamer) -> None:
        self._metas, self._renamer = dest_tag_meta_dict, renamer

    def map(self, src: TagMeta) -> TagMeta | None:
        """The tag; None where there is none of the new name, or the name is not kept."""
        name = self._renamer.rename(src.name)
        return None if name is None else self._metas.get(name)


def make_renamed_tags(
    tags: Iterable[Tag], tag_meta_mapper: TagMetaMapper, skip_missing: bool = True
) -> TagCollection:
    """Tags under their new names, with their values.

    Args:
        tags: the tags.
        tag_meta_mapper: finds the new ones.
        skip_missing: whether tags for which it finds none are left out.

    Raises:
        KeyError: there is none for a tag, and none may be left out.
    """
    found = []
    for tag in tags:
        meta = tag_meta_mapper.map(tag.meta)
        if meta is not None:
            found.append(tag.clone(meta=meta))
        elif not skip_missing:
            raise KeyError(f"There is no new name for the tag {tag.name!r}.")
    return TagCollection(found)
