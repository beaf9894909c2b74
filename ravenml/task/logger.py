"""``Logger``: numbers, pictures, tables and texts of a script, under ClearML's names."""

from __future__ import annotations

import csv as csv_module
import io
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject, to_jsonable
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.task.backend import RunBackend
from ravenml.task.names import ClearMLName

_UNSAFE = re.compile(r"[^\w .()=+-]+")
_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}


@dataclass
class SeriesInfo:
    """A line of ``report_line_plot``: its name, and its points, of shape ``(N, 2)``."""

    name: str
    data: Any
    labels: Sequence[str] | None = None


class Logger(ClearMLName):
    """What a task reports with; ``task.get_logger()`` and ``Logger.current_logger()`` give it.

    ``title`` and ``series`` name a curve or picture, ``iteration`` is its step.  A scalar's address is
    ``<title>/<series>``.
    """

    _current: Logger | None = None

    def __init__(self, backend: RunBackend) -> None:
        self._backend = backend

    @classmethod
    def current_logger(cls) -> Logger | None:
        """The logger of the task of this process; None before ``Task.init``."""
        return cls._current

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        """Report a number of a curve; it is on disk when this returns."""
        number = to_jsonable(value, f"{title}/{series}")
        self._backend.event("METRICS", "metrics", type=title, metrics={series: number}, step=int(iteration))

    def report_single_value(self, name: str, value: float) -> None:
        """Report a number that has no curve."""
        self._backend.event("METRICS", "metrics", type="summary", metrics={name: to_jsonable(value, name)})

    def report_text(
        self, msg: str, level: int = logging.INFO, print_console: bool = True, *args: Any, **_: object
    ) -> None:
        """Say something in words, and print it unless ``print_console`` is off."""
        text = msg % args if args else str(msg)
        if print_console:
            print(text)
        self._backend.event("TEXT", text, _LEVELS.get(level, "error" if level >= logging.ERROR else "info"))

    def report_image(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        local_path: str | None = None,
        image: Any = None,
        matrix: Any = None,
        max_image_history: int | None = None,
        delete_after_upload: bool = False,
        url: str | None = None,
    ) -> None:
        """Keep a picture.

        Args:
            local_path: a picture file; or
            image: an array of shape ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, uint8
                0…255 or float 0…1, or a PIL image.
            matrix: the same, under its old name.

        Raises:
            InputError: there is no such file, or the array is none of these.
        """
        given = image if image is not None else matrix
        if url is not None:
            self._refer("image", title, series, iteration, url)
            return
        if local_path is not None:
            path = Path(local_path)
            if not path.is_file():
                raise InputError(f"report_image: {path} does not exist.")
            content, suffix = path.read_bytes(), path.suffix
            if delete_after_upload:
                path.unlink()
        elif given is not None:
            content, suffix = _encode_image(given, f"report_image: {title}/{series}"), ".png"
        else:
            raise InputError(f"report_image: {title}/{series} needs image=, matrix= or local_path=.")
        self._keep_image(title, series, iteration, content, suffix)

    def report_matplotlib_figure(
        self, title: str, series: str, figure: Any, iteration: int | None = None, **_: object
    ) -> None:
        """Keep a figure as a picture; ``figure`` is a Figure, or ``pyplot`` for the current one."""
        figure = figure.gcf() if hasattr(figure, "gcf") else figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        self._keep_image(title, series, iteration, buffer.getvalue(), ".png")

    def _keep_image(
        self, title: str, series: str, iteration: int | None, content: bytes, suffix: str
    ) -> None:
        step = int(iteration or 0)
        name = f"{_part(title)}/{_part(series)}_{step:06d}"
        file = f"{layout.PREVIEWS}/{name}{suffix}"
        if self._backend.keep(file, content):
            self._backend.event("IMAGE", "image", name=name, file=file, step=step)

    def report_media(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        local_path: str | None = None,
        stream: Any = None,
        file_extension: str | None = None,
        url: str | None = None,
        **_: object,
    ) -> None:
        """Keep a file of any kind: ``local_path``, or a ``stream`` with its ``file_extension``.

        Args:
            url: where it is instead; only the address is kept.

        Raises:
            InputError: there is no such file, or none of them is given.
        """
        if url is not None:
            self._refer("media", title, series, iteration, url)
            return
        if local_path is None and stream is None:
            raise InputError(f"report_media: {title}/{series} needs local_path=, stream= or url=.")
        if local_path is not None and not Path(local_path).is_file():
            raise InputError(f"report_media: {local_path} does not exist.")
        if local_path is not None:
            content, suffix = Path(local_path).read_bytes(), Path(local_path).suffix
        else:
            content = stream.getvalue()
            content, suffix = content.encode() if isinstance(content, str) else content, file_extension or ""
        self._keep("media", title, series, iteration, content, f".{suffix.lstrip('.')}" if suffix else "")

    def report_table(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        table_plot: Any = None,
        csv: str | None = None,
        url: str | None = None,
        extra_layout: object = None,
        extra_data: object = None,
    ) -> None:
        """Keep a table as CSV.

        Args:
            table_plot: a DataFrame, or rows with a header; or
            csv: a file; or
            url: where a CSV is; only the address is kept.

        Raises:
            InputError: none of them is given.
        """
        if url is not None:
            self._refer("table", title, series, iteration, url)
            return
        if csv is not None:
            content = Path(csv).read_bytes()
        elif hasattr(table_plot, "to_csv"):
            content = str(table_plot.to_csv()).encode()
        elif table_plot is not None:
            buffer = io.StringIO()
            csv_module.writer(buffer).writerows(table_plot)
            content = buffer.getvalue().encode()
        else:
            raise InputError(f"report_table: {title}/{series} needs table_plot=, csv= or url=.")
        self._keep("table", title, series, iteration, content, ".csv")

    def report_plotly(self, title: str, series: str, figure: Any, iteration: int | None = None) -> None:
        """Keep a plotly figure as JSON."""
        content = figure if isinstance(figure, Mapping) else json.loads(figure.to_json())
        self._keep("plotly", title, series, iteration, _json(content), ".json")

    def _keep(
        self, kind: str, title: str, series: str, iteration: int | None, content: bytes, suffix: str
    ) -> None:
        step = int(iteration or 0)
        file = f"{layout.ARTIFACTS}/{kind}/{_part(title)}/{_part(series)}_{step:06d}{suffix}"
        name, size = f"{title}/{series}", len(content)
        if self._backend.keep(file, content):
            self._backend.event(
                "ARTIFACT", "artifact", kind=kind, name=name, file=file, step=step, sizeb=size
            )

    def _refer(self, kind: str, title: str, series: str, iteration: int | None, url: str) -> None:
        """Keep the address of something that lies elsewhere."""
        name, step = f"{title}/{series}", int(iteration or 0)
        self._backend.event("ARTIFACT", "artifact", kind=kind, name=name, uri=url, step=step)

    def flush(self, wait: bool = False) -> bool:
        """Everything is on disk already."""
        return True

    def get_default_upload_destination(self) -> str:
        """Where pictures stay: the run's folder."""
        return str(self._backend.folder)

    def set_default_upload_destination(self, uri: str) -> None:
        """Pictures stay in the run's folder, whatever stands here."""

    def set_flush_period(self, period: float) -> None:
        """There is nothing to flush."""

    def set_default_debug_sample_history(self, max_history: int) -> None:
        """Every picture is kept."""


