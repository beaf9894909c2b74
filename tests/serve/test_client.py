"""The Python client, and the examples of the documentation."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from serving import TOKEN, Tints, picture, serving

from ravenml.errors import InputError, RavenError
from ravenml.serve import Client
from ravenml.serve.access import Access
from ravenml.serve.admission import Limits


@pytest.fixture(scope="module")
def server() -> Iterator[Access]:
    with serving(Tints()) as access:
        yield access


def array(color: tuple[int, int, int] = (200, 30, 30)) -> np.ndarray:
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15] = color
    return image


def test_a_path_bytes_and_an_array_are_answered_alike(server: Access, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(picture())
    client = Client(server.address)  # as it was printed, with its token
    answers = [client.predict(one) for one in (file, str(file), picture(), array())]
    assert all(one == answers[0] for one in answers)
    assert answers[0]["objects"][0]["classTitle"] == "red"


def test_masks_and_overlays_are_arrays(server: Access) -> None:
    client = Client(f"http://127.0.0.1:{server.port}/", TOKEN)
    mask = client.predict(array(), answer="mask")
    assert mask.shape == (20, 30) and (mask[:, :15] == 1).all() and not mask[:, 15:].any()
    assert (client.predict(array(), answer="overlay")[0, 0] == (227, 23, 23)).all()


def test_several_images_are_answered_with_a_list(server: Access) -> None:
    client = Client(server.address)
    images = [array(), array((0, 200, 0))]
    assert [mask[0, 0] for mask in client.predict(images, answer="mask")] == [1, 2]
    assert [len(one["objects"]) for one in client.predict(images)] == [1, 1]
    assert len(client.predict([array()])) == 1 and client.predict([]) == []


def test_options_are_passed_on(server: Access) -> None:
    client = Client(server.address)
    assert client.predict(array(), classes=["red"], threshold=0.9)["objects"] == []
    sliding = client.predict(array(), mode="sliding_window", window=(16, 8), overlap=2)
    assert len(sliding["objects"]) == 1
    roi = {"name": "roi", "bounds": {"left": "50%"}}
    assert client.predict(array(), mode=roi)["objects"] == []


def test_the_model_tells_of_itself(server: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVENML_TOKEN", TOKEN)
    client = Client(f"127.0.0.1:{server.port}")
    assert client.healthy() and client.model()["name"] == "tiny"


def test_what_is_wrong_is_an_error_with_the_server_s_sentence(server: Access) -> None:
    client = Client(server.address)
    with pytest.raises(InputError, match="threshold: should be a number"):
        client.predict(array(), threshold=7)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        client.predict("missing.png")
    with pytest.raises(InputError, match="must be uint8 of shape"):
        client.predict(np.zeros((3, 3)))
    with pytest.raises(InputError, match="Give either an image or a url"):
        client.predict()
    with pytest.raises(InputError, match="--allow-url"):
        client.predict(url="http://127.0.0.1/a.png")
    with pytest.raises(RavenError, match="A token is needed"):
        Client(f"http://127.0.0.1:{server.port}", "a-wrong-token-of-some-length").predict(array())
    with pytest.raises(InputError, match="is not an address of a server"):
        Client("file:///etc/passwd")
    with pytest.raises(RavenError, match="cannot be reached"):
        Client("http://127.0.0.1:9").model()
    assert not Client("http://127.0.0.1:9").healthy()


def test_a_full_server_is_asked_again() -> None:
    model = Tints()
    with serving(model, limits=Limits(queue=1)) as server:
        model.gate.clear()
        waiting = threading.Thread(target=Client(server.address).predict, args=(array(),))
        waiting.start()
        time.sleep(0.3)
        with pytest.raises(RavenError, match="The server is busy"):
            Client(server.address, patience=0.5).predict(array())
        threading.Timer(0.2, model.gate.set).start()
        assert Client(server.address).predict(array())["objects"]
        waiting.join()


def test_no_proxy_hears_what_is_said_to_this_machine(server: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    assert Client(server.address).healthy()
    assert Client(server.address.replace("127.0.0.1", "localhost")).healthy()


def test_the_token_goes_nowhere_that_an_answer_leads() -> None:
    asked: list[str] = []

    class Away(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    away = ThreadingHTTPServer(("127.0.0.1", 0), Away)
    threading.Thread(target=away.serve_forever, daemon=True).start()
    try:
        with pytest.raises(RavenError, match="answered with 302"):
            Client(f"http://127.0.0.1:{away.server_port}", TOKEN).model()
    finally:
        away.shutdown()
        away.server_close()
    assert asked == ["/model"]
