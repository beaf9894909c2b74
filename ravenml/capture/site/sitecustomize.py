"""Begins the capture in a Python process below `raven run`, and runs the environment's own sitecustomize."""

import os
import sys


def _run_own() -> None:
    """Run the sitecustomize that this one hides, as Python would have."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    places = [place for place in sys.path if os.path.abspath(place or os.curdir) != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        found.loader.exec_module(module)


def _start_capture() -> None:
    import importlib.util

    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = importlib.util.spec_from_file_location(
        "_ravenml_capture", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert found is not None and found.loader is not None  # the file is there
    module = importlib.util.module_from_spec(found)
    sys.modules["_ravenml_capture"] = module
    found.loader.exec_module(module)
    module.start()


if os.environ.get("RAVENML_CAPTURE") and os.environ.get("RAVENML_EVENTS") and sys.version_info >= (3, 8):
    try:
        _start_capture()
    except Exception as error:
        print(f"raven: nothing of this process is captured: {error!r}", file=sys.stderr)
_run_own()
