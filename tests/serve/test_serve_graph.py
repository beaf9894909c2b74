"""An ONNX file behind HTTP: answers, batches, deadlines and probabilities are those of any model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
pytest.importorskip("onnxruntime", reason="the extra ravenml[engines] is not installed")
pytest.importorskip("openvino", reason="the extra ravenml[engines] is not installed")
from graph_files import ABOUT, write_graph
from listening import listening
from serving import TOKEN, ask, picture, post

from ravenml.serve.access import Access
from ravenml.serve.admission import Limits
from ravenml.serve.app import Serving, make_app
from ravenml.serve.loaded_model import ServedModel


@pytest.fixture(params=["onnxruntime", "openvino"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Access]:
    served = ServedModel.load(str(write_graph(tmp_path / "red.onnx", ABOUT)), engine=request.param)
    with listening(lambda access: make_app(Serving(served, access)), TOKEN) as access:
        yield access


def test_a_graph_is_served_with_all_that_a_model_has(server: Access) -> None:
    (found,) = post(server, picture()).json["objects"]
    assert found["classTitle"] == "red" and found["bitmap"]["origin"] == [0, 0]
    about = ask(server, "/model").json
    assert about["engine"].startswith(("onnxruntime", "openvino")) and about["device"] == "cpu"
    assert [one["title"] for one in about["classes"]] == ["red"]
    assert post(server, picture(), "?window=16x12&overlap=4").json["objects"]
    assert post(server, picture(), "?threshold=0.7").json["objects"]
    assert not post(server, picture(), "?threshold=0.9").json["objects"]  # 200 of 255 is 0.78


def test_requests_that_come_together_are_answered_as_one_by_one(server: Access) -> None:
    bodies = [picture((200, 10 * number, 30)) for number in range(12)]
    alone = [post(server, body).json for body in bodies]
    with ThreadPoolExecutor(12) as clients:
        together = [one.json for one in clients.map(lambda body: post(server, body), bodies)]
    assert together == alone


def test_a_request_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    served = ServedModel.load(str(write_graph(tmp_path / "red.onnx", ABOUT)))
    limits = Limits(64, 1e-6)
    with listening(lambda access: make_app(Serving(served, access, limits)), TOKEN) as access:
        assert post(access, picture()).status in (408, 503, 504)  # wherever it is noticed
