"""Names of a network's classes and tags get a suffix, and those that are not kept are left out."""

from __future__ import annotations

import pytest

import ravenml.sly as sly
from ravenml.sly.renaming import (
    Renamer,
    RenamingObjClassMapper,
    RenamingTagMetaMapper,
    is_name_included,
    make_renamed_classes,
    make_renamed_tag_metas,
    make_renamed_tags,
)

CLASSES = sly.ObjClassCollection(
    [sly.ObjClass("kiwi", sly.Bitmap, [1, 2, 3]), sly.ObjClass("leaf", sly.Polygon)]
)
TAGS = sly.TagMetaCollection([sly.TagMeta("ripe", sly.TagValueType.ANY_NUMBER), sly.TagMeta("cut", "none")])


@pytest.mark.parametrize(
    ("config", "kiwi", "leaf"),
    [
        ({}, "kiwi", "leaf"),
        ({"add_suffix": "_net"}, "kiwi_net", "leaf_net"),
        ({"add_suffix": "_net", "save_classes": "__all__"}, "kiwi_net", "leaf_net"),
        ({"add_suffix": "_net", "save_classes": ["leaf"]}, None, "leaf_net"),
        ({"save_names": ["kiwi"], "save_classes": ["leaf"]}, "kiwi", None),
        ({"save_classes": []}, None, None),
        ({"save_classes": "kiwi"}, None, None),
    ],
)
def test_a_config_says_what_is_kept_and_the_suffix(
    config: dict[str, object], kiwi: str | None, leaf: str | None
) -> None:
    for renamer in (Renamer.from_json(config), Renamer.from_json(Renamer.from_json(config).to_json())):
        assert (renamer.rename("kiwi"), renamer.rename("leaf")) == (kiwi, leaf)


def test_a_word_is_not_a_list_of_letters() -> None:
    assert (
        is_name_included("k", ["k"])
        and is_name_included("k", "__all__")
        and not is_name_included("k", "kiwi")
    )


def test_classes_and_kinds_of_tags_keep_what_is_not_their_name() -> None:
    classes = make_renamed_classes(CLASSES, Renamer("_net"))
    assert [one.to_json() for one in classes] == [
        {**one.to_json(), "title": f"{one.name}_net"} for one in CLASSES
    ]
    metas = make_renamed_tag_metas(TAGS, Renamer("_net", ["ripe"]), skip_missing=True)
    assert [(one.name, one.value_type) for one in metas] == [("ripe_net", sly.TagValueType.ANY_NUMBER)]


def test_what_is_not_kept_is_an_error_unless_it_may_be_left_out() -> None:
    some = Renamer("_net", ["leaf"])
    assert make_renamed_classes(CLASSES, some, skip_missing=True).keys() == ["leaf_net"]
    with pytest.raises(KeyError, match="kiwi"):
        make_renamed_classes(CLASSES, some)
    with pytest.raises(KeyError, match="ripe"):
        make_renamed_tag_metas(TAGS, some)


def test_objects_and_tags_find_their_new_classes() -> None:
    renamer = Renamer("_net", ["kiwi", "ripe"])
    target = make_renamed_classes(CLASSES, renamer, skip_missing=True)
    mapper = RenamingObjClassMapper(target, renamer)
    assert [one and one.name for one in map(mapper.map, CLASSES)] == ["kiwi_net", None]
    metas = RenamingTagMetaMapper(make_renamed_tag_metas(TAGS, renamer, skip_missing=True), renamer)
    tags = [sly.Tag(TAGS.items()[0], 0.25), sly.Tag(TAGS.items()[1])]
    assert [(tag.name, tag.value) for tag in make_renamed_tags(tags, metas)] == [("ripe_net", 0.25)]
    with pytest.raises(KeyError, match="cut"):
        make_renamed_tags(tags, metas, skip_missing=False)
