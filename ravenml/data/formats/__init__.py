"""Annotation formats: a file per format, found through the entry-point group ``ravenml.plugins.data``.

A format (``base.py``) yields a ``Record`` per image, whose labels may be a function that another thread
calls, and a ``DataProblem`` in place of what is bad. Problems are values, so that the one loop in
``conversion.py`` decides whether they are reported or stop the import. That loop holds what all formats
share: ``image_finder.py`` finds images below one folder and never outside it, ``orient_and_clip.py`` turns
and clips objects to their image. Results come in the source's order, and so do classes. ``meta.json`` is
written last.

``export.py`` goes the other way. A format says which shapes it ``holds``; ``degrade.py`` changes the
others into those and counts them, so a writer never sees what it cannot write.

A COCO file is read twice, as Latin-1, so that characters are bytes (``json_stream.py``): ``coco_index.py``
keeps where each annotation stands and which image it belongs to, some 30 bytes each, and the threads of an
image read their own from there. A million annotations fit into a small machine that way.
"""
