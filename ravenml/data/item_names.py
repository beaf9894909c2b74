"""Names that datasets and items may have: valid UTF-8, and no control characters such as a line break.

Other names come from archives that were made with another encoding.  Linux keeps them; JSON, databases and
buckets do not, and a line break ends a line in every list of names.
"""

from __future__ import annotations

import re

_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def why_unusable(name: str) -> str:
    """Why a name cannot be that of an item, as the end of a sentence; empty where it can."""
    found = _UNUSABLE.search(name)
    if found is None:
        return ""
    return "has a name that is not UTF-8" if found[0] >= "\ud800" else "has a control character in its name"


def usable_name(name: str) -> str:
    """A name with ``_`` in place of what it may not have."""
    return _UNUSABLE.sub("_", name)