def _plot(kind: str) -> Callable[..., None]:
    def report(
        self: Logger, title: str, series: Any, *data: object, iteration: int | None = None, **named: object
    ) -> None:
        name = series if isinstance(series, str) else "series"
        shown = series if name == series else _plain(series)
        content: JsonObject = {"title": title, "series": shown, "iteration": iteration}
        values = {f"data{index or ''}": value for index, value in enumerate(data)}
        given = {key: value for key, value in {**values, **named}.items() if value is not None}
        self._keep(kind, title, name, iteration, _json({**content, **given}), ".json")

    report.__name__ = f"report_{kind}"
    report.__doc__ = f"Keep the data of a plot ({kind}) as JSON, as they are given."
    return report


for _kind in (
    *("histogram", "vector", "matrix", "confusion_matrix", "surface"),
    *("scatter2d", "scatter3d", "line_plot"),
):
    setattr(Logger, f"report_{_kind}", _plot(_kind))


def _encode_image(image: Any, place: str) -> bytes:
    """A picture as PNG.

    Args:
        image: ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, uint8 0…255, float 0…1 (or
            0…255) or bool; a PIL image; a tensor on the CPU.
        place: what the sentence begins with.

    Raises:
        InputError: it has another shape.
    """
    if hasattr(image, "save") and hasattr(image, "convert"):
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return buffer.getvalue()
    import cv2
    import numpy as np

    array = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        array = np.nan_to_num(array)
        array = np.clip(array * 255 if array.size and array.max() <= 1 else array, 0, 255).astype(np.uint8)
    array = np.clip(array, 0, 255).astype(np.uint8)
    codes = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or not array.size or channels not in codes:
        raise InputError(
            f"{place} has the shape {array.shape}; a picture has (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)."
        )
    code = codes[channels]
    ready = np.ascontiguousarray(array)
    return bytes(cv2.imencode(".png", ready if code is None else cv2.cvtColor(ready, code))[1].tobytes())


def _plain(series: object) -> object:
    """The series of a plot that has several, as mappings: ClearML's are objects with a name and data."""
    several = series if isinstance(series, list | tuple) else [series]
    return [one if isinstance(one, Mapping) else getattr(one, "__dict__", str(one)) for one in several]


def _json(value: object) -> bytes:
    try:
        return json.dumps(to_jsonable(value, "plot"), ensure_ascii=False).encode()
    except Exception:
        return json.dumps(value, default=str, ensure_ascii=False).encode()


def _part(text: str) -> str:
    """A title or series as part of a file's name."""
    return _UNSAFE.sub("_", str(text)).strip(" .")[:100] or "_"


__all__: Sequence[str] = ["Logger", "SeriesInfo"]
