"""Boxes drawn into images, and charts of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.toolkit.previews import panel_scale, stack_panels
from ravenml_tf_bbox.confusion import SURE

if TYPE_CHECKING:
    from ravenml_tf_bbox.evaluation import Evaluation

IOUS = {0.5: 0, 0.75: 5}  # the overlaps that curves are drawn for, and their places in COCO's list


def draw_boxes(
    image: NDArray[np.uint8], boxes: NDArray[Any], palette: NDArray[np.uint8], scored: bool
) -> NDArray[np.uint8]:
    """Draw boxes in their classes' colours into a darkened image.

    Args:
        image: uint8 RGB ``(H, W, 3)``; a small one is enlarged.
        boxes: edges in pixels and, last, the class; before it the score where ``scored``.
        palette: uint8 RGB per class, ``(C, 3)``.
        scored: leave out what is less sure than one half, and write the scores where there is room.
    """
    scale = panel_scale(image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    result = (cv2.resize(image, size, interpolation=how) * 0.75).astype(np.uint8)
    for box in boxes[::-1]:  # the likeliest last, on top
        if scored and box[4] < SURE:
            continue
        colour = [int(channel) for channel in palette[int(box[-1])]]
        left, top, right, bottom = (round(float(edge) * scale) for edge in box[:4])
        cv2.rectangle(result, (left, top), (right - 1, bottom - 1), colour, 1)
        if scored and right - left >= 24:
            place = (left + 2, max(top - 3, 9))
            cv2.putText(
                result, f"{box[4]:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.32, colour, 1, cv2.LINE_AA
            )
    return result


def side_by_side(
    image: NDArray[np.uint8],
    truth: NDArray[Any],
    found: NDArray[Any],
    palette: NDArray[np.uint8],
    caption: str,
) -> NDArray[np.uint8]:
    """Put an image with its true and with its predicted boxes next to each other: uint8 RGB.

    Args:
        truth: ``(K, 5)``: edges, class index.
        found: ``(D, 6)``: edges, score, class index.
        caption: what stands above the prediction.
    """
    panels = [draw_boxes(image, truth, palette, False), draw_boxes(image, found, palette, True)]
    return stack_panels(panels, ("truth", caption))


def plot_precision_recall(evaluation: Evaluation) -> NDArray[np.uint8]:
    """Precision over recall of every class at overlaps of 0.5 and 0.75, as COCO interpolates it."""
    from matplotlib.figure import Figure

    from ravenml.toolkit.pictures import render_figure

    precision = evaluation.coco.eval["precision"]  # overlaps, recalls, classes, areas, most detections
    recalls = evaluation.coco.params.recThrs
    figure = Figure(figsize=(10, 4.5), dpi=100, layout="constrained")
    for number, (overlap, place) in enumerate(IOUS.items(), start=1):
        axes = figure.add_subplot(1, len(IOUS), number)
        for index, title in enumerate(evaluation.titles):
            values = precision[place, :, index, 0, -1]
            if (values > -1).all():
                axes.plot(recalls, values, label=f"{title} ({values.mean():.2f})")
        axes.set(title=f"IoU ≥ {overlap}", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        if axes.lines and len(evaluation.titles) <= 20:
            axes.legend(fontsize=8)
    return render_figure(figure)


def make_palette(colours: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """The classes' colours, ``(C, 3)``; those too dark to be seen are lightened."""
    found = np.array(colours, np.int64).reshape(-1, 3)
    dark = found.max(axis=1, keepdims=True) < 96
    return np.where(dark, found + 128, found).astype(np.uint8)
