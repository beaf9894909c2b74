"""``supervisely_lib`` for plugins that import it: their own where there is one, else ravenML's SDK.

The agent puts this package on every plugin's path, before what is installed where the plugin runs.  So this
file is read by whatever interpreter an image has: nothing in it needs more than Python 3.5.
"""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder


def _find_bundled() -> "ModuleSpec | None":
    """The package of this name that the plugin brings, wherever it lies; None where it brings none."""
    own_folder = os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    own_file = os.path.realpath(os.path.abspath(__file__))
    others = [place for place in sys.path if os.path.realpath(place or os.getcwd()) != own_folder]
    found = PathFinder.find_spec(__name__, others)
    if found is None or not found.origin or os.path.realpath(found.origin) == own_file:
        return None
    return found


_found = _find_bundled()
if _found is not None:
    _package = importlib.util.module_from_spec(_found)
    sys.modules[__name__] = _package
    if _found.loader is not None:
        _found.loader.exec_module(_package)
elif sys.version_info < (3, 11):  # noqa: UP036
    raise ImportError(
        "There is no supervisely_lib for this Python {}.{}: ravenML's needs Python 3.11. "
        "Install the plugin's own (pip install supervisely).".format(*sys.version_info[:2])
    )
else:
    from ravenml.sly.module_alias import install_alias

    install_alias(sys.modules[__name__])
