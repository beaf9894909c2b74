"""Figures of matplotlib: what the program shows or saves becomes a picture of its run."""

from __future__ import annotations

import functools
import itertools
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from .metrics import reports
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
    if not reports():
        return
    name = _UNSAFE.sub("_", title).strip(" .")[:100] or "figure"
    folder = Path(os.environ[_RUN], _FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    step = _take_step(folder, name)
    file = f"{_FOLDER}/{name}_{step:06d}.png"
    target = Path(os.environ[_RUN], file)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    (save or type(figure).savefig)(figure, beside, format="png")
    os.replace(beside, target)
    report("IMAGE", name=f"figures/{name}_{step:06d}", file=file, step=step)


def _take_step(folder: Path, name: str) -> int:
    """The next number of a figure; processes that were forked count on where their parent was."""
    for step in _steps.setdefault(name, itertools.count()):
        with suppress(FileExistsError):
            os.close(os.open(folder / f"{name}_{step:06d}.png", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return step
    raise AssertionError("counting has no end")
