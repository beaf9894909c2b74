"""Run by the package `supervisely`, in an environment of its own: opens a project, or writes one.

python their_sdk.py open PROJECT MASKS.npz     draws each annotation's objects, in order
python their_sdk.py copy PROJECT TARGET        reads every item and writes it again with their SDK
"""

import sys

import numpy as np
import supervisely as sly


def masks(project):
    """Each item's mask, and what its objects are."""
    titles = [one.name for one in project.meta.obj_classes]
    for dataset in project.datasets:
        for name in dataset:
            ann = dataset.get_ann(name, project.meta)
            mask = np.zeros(ann.img_size, np.uint8)
            for label in ann.labels:
                label.geometry.draw(mask, titles.index(label.obj_class.name) + 1)
            kinds = [f"{label.obj_class.name}:{label.geometry.geometry_name()}" for label in ann.labels]
            tags = sorted(f"{tag.name}={tag.value}" for tag in ann.img_tags)
            yield f"{dataset.name}/{name}", mask, [*kinds, *tags]


def main(what, source, target):
    project = sly.Project(source, sly.OpenMode.READ)
    if what == "open":
        found = list(masks(project))
        arrays = {key: mask for key, mask, _ in found}
        np.savez(target, **arrays, **{f"about {key}": np.array(about) for key, _, about in found})
        return
    made = sly.Project(target, sly.OpenMode.CREATE)
    made.set_meta(project.meta)
    for dataset in project.datasets:
        new = made.create_dataset(dataset.name)
        for name in dataset:
            new.add_item_file(name, dataset.get_img_path(name), ann=dataset.get_ann(name, project.meta))


main(*sys.argv[1:])
