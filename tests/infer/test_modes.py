"""Inference modes: which parts of an image a network sees, and what becomes of its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ravenml.data.editable_annotation import EditableAnnotation, Label
from ravenml.data.geometry import Bitmap, Point, Rectangle
from ravenml.data.masks import draw
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.errors import InputError, RavenError
from ravenml.infer.modes.blending import blend, most_likely
from ravenml.infer.modes.catalog import MODES, effective_config, make_mode
from ravenml.infer.modes.grid import Grid, make_axis
from ravenml.infer.modes.interface import ModeResult, Prediction
from ravenml.infer.modes.sliding import suppress

CLASSES = [
    ObjClass("__bg__", "bitmap", "#000000"),
    ObjClass("red", "bitmap", "#FF0000"),
    ObjClass("green", "bitmap", "#00FF00"),
]


class Colours:
    """A network for segmentation: the redder a pixel is, the likelier it is red; the like for green."""

    classes: Sequence[ObjClass] = CLASSES
    tags: Sequence[TagMeta] = ()

    def __init__(self, batch_size: int = 1) -> None:
        self.batch_size = batch_size
        self.seen: list[tuple[int, ...]] = []

    def infer(
        self, images: NDArray[np.uint8], documents: Sequence[EditableAnnotation], probabilities: bool = False
    ) -> list[Prediction]:
        self.seen.append(images.shape)
        assert [one.size for one in documents] == [images.shape[1:3]] * len(images)
        return [Prediction(probabilities=self.probabilities(image)) for image in images]

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        red, green = image[..., 0] / 510, image[..., 1] / 510
        return np.stack([1 - red - green, red, green]).astype(np.float32)


class Boxes:
    """A network for detection: a box around what is red, as sure as it is red; tags a picture with red."""

    classes: Sequence[ObjClass] = [ObjClass("red", "rectangle", "#FF0000")]
    tags: Sequence[TagMeta] = [TagMeta("confidence", "any_number"), TagMeta("reddish")]
    batch_size = 4

    def infer(
        self, images: NDArray[np.uint8], documents: Sequence[EditableAnnotation], probabilities: bool = False
    ) -> list[Prediction]:
        return [self.look(image) for image in images]

    def look(self, image: NDArray[np.uint8]) -> Prediction:
        rows, columns = np.nonzero(image[..., 0])
        if not rows.size:
            return Prediction()
        box = Rectangle(int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
        sure = {"name": "confidence", "value": rows.size / image[..., 0].size}
        return Prediction([Label.make("red", box, [sure])], [{"name": "reddish"}])


def picture(height: int = 90, width: int = 120, seed: int = 0) -> NDArray[np.uint8]:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image[height // 3 : height // 2, width // 4 : width // 2, 0] = 255
    return image


def run(
    network: Any, image: NDArray[np.uint8], document: EditableAnnotation | None = None, **mode: Any
) -> ModeResult:
    config = effective_config(mode, {}, "test")
    known = [ObjClass("house", "polygon", "#0000FF"), ObjClass("dot", "point", "#0000FF")]
    return make_mode(config, network, known).annotate(image, document or EditableAnnotation(image.shape[:2]))


def mask(labels: Sequence[Label], title: str, size: tuple[int, ...]) -> NDArray[np.uint8]:
    drawn = np.zeros(size[:2], np.uint8)
    for label in labels:
        if label.title == title:
            assert isinstance(label.geometry, Bitmap)
            draw(drawn, label.geometry, 1)
    return drawn


def box(label: Label) -> tuple[int, int, int, int]:
    assert isinstance(label.geometry, Rectangle)
    return label.geometry.left, label.geometry.top, label.geometry.right, label.geometry.bottom


# --- the whole image ------------------------------------------------------------------------------


def test_a_full_image_gets_a_bitmap_for_every_class_under_suffixed_names() -> None:
    image, network = picture(), Colours()
    old = Label.make("house", Rectangle(1, 2, 3, 4))
    outcome = run(
        network,
        image,
        EditableAnnotation((90, 120), (old,)),
        name="full_image",
        model_classes={"add_suffix": "_net"},
    )
    assert [label.title for label in outcome.document.labels] == ["house", "red_net", "green_net"]
    expected = most_likely(network.probabilities(image))
    assert (mask(outcome.added, "red_net", image.shape) == (expected == 2)).all()
    assert outcome.probabilities is None


def test_only_the_chosen_classes_are_kept_and_the_background_never() -> None:
    chosen = run(Colours(), picture(), name="full_image", model_classes={"save_classes": ["green", "__bg__"]})
    assert [label.title for label in chosen.added] == ["green"]


def test_probabilities_are_given_where_the_config_asks_for_them() -> None:
    image, network = picture(), Colours()
    outcome = run(network, image, name="full_image", save_probabilities=True)
    assert outcome.probabilities is not None and outcome.probabilities.dtype == np.float16
    assert np.allclose(outcome.probabilities, network.probabilities(image), atol=1e-3)


def test_images_of_one_size_go_through_the_network_together_and_come_back_in_order() -> None:
    network = Colours()
    images = [picture(seed=1), picture(40, 50), picture(seed=2)]
    mode = make_mode(effective_config({"name": "full_image"}, {}, "test"), network)
    outcomes = mode.annotate_all(images, [EditableAnnotation(image.shape[:2]) for image in images])
    assert sorted(shape[0] for shape in network.seen) == [1, 2]
    for image, outcome in zip(images, outcomes, strict=True):
        assert (
            mask(outcome.added, "red", image.shape) == (most_likely(network.probabilities(image)) == 2)
        ).all()


def test_tags_of_the_image_and_of_objects_are_named_and_chosen_too() -> None:
    image = picture()
    outcome = run(
        Boxes(), image, name="full_image", model_tags={"add_suffix": "_net", "save_names": "__all__"}
    )
    assert [tag["name"] for tag in outcome.document.tags] == ["reddish_net"]
    assert [tag["name"] for tag in outcome.added[0].tags] == ["confidence_net"]
    none = run(Boxes(), image, name="full_image", model_tags={"save_names": []})
    assert none.document.tags == () and none.added[0].tags == []
    config = effective_config({"name": "full_image", "model_tags": {"add_suffix": "_x"}}, {}, "test")
    assert [tag.name for tag in make_mode(config, Boxes()).tags] == ["confidence_x", "reddish_x"]


# --- a region, and boxes --------------------------------------------------------------------------


def test_a_region_is_what_the_bounds_leave_and_results_lie_where_they_should() -> None:
    image, network = picture(), Colours()
    bounds = {"left": "10px", "top": "50%", "right": "25%", "bottom": "0px"}
    outcome = run(network, image, name="roi", bounds=bounds, save=True, save_probabilities=True)
    assert network.seen == [(1, 45, 80, 3)]
    expected = np.zeros(image.shape[:2], np.uint8)
    expected[45:, 10:90] = (most_likely(network.probabilities(image)) == 2)[45:, 10:90]
    assert (mask(outcome.added, "red", image.shape) == expected).all()
    assert outcome.added[-1].title == "inference_roi" and box(outcome.added[-1]) == (10, 45, 89, 89)
    assert outcome.probabilities is not None and not outcome.probabilities[:, :45].any()
    assert outcome.probabilities[:, 45:, 10:90].any()


def test_bounds_that_leave_nothing_are_named() -> None:
    with pytest.raises(InputError, match=r"mode\.bounds: nothing is left of an image of 120×90"):
        run(Colours(), picture(), name="roi", bounds={"left": "60%", "right": "40%"})


def test_boxes_of_objects_are_padded_and_cut_to_the_image() -> None:
    image, network = picture(), Colours()
    known = (Label.make("house", Rectangle(0, 10, 39, 29)), Label.make("dot", Point(100, 80)))
    padding = {"left": "5px", "top": "10%", "right": "50%", "bottom": "1px"}
    outcome = run(
        network,
        image,
        EditableAnnotation((90, 120), known),
        name="bboxes",
        padding=padding,
        from_classes=["house"],
        save=True,
    )
    assert network.seen == [(1, 23, 60, 3)]
    saved = next(label for label in outcome.added if label.title == "house_input_bbox")
    assert box(saved) == (0, 8, 59, 30)
    red = mask(outcome.added, "red", image.shape)
    assert (red[8:31, :60] == (most_likely(network.probabilities(image)) == 2)[8:31, :60]).all()
    assert not red[31:].any() and {label.title for label in outcome.document.labels} >= {"house", "dot"}


def test_without_a_choice_every_object_is_looked_at_and_gets_the_tags_of_its_box() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    image[12:15, 12:20, 0] = 200
    known = (Label.make("house", Rectangle(10, 10, 30, 30)), Label.make("dot", Point(100, 80)))
    outcome = run(Boxes(), image, EditableAnnotation((90, 120), known), name="bboxes")
    found, house, dot = outcome.document.labels
    assert found.title == "red" and box(found) == (12, 12, 19, 14)
    assert [tag["name"] for tag in house.tags] == ["reddish"] and dot.tags == []


# --- windows ----------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 99))
def test_windows_cover_a_side_and_their_weights_add_up_to_one(length: int, window: int, overlap: int) -> None:
    overlap = min(overlap, window - 1)
    axis = make_axis(length, window, overlap)
    total = np.zeros(axis.length)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        assert (weights > 0).all()
        total[start : start + window] += weights
    assert np.allclose(total, 1, atol=1e-5) and axis.starts[-1] + window == axis.length
    steps = np.diff(axis.starts)
    assert (steps <= window - overlap).all() and (steps > 0).all()


@given(st.integers(20, 70), st.integers(20, 70), st.integers(1, 40), st.integers(0, 39), st.integers(1, 5))
def test_a_network_that_sees_pixels_alone_says_the_same_in_windows(
    height: int, width: int, window: int, overlap: int, batch: int
) -> None:
    image, network = picture(height, width), Colours()
    grid = Grid.over((height, width), (window, window), (min(overlap, window - 1),) * 2)
    result = np.full((3, height, width), np.nan, np.float32)
    predict = lambda tiles: [network.probabilities(tile) for tile in tiles]  # noqa: E731

    def take(top: int, band: np.ndarray) -> None:
        assert np.isnan(result[:, top : top + band.shape[1]]).all(), "each row once"
        result[:, top : top + band.shape[1]] = band

    blend(grid, image, 3, predict, take, batch)
    assert np.allclose(result, network.probabilities(image), atol=1e-5)


def test_seams_do_not_show_even_where_windows_disagree() -> None:
    # Each window says something else, from 0 to 1; side by side they would differ by up to 1 at a seam.
    random = np.random.default_rng(0)
    grid = Grid.over((200, 300), (64, 64), (16, 16))
    says = lambda tiles: [np.full((1, 64, 64), random.random(), np.float32) for _ in tiles]  # noqa: E731
    bands: list[np.ndarray] = []
    image = np.zeros((200, 300, 3), np.uint8)
    blend(grid, image, 1, says, lambda top, band: bands.append(band.copy()))
    result = np.concatenate(bands, axis=1)[0]
    assert result.shape == (200, 300)
    assert max(np.abs(np.diff(result, axis=0)).max(), np.abs(np.diff(result, axis=1)).max()) < 0.08


@pytest.mark.parametrize("size", [(90, 120), (30, 200), (20, 25)])
@pytest.mark.parametrize("batch", [1, 3])
def test_sliding_windows_give_the_whole_image_s_objects_whatever_its_size(
    size: tuple[int, int], batch: int
) -> None:
    image, network = picture(*size), Colours(batch)
    outcome = run(
        network,
        image,
        name="sliding_window",
        window={"width": 48, "height": 40},
        min_overlap={"x": 8, "y": 8},
        save_probabilities=True,
    )
    assert all(shape[1:3] == (40, 48) for shape in network.seen) and network.seen[0][0] <= batch
    assert (mask(outcome.added, "red", image.shape) == (most_likely(network.probabilities(image)) == 2)).all()
    assert outcome.probabilities is not None and outcome.probabilities.shape == (3, *size)


def test_the_windows_themselves_are_kept_where_that_is_asked_for() -> None:
    outcome = run(
        Colours(),
        picture(60, 100),
        name="sliding_window",
        window={"width": 50, "height": 60},
        save=True,
        class_name="here",
    )
    assert [box(one) for one in outcome.added if one.title == "here"] == [(0, 0, 49, 59), (50, 0, 99, 59)]


def test_a_detector_cannot_be_blended_and_is_told_what_can_be_done() -> None:
    with pytest.raises(RavenError, match="sliding_window_det"):
        run(Boxes(), picture(), name="sliding_window")


def detected(image: NDArray[np.uint8], **nms: Any) -> list[tuple[int, int, int, int]]:
    outcome = run(
        Boxes(),
        image,
        name="sliding_window_det",
        window={"width": 40, "height": 40},
        min_overlap={"x": 20, "y": 20},
        nms_after=nms,
    )
    return [box(label) for label in outcome.added]


def test_boxes_of_all_windows_are_moved_into_the_image_and_the_surest_of_each_place_stays() -> None:
    image = np.zeros((80, 100, 3), np.uint8)
    image[22:35, 22:38, 0] = 255
    every = detected(image, enable=False)
    assert len(every) == 4 and set(every) == {(22, 22, 37, 34)}
    assert detected(image, enable=True, iou_threshold=0.2) == [(22, 22, 37, 34)]


def test_of_boxes_that_are_equally_sure_the_one_found_last_stays() -> None:
    class Constant(Boxes):
        def look(self, image: NDArray[np.uint8]) -> Prediction:
            sure = {"name": "confidence", "value": 0.5}
            first, second = Rectangle(0, 0, 9, 9), Rectangle(0, 1, 9, 9)
            return Prediction([Label.make("red", one, [sure]) for one in (first, second)])

    image = np.zeros((20, 20, 3), np.uint8)
    window, nms = {"width": 20, "height": 20}, {"enable": True, "iou_threshold": 0.5}
    outcome = run(Constant(), image, name="sliding_window_det", window=window, nms_after=nms)
    assert [box(label) for label in outcome.added] == [(0, 1, 9, 9)]


def test_what_windows_cannot_be_put_together_of_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Masks(Boxes):
        def look(self, image: NDArray[np.uint8]) -> Prediction:
            sure = {"name": "confidence", "value": 0.5}
            shapes = Rectangle(0, 0, 9, 9), Bitmap((2, 2), np.ones((3, 3), bool))
            return Prediction([Label.make("red", one, [sure]) for one in shapes])

    image = np.zeros((20, 40, 3), np.uint8)
    window = {"width": 20, "height": 20}
    outcome = run(Masks(), image, name="sliding_window_det", window=window, min_overlap={"x": 0, "y": 0})
    assert [label.kind for label in outcome.added] == ["rectangle"] * 2
    (said,) = caplog.messages
    assert "keeps rectangles only" in said and "shape bitmap" in said


def test_boxes_need_a_tag_that_says_how_sure_they_are() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    with pytest.raises(InputError, match=r"confidence_tag_name: the model's boxes have no tag 'sure'"):
        detected(image, enable=True, confidence_tag_name="sure")


@given(
    st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 10)] * 2, st.floats(0, 1)), max_size=12),
    st.sampled_from([0.0, 0.3, 0.7]),
)
def test_suppression_keeps_the_surest_and_nothing_that_overlaps_it_too_much(
    drawn: list[tuple[int, int, int, int, float]], threshold: float
) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in drawn], float).reshape(-1, 4)
    scores = np.array([one[4] for one in drawn])
    kept = suppress(boxes, scores, threshold)

    def iou(a: int, b: int) -> float:
        first, second = np.zeros((2, 40, 40), bool)
        for mask, (left, top, right, bottom) in ((first, boxes[a]), (second, boxes[b])):
            mask[int(top) : int(bottom), int(left) : int(right)] = True
        return float((first & second).sum() / (first | second).sum())

    for index in range(len(drawn)):
        rivals = [other for other in kept if other != index and scores[other] >= scores[index]]
        if index in kept:
            assert all(iou(index, other) <= threshold for other in kept if other != index)
        else:
            assert any(iou(index, other) > threshold for other in rivals)


# --- configs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODES)
def test_every_mode_has_a_default_config_that_it_accepts(name: str) -> None:
    config = MODES[name].make_default_config("_net")
    assert config["name"] == name and config["save_probabilities"] is False
    assert config["model_classes"] == {"save_classes": "__all__", "add_suffix": "_net"}
    assert effective_config(config, {}, "test").model_dump() == config


def test_defaults_are_the_contract_s() -> None:
    assert MODES["roi"].make_default_config("")["bounds"] == dict.fromkeys(
        ("left", "top", "right", "bottom"), "0px"
    )
    boxes = MODES["bboxes"].make_default_config("")
    assert boxes["from_classes"] == "__all__" and boxes["add_suffix"] == "_input_bbox" and not boxes["save"]
    windows = MODES["sliding_window_det"].make_default_config("")
    assert windows["window"] == {"width": 128, "height": 128} and windows["min_overlap"] == {"x": 0, "y": 0}
    assert windows["nms_after"] == {
        "enable": False,
        "iou_threshold": 0.0,
        "confidence_tag_name": "confidence",
    }


def test_what_is_given_lies_over_the_default_of_the_same_mode_alone() -> None:
    default = {"name": "roi", "bounds": {"left": "5px"}, "model_classes": {"add_suffix": "_net"}}
    roi = effective_config({"bounds": {"top": "1%"}}, default, "test").model_dump()
    assert roi["bounds"] == {"left": "5px", "top": "1%", "right": "0px", "bottom": "0px"}
    assert roi["model_classes"]["add_suffix"] == "_net"
    assert effective_config({"name": "full_image"}, default, "test").model_classes.add_suffix == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "roy"}, "`mode.name` should be one of full_image, roi"),
        ({"name": "roi", "bounds": {"left": "5"}}, "`mode.bounds.left`"),
        ({"name": "roi", "bouns": {}}, "`mode.bouns` is not a known field; did you mean `bounds`?"),
        ({"name": "sliding_window", "window": {"width": 0}}, "`mode.window.width` should be greater than"),
        ({"name": "sliding_window", "min_overlap": {"x": 200, "y": 0}}, "`mode.min_overlap` must be smaller"),
        ({"name": "bboxes", "from_classes": "all"}, "`mode.from_classes"),
        ({"name": "full_image", "model_classes": 3}, "`mode.model_classes` should hold fields"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        effective_config(given, {}, "my.json")
    assert said in str(caught.value) and str(caught.value).startswith("my.json: ")


@given(st.integers(1, 6), st.sampled_from([np.float32, np.float16]), st.integers(0, 2**32 - 1))
def test_the_likeliest_class_is_the_first_with_the_largest_probability(
    classes: int, kind: Any, seed: int
) -> None:
    said = (np.random.default_rng(seed).integers(0, 5, (classes, 9, 7)) / 4).astype(kind)
    expected = said.argmax(axis=0) + 1 if classes > 1 else said[0] > 0.5
    assert (most_likely(said) == expected).all()


def test_more_classes_than_a_byte_can_number_are_told_apart() -> None:
    said = np.zeros((300, 2, 2), np.float32)
    said[299, 0, 1] = 1
    numbers = most_likely(said)
    assert numbers.dtype == np.uint16 and numbers.tolist() == [[1, 300], [1, 1]]


def test_either_name_of_a_choice_is_taken_and_the_newer_one_counts() -> None:
    default = {"name": "full_image", "model_tags": {"save_classes": ["a"]}}
    for part, own, other in (
        ("model_classes", "save_classes", "save_names"),
        ("model_tags", "save_names", "save_classes"),
    ):
        config = effective_config({part: {other: ["b"]}}, default, "test").model_dump()
        assert config[part] == {own: ["b"], "add_suffix": ""}
        both = {"save_names": ["new"], "save_classes": ["old"]}
        assert effective_config({part: both}, default, "test").model_dump()[part][own] == ["new"]
    assert effective_config({}, default, "test").model_dump()["model_tags"]["save_names"] == ["a"]
