"""Many requests at once: batches, a full queue, deadlines, and the end of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from as_user import wait_for, within
from serving import Answer, Tints, ask, form, picture, post, serving

from ravenml.serve.access import Access
from ravenml.serve.admission import Limits


@contextmanager
def clients(count: int) -> Iterator[Callable[..., Future[Answer]]]:
    """What posts in threads of its own."""
    with ThreadPoolExecutor(count) as pool:
        yield lambda *given, **headers: pool.submit(post, *given, **headers)


def inside(access: Access) -> int:
    """How many images are on their way."""
    lines = ask(access, "/metrics").content.decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("raven_images_inside "))))


def test_requests_that_arrive_together_go_through_the_network_together() -> None:
    model = Tints()
    with serving(model, max_batch=4) as server, clients(9) as send:
        model.gate.clear()
        first = send(server, picture())
        wait_for(lambda: inside(server) == 1)
        time.sleep(0.1)  # it is in the network now
        others = [send(server, picture()) for _ in range(8)]
        wait_for(lambda: inside(server) == 9)
        time.sleep(0.1)
        model.gate.set()
        assert {one.result().status for one in [first, *others]} == {200}
    assert model.batches == [1, 4, 4]


def test_only_what_fits_together_goes_together() -> None:
    model = Tints()
    with serving(model, max_batch=8) as server, clients(7) as send:
        model.gate.clear()
        first = send(server, picture())
        wait_for(lambda: inside(server) == 1)
        time.sleep(0.1)
        others = [send(server, picture(size=(20, 30))) for _ in range(2)]
        others += [send(server, picture(size=(10, 10))) for _ in range(2)]
        others += [
            send(server, picture(), "?mode=sliding_window&window=64"),
            send(server, picture(), "?classes=red"),
        ]
        wait_for(lambda: inside(server) == 7)
        time.sleep(0.1)
        model.gate.set()
        answers = [one.result() for one in [first, *others]]
    assert [one.status for one in answers] == [200] * 7
    assert {(one.json["size"]["height"], len(one.json["objects"])) for one in answers} == {(20, 1), (10, 1)}
    assert sorted(model.batches) == [1, 1, 1, 2, 2]


def test_an_image_that_the_model_fails_on_takes_no_other_with_it() -> None:
    import cv2
    import numpy as np

    bad = cv2.imencode(".png", np.full((20, 30, 3), 77, np.uint8))[1].tobytes()
    model = Tints()
    with serving(model, max_batch=8) as server, clients(4) as send:
        model.gate.clear()
        first = send(server, picture())
        wait_for(lambda: inside(server) == 1)
        time.sleep(0.1)
        others = [send(server, body) for body in (picture(), bad, picture())]
        wait_for(lambda: inside(server) == 4)
        time.sleep(0.1)
        model.gate.set()
        assert [one.result().status for one in [first, *others]] == [200, 200, 500, 200]


def test_a_full_queue_answers_503_and_says_when_to_come_again() -> None:
    model = Tints()
    with serving(model, limits=Limits(queue=3)) as server, clients(3) as send:
        model.gate.clear()
        accepted = [send(server, picture()) for _ in range(3)]
        wait_for(lambda: inside(server) == 3)
        refused = post(server, picture())
        assert refused.status == 503 and int(refused.headers["Retry-After"]) >= 1
        assert "try again in" in refused.said
        model.gate.set()
        assert [one.result().status for one in accepted] == [200, 200, 200]
        assert post(server, picture()).status == 200
        body, headers = form(*[("image", f"{number}.png", picture()) for number in range(4)])
        assert post(server, body, **headers).status == 413  # it will never have room


def test_what_is_decoded_takes_no_more_memory_than_allowed() -> None:
    model = Tints()
    with serving(model, limits=Limits(max_pixels=600)) as server, clients(4) as send:
        model.gate.clear()
        accepted = [send(server, picture()) for _ in range(4)]  # 600 pixels each: four times the most
        wait_for(lambda: inside(server) == 4)
        assert post(server, picture()).status == 503
        model.gate.set()
        assert [one.result().status for one in accepted] == [200] * 4


def test_a_request_that_takes_too_long_is_answered_504_and_is_not_computed_in_vain() -> None:
    model = Tints()
    with serving(model, limits=Limits(deadline=0.4), max_batch=1) as server, clients(3) as send:
        model.gate.clear()
        with within(2):
            answers = [one.result() for one in [send(server, picture()) for _ in range(3)]]
        assert [one.status for one in answers] == [504] * 3 and "within 0.4 s" in answers[0].said
        model.gate.set()
        assert post(server, picture()).status == 200
        assert model.batches == [1, 1]  # the one that was in the network, and the last


def test_whoever_leaves_gives_up_the_place_and_is_not_computed_for(caplog: pytest.LogCaptureFixture) -> None:
    import gc
    import http.client

    from serving import TOKEN

    model = Tints()
    with serving(model, limits=Limits(queue=3), max_batch=1) as server, clients(1) as send:
        model.gate.clear()
        first = send(server, picture())
        wait_for(lambda: inside(server) == 1)
        gone = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(2)]
        for one in gone:
            one.request("POST", "/predict", picture(), {"Authorization": f"Bearer {TOKEN}"})
        wait_for(lambda: inside(server) == 3)
        for one in gone:
            one.close()
        wait_for(lambda: inside(server) == 1)
        model.gate.set()
        assert first.result().status == 200 and post(server, picture()).status == 200
    assert model.batches == [1, 1]
    gc.collect()
    assert not caplog.records  # such as of a result that nobody has asked for


def test_while_the_network_works_everything_else_answers() -> None:
    model = Tints()
    with serving(model) as server, clients(1) as send:
        model.gate.clear()
        waiting = send(server, picture())
        wait_for(lambda: inside(server) == 1)
        with within(1):
            assert ask(server, "/healthz").status == 200 and ask(server, "/model").status == 200
        model.gate.set()
        assert waiting.result().status == 200


def test_what_was_accepted_is_finished_before_the_server_ends() -> None:
    model = Tints()
    with clients(6) as send:
        with serving(model, max_batch=2) as server:
            model.gate.clear()
            accepted = [send(server, picture()) for _ in range(6)]
            wait_for(lambda: inside(server) == 6)
            threading.Timer(0.3, model.gate.set).start()
        assert [one.result().status for one in accepted] == [200] * 6
