"""Figures of matplotlib: what the program shows or saves becomes a picture of its run."""

from __future__ import annotations

import functools
import itertools
import os
import re
from pathlib import Path
from typing import Any

from .reporting import guarded, report

_RUN = "RAVENML_RUN"
_FOLDER = "previews/figures"
_UNSAFE = re.compile(r"[^\w .()=+-]+")
_steps: dict[str, itertools.count[int]] = {}


def watch_pyplot(pyplot: Any) -> None:
    """Keep the open figures whenever the program shows them."""
    show = pyplot.show

    @functools.wraps(show)
    def showing(*args: Any, **kwargs: Any) -> Any:
        for number in pyplot.get_fignums():
            _keep(pyplot.figure(number), f"figure {number}")
        return show(*args, **kwargs)

    pyplot.show = showing


def watch_figure(figure: Any) -> None:
    """Keep each figure that the program saves to a file, whatever its format, as a PNG."""
    save = figure.Figure.savefig

    @functools.wraps(save)
    def saving(self: Any, fname: Any, *args: Any, **kwargs: Any) -> Any:
        result = save(self, fname, *args, **kwargs)
        if isinstance(fname, (str, os.PathLike)) and not _is_of_the_run(fname):
            _keep(self, Path(fname).stem, save)
        return result

    figure.Figure.savefig = saving


def _is_of_the_run(path: Any) -> bool:
    return str(os.path.abspath(path)).startswith(os.environ[_RUN] + os.sep)


@guarded
def _keep(figure: Any, title: str, save: Any = None) -> None:
    name = _UNSAFE.sub("_", title).strip(" .")[:100] or "figure"
    step = next(_steps.setdefault(name, itertools.count()))
    file = f"{_FOLDER}/{name}_{step:06d}.png"
    target = Path(os.environ[_RUN], file)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.part")
    (save or type(figure).savefig)(figure, beside, format="png")
    os.replace(beside, target)
    report("IMAGE", name=f"figures/{name}_{step:06d}", file=file, step=step)
