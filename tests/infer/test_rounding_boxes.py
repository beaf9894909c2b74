"""The boxes that a network finds have fractions; objects have whole pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ravenml.data.geometry import Rectangle
from ravenml.data.meta import ObjClass
from ravenml.infer.network import PredictorNetwork

HEIGHT, WIDTH = 40, 60


class Finds:
    """A predictor that finds these boxes, whatever it is shown."""

    task = "detection"
    classes: Sequence[str] = ["droplet"]

    def __init__(self, *boxes: Sequence[float]) -> None:
        self.boxes = np.array([[*box, 0.9, 0] for box in boxes], np.float32)

    def predict(self, images: Any, **_: object) -> list[np.ndarray]:
        return [self.boxes for _ in images]


def found(*boxes: Sequence[float]) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom pixel of each object."""
    network = PredictorNetwork(Finds(*boxes), [ObjClass("droplet", "rectangle", (255, 0, 0))])
    (prediction,) = network.infer(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), [])
    shapes = [label.geometry for label in prediction.labels]
    return [(s.left, s.top, s.right, s.bottom) for s in shapes if isinstance(s, Rectangle)]


def test_an_edge_goes_to_the_nearest_pixel_and_not_outwards() -> None:
    assert found((3.4, 5.6, 20.4, 30.6)) == [(3, 6, 19, 30)]
    assert found((3.0, 5.0, 20.0, 30.0)) == [(3, 5, 19, 29)]


def test_what_reaches_beyond_the_image_is_cut_and_what_lies_outside_is_no_object() -> None:
    assert found((-7.2, -3, 70, 50)) == [(0, 0, WIDTH - 1, HEIGHT - 1)]
    assert found((-9, 2, -1, 8), (61, 2, 70, 8), (2, -5, 8, -0.5), (2, 41, 8, 50)) == []
    assert found((10.1, 10.1, 10.3, 10.3)) == [(10, 10, 10, 10)]  # less than a pixel is one


@given(
    st.tuples(
        st.floats(0, WIDTH - 2, width=32),
        st.floats(0, HEIGHT - 2, width=32),
        st.floats(1, WIDTH, width=32),
        st.floats(1, HEIGHT, width=32),
    )
)
def test_no_edge_moves_by_more_than_half_a_pixel(place: tuple[float, float, float, float]) -> None:
    left, top, width, height = place
    box = (left, top, min(left + width, WIDTH), min(top + height, HEIGHT))
    ((first, upper, last, lower),) = found(box)
    moved = np.subtract((first, upper, last + 1, lower + 1), box)
    assert np.abs(moved).max() <= 0.5 + 1e-4
