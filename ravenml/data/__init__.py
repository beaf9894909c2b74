"""``raven data``: Supervisely projects, masks, splits and folds, the cache, other formats (``formats/``).

``annotation.py`` reads what a mask needs and nothing else; trainings use it. Code that changes annotations
uses ``editable_annotation.py``, which keeps the file's own JSON and decodes the shape of an object when it
is asked for. Fields and objects that ravenML does not know are written back as they were read.
``transforms.py`` moves, cuts, scales and mirrors shapes; its promise is about drawn pixels (drawing what
was cut is cutting what was drawn), and it is tested like that. ``writing.py`` writes projects: images are
copied or symbolically linked, and an item exists once its annotation does, which is written last.

``project.py`` opens a project, ``cache.py`` keeps decoded images and masks, ``split.py`` and ``folds.py``
divide, ``masks.py`` and ``boxes.py`` make what networks learn from. ``samples.py`` is the reader for
plugins. ``image_header.py`` reads an image's size before anything decodes it. ``registry.py`` knows
datasets by name, ``remote.py`` those in a bucket.
"""
