"""Inference engines: networks that run without the framework they were trained with.

A file with a graph is one that ravenML exported, from uint8 images to probabilities, or an ``.onnx`` of the
user's own with a YAML file beside it.  ``description.py`` is what such a file says of itself, ``runtime.py``
runs its graph with ONNX Runtime or OpenVINO, ``predictor.py`` makes a predictor of it, and ``export.py``
writes it: the plugin makes the graph, and no file stays that does not predict what the model predicts
(``compare.py``).

Nothing here imports an engine before a graph is opened.
"""
