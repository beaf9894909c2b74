"""TensorBoard writers that a script has left open: what they hold back is written before its run ends."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

# The classes of those that write in a thread of their own, or only when told to, by their modules.
_WRITERS = {
    "torch.utils.tensorboard.writer": ("SummaryWriter",),
    "tensorboardX.writer": ("SummaryWriter",),
    "tensorflow.python.ops.summary_ops_v2": ("SummaryWriter",),
    "tensorboard.summary.writer.event_file_writer": ("EventFileWriter",),
}


def flush_writers() -> None:
    """Flush every open TensorBoard writer of this process; nothing is imported for it."""
    kinds = tuple(
        kind
        for module, names in _WRITERS.items()
        if module in sys.modules
        for name in names
        if isinstance(kind := getattr(sys.modules[module], name, None), type)
    )
    if not kinds:
        return
    for one in gc.get_objects():
        # `type`, since `isinstance` would ask the object itself, which proxies answer by doing things
        if issubclass(type(one), kinds):
            with suppress(Exception):  # closed already, or its disk is full
                one.flush()
