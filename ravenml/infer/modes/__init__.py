"""Inference modes: which parts of an image a network sees, and what is kept of its results.

A mode asks one thing of a network, ``infer(images, documents)`` (``interface.py``), so it serves ravenML's
predictors and networks written for Supervisely's contract alike. ``configs.py`` holds what can be set, in
the contract's shape; ``catalog.py`` lists the modes.

Windows (``grid.py``) are weighted by a ramp towards their middle. The weights are divided by their sum
beforehand, one side of the image at a time, so blending (``blending.py``) is one multiplication and one
addition per window. Rows that no further window reaches are given away at once, so memory holds one
window's height, not the image's. That, and finding the likeliest class, happens in a thread beside the
network's next windows. The predictor says how many windows go through the network at once.
``benchmarks/sliding_window.py`` compares with MONAI.
"""
