"""Files with a graph: what they say of themselves, and what comes of it with each engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from as_user import Raven
from graph_files import ABOUT, write_graph
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import ravenml
from ravenml.data.masks import draw_mask
from ravenml.data.project import Project
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.compare import evenly
from ravenml.infer.engines.description import read_description
from ravenml.infer.engines.predictor import GraphPredictor, open_graph
from ravenml.infer.model_resolver import find_source

onnx = pytest.importorskip("onnx", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("onnxruntime", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("openvino", reason="the extra ravenml[engines] is not installed")

ENGINES = ("onnxruntime", "openvino")


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """Soft colours, of another size than the network's."""
    rough = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (40, 33), interpolation=cv2.INTER_LINEAR), np.uint8)


def redness(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the graph says of an image, worked out without an engine."""
    small = cv2.resize(image, (16, 12), interpolation=cv2.INTER_LINEAR)[..., 0] / np.float32(255)
    return np.asarray(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_of_ones_own_predicts_at_the_images_size(
    tmp_path: Path, image: NDArray[np.uint8], engine: str
) -> None:
    predictor = open_graph(write_graph(tmp_path / "red.onnx", ABOUT), engine, "32")
    said = predictor.predict(np.stack([image, image[::-1]]), "probabilities")
    assert said.shape == (2, 2, 33, 40) and said.dtype == np.float32
    np.testing.assert_allclose(said[0, 1], redness(image), atol=1e-5)
    np.testing.assert_allclose(said[0].sum(axis=0), 1, atol=1e-5)
    labels = predictor.predict(image[None])
    assert labels.dtype == np.uint8 and np.array_equal(labels[0], said[0].argmax(axis=0))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_batch_is_predicted_as_its_images_are_one_by_one(tmp_path: Path, engine: str, count: int) -> None:
    predictor = open_graph(write_graph(tmp_path / "red.onnx", ABOUT), engine, "32")
    images = np.random.default_rng(1).integers(0, 256, (count, 20, 24, 3), dtype=np.uint8)
    for _ in range(5):  # images that keep coming alone go another way
        together = predictor.predict(images, "probabilities")
    alone = [predictor.predict(one[None], "probabilities")[0] for one in images]
    assert len(together) == count
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, lambda red: red),
        ({"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}, lambda red: (red - 0.5) / 0.25),
        ({"scale": 1.0}, lambda red: red * 255),
    ],
)
def test_pixels_are_normalised_as_the_description_says(
    tmp_path: Path, engine: str, more: dict[str, Any], expected: Any
) -> None:
    about = {**ABOUT, "input": {**ABOUT["input"], **more}}
    predictor = open_graph(write_graph(tmp_path / "red.onnx", about), engine, "32")
    image = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    found = predictor.predict(image[None], "probabilities")[0, 1]
    np.testing.assert_allclose(found, expected(image[..., 0] / np.float32(255)), rtol=1e-4, atol=1e-4)


def test_the_order_of_colours_is_as_the_description_says(tmp_path: Path) -> None:
    about = {**ABOUT, "input": {**ABOUT["input"], "colors": "bgr"}}
    predictor = open_graph(write_graph(tmp_path / "red.onnx", about))
    image = np.zeros((12, 16, 3), np.uint8)
    image[..., 2] = 255  # blue, which the graph sees where it expects red
    assert predictor.predict(image[None]).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_scores_become_probabilities_as_the_description_says(tmp_path: Path, engine: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    red = image[..., 0] / np.float32(255)
    path = write_graph(tmp_path / "red.onnx", {**ABOUT, "activation": "softmax"})
    found = open_graph(path, engine, "32").predict(image[None], "probabilities")[0, 1]
    np.testing.assert_allclose(found, np.exp(red) / (np.exp(red) + np.exp(1 - red)), atol=1e-4)
    write_graph(path, {**ABOUT, "activation": "sigmoid"})
    found = open_graph(path, engine, "32").predict(image[None], "probabilities")[0, 1]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-red)), atol=1e-4)


def test_a_single_class_is_where_it_is_likelier_than_not_and_many_classes_have_larger_numbers() -> None:
    about = read_about({"classes": ["thing"], "input": ABOUT["input"]})
    scores = np.zeros((1, 1, 12, 16), np.float32)
    scores[..., :8] = 0.75
    predictor = GraphPredictor(about, lambda count: [lambda images: scores] * count, "none")
    labels = predictor.predict(np.zeros((1, 12, 16, 3), np.uint8))
    assert labels.dtype == np.uint8 and np.array_equal(labels[0], scores[0, 0] > 0.5)

    many = read_about({"classes": [f"class {number}" for number in range(300)], "input": ABOUT["input"]})
    scores = np.random.default_rng(0).random((1, 300, 12, 16), dtype=np.float32)
    predictor = GraphPredictor(many, lambda count: [lambda images: scores] * count, "none")
    labels = predictor.predict(np.zeros((1, 12, 16, 3), np.uint8))
    assert labels.dtype == np.uint16 and np.array_equal(labels[0], scores[0].argmax(axis=0))


def test_of_equally_likely_classes_the_first_is_taken() -> None:
    scores = np.zeros((1, 3, 12, 16), np.float32)
    scores[:, 1:] = 0.4
    about = read_about({"classes": ["a", "b", "c"], "input": ABOUT["input"]})
    predictor = GraphPredictor(about, lambda count: [lambda images: scores] * count, "none")
    assert (predictor.predict(np.zeros((1, 12, 16, 3), np.uint8)) == 1).all()


def read_about(values: dict[str, Any]) -> Any:
    from ravenml.infer.engines.description import GraphDescription

    return GraphDescription.model_validate(values)


# --- in commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_raven_infer_annotates_with_a_graph_in_every_mode(
    raven: Raven, project: Path, tmp_path: Path, engine: str
) -> None:
    model = write_graph(tmp_path / "red.onnx", ABOUT)
    for mode in ("full_image", "roi", "sliding_window", "bboxes"):
        out = tmp_path / mode
        told = raven.ok(
            "infer", model, "--data", project, "--out", out, "--mode", mode,
            "--engine", engine, "--save", "probabilities",
        )  # fmt: skip
        assert told.startswith("12 images: ")
        item = Project.open(out).items[0]
        assert any(one.class_title == "red_onnx" for one in Project.open(out).annotation(item).objects)


def test_engines_agree(raven: Raven, project: Path, tmp_path: Path) -> None:
    model = write_graph(tmp_path / "red.onnx", ABOUT)
    masks = []
    for engine in ENGINES:
        out = tmp_path / engine
        raven.ok(
            "infer", model, "--data", project, "--out", out, "--engine", engine, "--engine-precision", "32"
        )
        opened = Project.open(out)
        masks.append([draw_mask(opened.annotation(item), ["red_onnx"]) > 0 for item in opened.items])
    assert np.mean([np.mean(a == b) for a, b in zip(*masks, strict=True)]) > 0.9999


def test_a_graph_is_a_model_in_python_too(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    model = ravenml.load_model(write_graph(tmp_path / "red.onnx", ABOUT))
    assert model.classes == ["__bg__", "red"] and model.input_size == (16, 12)
    assert model.predict(image).shape == (33, 40)
    with pytest.raises(InputError, match="--device cuda: inference engines compute on the processor"):
        ravenml.load_model(tmp_path / "red.onnx", device="cuda")


# --- what is wrong with a file ----------------------------------------------------------------------


def test_a_graph_that_does_not_say_its_classes_needs_a_file_beside_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"write a red\.yaml beside it with `classes` and `input`"):
        read_description(write_graph(tmp_path / "red.onnx"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": []}, "`classes`"),
        ({"classes": ["a", "a"]}, "names the class 'a' twice"),
        ({"input": {"width": 0, "height": 12}}, r"`input\.width`"),
        ({"input": {"width": 16, "height": 12, "std": [1, 0, 1]}}, "std must not be 0"),
        (
            {"input": {"width": 16, "height": 12, "dtype": "uint8", "mean": [1, 1, 1]}},
            "leave out scale, mean",
        ),
        ({"input": {"width": 16, "hight": 12}}, "did you mean `height`"),
        ({"activation": "softmaxx"}, "`activation`"),
        ({"task": "detection"}, "`task`"),
        ({"v": 99}, "`v`"),
    ],
)
def test_a_description_is_checked_when_it_is_read(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write_graph(tmp_path / "red.onnx", {**ABOUT, **changes})
    with pytest.raises(InputError, match=said) as error:
        read_description(path)
    assert "red.yaml" in str(error.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_of_another_size_or_form_than_it_says_is_refused(tmp_path: Path, engine: str) -> None:
    path = write_graph(tmp_path / "red.onnx", {**ABOUT, "input": {"width": 32, "height": 12}})
    with pytest.raises(RavenError, match="correct `input`"):
        open_graph(path, engine)
    write_graph(path, {**ABOUT, "classes": ["a", "b", "c"]})
    with pytest.raises(RavenError, match=r"gives the shape \(1, 2, 12, 16\).*be \(1, 3, 12, 16\)"):
        open_graph(path, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("content", [b"", b"not a graph at all", b"\x08\x09\x3a\x05abc"])
def test_a_broken_file_is_one_sentence(tmp_path: Path, engine: str, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(ABOUT))
    with pytest.raises(RavenError, match=r"broken\.onnx"):
        open_graph(path, engine)


@given(st.binary(max_size=200))
def test_reading_a_description_of_any_bytes_ends_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_description(path)


def test_a_description_inside_a_file_is_data_and_is_checked(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "red.onnx")
    model = onnx.load(path)
    model.metadata_props.add(key="ravenml", value=json.dumps({**ABOUT, "run": "rm -rf /"}))
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"red\.onnx: its description: `run` is not a known field"):
        read_description(path)


def test_a_description_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    with path.open("wb") as file:
        file.write(b"<net>")
        file.truncate((64 << 20) + 1)  # takes no room on the disk
    with pytest.raises(InputError, match=r"model\.xml is larger than 64 MiB"):
        read_description(path)
    text = "x" * ((16 << 20) + 1)
    path.write_text(f'<net><rt_info><ravenml value="{text}"/></rt_info></net>')
    with pytest.raises(InputError, match="a description of more than 16 MiB"):
        read_description(path)


@pytest.mark.parametrize(
    ("count", "most", "wanted"),
    [(0, 3, []), (2, 3, [0, 1]), (3, 3, [0, 1, 2]), (5, 3, [0, 1, 3]), (10, 3, [0, 3, 6])],
)
def test_some_of_many_images_are_spread_over_all_of_them(count: int, most: int, wanted: list[int]) -> None:
    assert evenly(range(count), most) == wanted


def test_a_torchscript_is_a_program_and_is_not_opened(raven: Raven, project: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.torchscript.pt"
    path.write_bytes(b"PK")
    told = raven("infer", path, "--data", project, "--out", tmp_path / "out")
    assert told.returncode == 2 and "is a TorchScript, a program that runs when it is opened" in told.stderr


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", ["../secret.bin", "{folder}/secret.bin", "link.bin"])
def test_weights_outside_of_the_files_folder_are_not_read(tmp_path: Path, engine: str, place: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    (tmp_path / "in" / "link.bin").symlink_to("../secret.bin")
    path = write_graph(tmp_path / "in" / "red.onnx", ABOUT)
    model = onnx.load(path)
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place.format(folder=tmp_path)), ("offset", "0"), ("length", "24")):
        weight.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RavenError, match=r"red\.onnx: \w+ cannot use it"):
        open_graph(path, engine)


def test_a_changed_description_or_file_of_weights_is_another_model(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "red.onnx", ABOUT)
    first = find_source(str(path)).fingerprint()
    write_graph(path, {**ABOUT, "activation": "softmax"})
    assert find_source(str(path)).fingerprint() != first


def test_an_exported_file_is_not_exported_again(raven: Raven, tmp_path: Path) -> None:
    path = write_graph(tmp_path / "red.onnx", ABOUT)
    told = raven("models", "export", path, "--format", "openvino", "-o", tmp_path / "red.xml")
    assert told.returncode == 2 and "is an exported file already" in told.stderr


def test_what_an_engine_cannot_do_is_said(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "red.onnx", ABOUT)
    with pytest.raises(InputError, match="onnxruntime computes in float32; use --engine openvino"):
        open_graph(path, "onnxruntime", "bf16")
    with pytest.raises(InputError, match="is opened by openvino or onnxruntime, not by torch"):
        open_graph(path, "torch")
