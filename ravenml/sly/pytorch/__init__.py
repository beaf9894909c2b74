"""For plugins on PyTorch: the parts of Supervisely's SDK that are made for it.

PyTorch is the plugin's own, and is imported when one of these is used.
"""
