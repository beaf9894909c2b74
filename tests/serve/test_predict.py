"""`POST /predict`: images come in, annotations, masks and overlays go out."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra ravenml[serve] is not installed")
from serving import CLASSES, TOKEN, Answer, Spots, Tints, ask, form, picture, post, serving

from ravenml.data.bitmap import decode_bitmap, encode_bitmap
from ravenml.errors import InputError
from ravenml.serve.access import Access
from ravenml.serve.admission import Limits
from ravenml.serve.allowed_paths import AllowedPaths
from ravenml.serve.urls import AllowedUrls

SCRIPT = CLASSES[2].title


@pytest.fixture(scope="module")
def server() -> Iterator[Access]:
    with serving(Tints()) as access:
        yield access


def titles(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.content
    return [one["classTitle"] for one in answer.json["objects"]]


def test_an_image_is_answered_with_supervisely_s_annotation(server: Access) -> None:
    answer = post(server, picture())
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json["size"] == {"height": 20, "width": 30} and answer.json["tags"] == []
    (found,) = answer.json["objects"]
    assert (found["classTitle"], found["geometryType"], found["bitmap"]["origin"]) == (
        "red",
        "bitmap",
        [0, 0],
    )
    assert decode_bitmap(found["bitmap"]["data"]).shape == (20, 15)
    assert "network;dur=" in answer.headers["Server-Timing"]


def test_a_mask_holds_the_numbers_that_the_model_tells(server: Access) -> None:
    numbers = {one["title"]: one["number"] for one in ask(server, "/model").json["classes"]}
    assert numbers == {"red": 1, SCRIPT: 2}
    mask = post(server, picture((0, 200, 0)), "?answer=mask").pixels
    assert mask.shape == (20, 30) and (mask[:, :15] == 2).all() and not mask[:, 15:].any()
    # A class has its number whichever classes are asked for.
    only = post(server, picture((0, 200, 0)), f"?answer=mask&classes={quote(SCRIPT)}").pixels
    assert (only == mask).all()


def test_an_overlay_is_the_image_with_the_results_over_it(server: Access) -> None:
    shown = post(server, picture(), "?answer=overlay").pixels[..., ::-1]
    assert (shown[:, :15] == (200 * 0.5 + 255 * 0.5 // 1, 23, 23)).all() and not shown[:, 15:].any()


def test_only_some_classes_may_be_asked_for_and_a_threshold(server: Access) -> None:
    assert titles(post(server, picture((0, 200, 0)), "?classes=red")) == []
    assert titles(post(server, picture(), "?classes=red")) == ["red"]
    assert titles(post(server, picture(), "?threshold=0.7")) == ["red"]  # 200 of 255
    assert titles(post(server, picture(), "?threshold=0.9")) == []


def test_boxes_have_a_threshold_too() -> None:
    with serving(Spots()) as server:
        body = picture((255, 255, 255))  # half of the image
        (box,) = post(server, body, "?threshold=0.5").json["objects"]
        assert box["geometryType"] == "rectangle" and box["tags"] == [{"name": "confidence", "value": 0.5}]
        assert box["points"]["exterior"] == [[0, 0], [14, 19]]
        assert post(server, body, "?threshold=0.51").json["objects"] == []
        frame = post(server, body, "?answer=overlay").pixels[..., ::-1]
        assert tuple(frame[0, 0]) == (255, 255, 0)


def test_an_image_may_come_as_a_form_as_curl_sends_one(server: Access) -> None:
    body, headers = form(("answer", None, b"mask"), ("image", "a.png", picture()))
    assert post(server, body, **headers).pixels.shape == (20, 30)
    # curl --data-binary @image calls it a form, which it is not
    plain = post(server, picture(), Content_Type="application/x-www-form-urlencoded")
    assert titles(plain) == ["red"]


def test_several_images_are_answered_in_their_order(server: Access) -> None:
    body, headers = form(("image", "a.png", picture()), ("image", "b/../ü.png", picture((0, 200, 0))))
    assert [one["objects"][0]["classTitle"] for one in post(server, body, **headers).json] == ["red", SCRIPT]
    pictures = post(server, body, "?answer=mask", **headers)
    assert pictures.headers["Content-Type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(pictures.content))
    assert archive.namelist() == ["000_a.png", "001_ü.png"]


def test_every_mode_of_inference_can_be_asked_for(server: Access) -> None:
    sliding = post(server, picture(), "?mode=sliding_window&window=8&overlap=4")
    assert titles(sliding) == ["red"]
    roi = quote('{"name": "roi", "bounds": {"left": "50%"}}')
    assert titles(post(server, picture(), f"?mode={roi}")) == []
    known = (
        b'{"size": {"height": 20, "width": 30}, "tags": [], "objects": [{"classTitle": "thing", "tags": [], '
    )
    known += b'"geometryType": "rectangle", "points": {"exterior": [[10, 0], [19, 9]], "interior": []}}]}'
    body, headers = form(("image", "a.png", picture()), ("annotation", "a.json", known))
    found = post(server, body, "?mode=bboxes", **headers).json["objects"]
    assert {one["classTitle"] for one in found} == {"thing", "red"}
    red = next(one for one in found if one["classTitle"] == "red")
    assert red["bitmap"]["origin"] == [10, 0] and decode_bitmap(red["bitmap"]["data"]).shape == (10, 5)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?answr=mask", 'answr: no such parameter; did you mean "answer"'),
        ("?answer=picture", "answer: should be one of annotation, mask, overlay"),
        ("?threshold=2", "threshold: should be a number from 0 to 1"),
        ("?threshold=nan", "threshold: should be a number from 0 to 1"),
        ("?mode=sliding", "the request: `mode.name` should be one of"),
        ("?mode={", "mode: is not valid JSON"),
        ("?mode={%22window%22:1}", "`mode.window`"),
        ("?mode=sliding_window&window=8&overlap=9", "must be smaller than the window of 8×8"),
        ("?window=big", "window: 'big' is not a size"),
        ("?mode=sliding_window_det", "the model is for segmentation; use sliding_window"),
        ("?classes=blue", 'classes: there is no class "blue"'),
        ("?mode={%22save_probabilities%22:true}", "mode.save_probabilities"),
    ],
)
def test_what_cannot_be_used_is_named(server: Access, query: str, said: str) -> None:
    answer = post(server, picture(), query)
    assert answer.status == 400 and said in answer.said, answer.said


def test_what_is_no_image_is_refused_with_the_status_that_fits(server: Access) -> None:
    assert (post(server, b"").status, post(server, b"hello").status) == (400, 415)
    assert "No image given; send an image as the body" in post(server, b"").said
    answer = post(server, picture()[:-30])
    assert answer.status == 415 and "truncated" in answer.said
    body, headers = form(("image", "<b>evil</b>.png", b"\x89PNG\r\n\x1a\n"))
    assert "<b>evil</b>.png" in post(server, body, **headers).said  # JSON, never markup


def test_a_model_that_fails_on_an_image_is_told_and_fails_no_other(server: Access) -> None:
    answer = post(server, picture((0, 0, 77), (4, 4)))
    assert answer.status == 200
    bad = np.full((8, 8, 3), 77, np.uint8)
    answer = post(server, cv2.imencode(".png", bad)[1].tobytes())
    assert answer.status == 500 and answer.said == "The model failed: RuntimeError: this shade is too much"


def test_a_bomb_and_what_is_too_large_are_refused() -> None:
    from test_roots_and_uploads import png_bomb

    with serving(Tints(), limits=Limits(max_bytes=2000, max_pixels=500)) as server:
        assert post(server, picture(size=(21, 25))).status == 413
        assert post(server, picture(size=(20, 25))).status == 200
        assert post(server, bytes(2001)).status == 413
        assert post(server, bytes(9000)).status == 413
    with serving(Tints()) as server:
        answer = post(server, png_bomb(20000))
        assert answer.status == 413 and "20000×20000" in answer.said


def test_a_form_that_is_none_is_told() -> None:
    with serving(Tints()) as server:
        for body, kind in (
            (b"nothing", "multipart/form-data"),
            (b"--x", "multipart/form-data; boundary=cut"),
        ):
            answer = post(server, body, Content_Type=kind)
            assert answer.status == 400 and "model" not in answer.said, answer.said
        answer = post(server, b'{"url": "' + b"a" * 2**20 + b'"}', Content_Type="application/json")
        assert answer.status == 413 and "Parameters may have at most" in answer.said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("window=9000x9000", "window: 9000×9000 is too large"),
        ("window=1", "makes 160000 windows of this image, and at most 100000 are accepted"),
    ],
)
def test_windows_that_would_take_much_room_are_refused(server: Access, query: str, said: str) -> None:
    answer = post(server, picture(size=(400, 400)), f"?mode=sliding_window&{query}")
    assert answer.status == 413 and said in answer.said, answer.said


def test_an_image_of_many_windows_ends_with_its_deadline_and_keeps_no_other_waiting() -> None:
    class Slow(Tints):
        batch_size = 1

        def predict(self, images: Any, want: str = "labels") -> Any:
            time.sleep(0.05)
            return super().predict(images, want)

    slow = Slow()
    with serving(slow, limits=Limits(deadline=1.0)) as server:
        answer = post(server, picture(size=(160, 160)), "?mode=sliding_window&window=4")
        assert answer.status == 504
        done = len(slow.batches)
        assert done < 100  # of 1600
        assert post(server, picture()).status == 200
        assert len(slow.batches) < done + 5


def test_an_annotation_s_bitmaps_are_no_larger_than_the_image(server: Access) -> None:
    from test_roots_and_uploads import png_bomb

    def annotated(packed: bytes) -> Answer:
        bitmap = {"origin": [0, 0], "data": base64.b64encode(packed).decode()}
        thing = {"classTitle": "red", "geometryType": "bitmap", "bitmap": bitmap, "tags": []}
        document = {"size": {"height": 20, "width": 30}, "tags": [], "objects": [thing]}
        body, headers = form(
            ("image", "a.png", picture()), ("annotation", None, json.dumps(document).encode())
        )
        return post(server, body, "?mode=bboxes&answer=annotation", **headers)

    for bomb in (png_bomb(20000), zlib.compress(png_bomb(20000))):
        answer = annotated(bomb)
        assert answer.status == 413 and "larger than the image" in answer.said, answer.said
    whole = encode_bitmap(np.ones((20, 30), bool))
    assert annotated(base64.b64decode(whole)).status == 200


# --- addresses and paths -----------------------------------------------------------------------------


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/images/away":
            self.send_response(302)
            self.send_header("Location", "/secret")
            self.end_headers()
            return
        self.send_response(200 if self.path in ("/images/a.png", "/secret") else 404)
        self.end_headers()
        self.wfile.write(picture())

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_image_is_fetched_from_an_address_that_was_allowed_and_from_no_other(elsewhere: str) -> None:
    with serving(Tints(), urls=AllowedUrls([f"{elsewhere}/images"])) as server:
        assert titles(post(server, None, f"?url={elsewhere}/images/a.png")) == ["red"]
        given = b'{"url": "' + elsewhere.encode() + b'/images/a.png", "threshold": 0.9}'
        assert titles(post(server, given, Content_Type="application/json")) == []
        away = post(server, None, f"?url={elsewhere}/images/away")
        assert away.status == 502 and "answered with 302" in away.said
        assert post(server, None, f"?url={elsewhere}/images/b.png").status == 502
        for url in (
            f"{elsewhere}/secret",
            f"{elsewhere}/images/../secret",
            f"{elsewhere}/images/%2e%2e/secret",
            f"{elsewhere}/images/%252e%252e/secret",
            f"{elsewhere}/imagesX/a.png",
            f"{elsewhere.replace('127.0.0.1', 'localhost')}/images/a.png",
            f"{elsewhere}0/images/a.png",
            f"{elsewhere.replace('http://', 'http://x@')}/images/a.png",
            f"{elsewhere.replace('http', 'ftp')}/images/a.png",
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data",
            f"{elsewhere}/images/a.png\nHost: evil",
            f"{elsewhere}\\@evil/images/",
            "",
        ):
            answer = post(server, None, f"?url={quote(url)}")
            assert answer.status == 403, (url, answer.content)


def test_without_permission_nothing_is_fetched_or_read(server: Access) -> None:
    assert "--allow-url" in post(server, None, "?url=http://127.0.0.1/a.png").said
    refused = post(server, None, "?path=/etc/passwd")
    assert refused.status == 403 and "--root" in refused.said
    with pytest.raises(InputError, match="--allow-url: 'images' is not a plain address"):
        AllowedUrls(["images"])


def test_an_image_on_the_server_is_read_below_its_roots_alone(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "a.png").write_bytes(picture())
    (tmp_path / "secret.png").write_bytes(picture())
    (root / "link.png").symlink_to("../secret.png")
    os.mkfifo(root / "pipe.png")
    with serving(Tints(), roots=AllowedPaths([root])) as server:
        assert titles(post(server, None, "?path=a.png")) == ["red"]
        assert titles(post(server, None, f"?path={root}/a.png")) == ["red"]
        for path in ("../secret.png", "link.png", f"{tmp_path}/secret.png", "/etc/passwd"):
            answer = post(server, None, f"?path={path}")
            assert answer.status == 403 and "not below the folders" in answer.said
        for path in ("missing.png", "pipe.png", "."):
            assert post(server, None, f"?path={path}").status == 400


# --- the rest of the address space --------------------------------------------------------------------


def test_what_is_served_is_told(server: Access) -> None:
    model = ask(server, "/model").json
    assert (model["name"], model["task"], model["input"]["width"]) == ("tiny", "segmentation", 16)
    assert model["modes"] == ["full_image", "roi", "bboxes", "sliding_window"]
    assert model["mode"]["name"] == "full_image" and model["provenance"]["fingerprint"]
    assert ask(server, "/healthz").json == {"status": "ok"}


def test_prometheus_reads_what_was_answered(server: Access) -> None:
    post(server, picture())
    text = ask(server, "/metrics").content.decode()
    assert 'raven_requests_total{status="200"}' in text and 'stage="network"' in text
    assert "raven_batch_images_bucket" in text


def test_the_documentation_needs_no_other_server(server: Access) -> None:
    pages = "".join(
        ask(server, place).content.decode() for place in ("/", "/page.js", "/page.css", "/docs", "/docs.js")
    )
    assert "https://" not in pages.replace("https://…", "")
    paths = ask(server, "/openapi.json").json["paths"]
    assert set(paths) == {"/predict", "/healthz", "/model", "/metrics"}
    parameters = {one["name"] for one in paths["/predict"]["post"]["parameters"]}
    assert {"answer", "mode", "classes", "threshold", "url"} <= parameters


def test_every_address_demands_the_token_and_its_own_host_and_origin(server: Access) -> None:
    places = [
        "/",
        "/page.js",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/model",
        "/metrics",
        "/predict",
        "/nothing",
    ]
    for place in places:
        assert ask(server, place, Authorization="none").status == 401, place
        assert ask(server, place, Host="evil.example").status == 403, place
        assert ask(server, place, Origin="http://evil.example").status == 403, place
    assert ask(server, f"/model?token={TOKEN}", Authorization="none").status == 200


@pytest.mark.parametrize(
    "mode",
    [
        '{"name": {"x": 1}}',
        '{"name": ["full_image"]}',
        '{"name": "sliding_window", "window": {"width": 1' + "0" * 30 + ', "height": 16}}',
        '{"name": "full_image", "x": ' + "[" * 500 + "]" * 500 + "}",
        "[" * 100_000,
        '[{"name": "full_image"}]',
    ],
)
def test_a_mode_that_is_odd_json_is_the_client_s_fault(server: Access, mode: str) -> None:
    body = json.dumps({"mode": mode, "url": "http://127.0.0.1:1/"}).encode()
    given = post(server, body, Content_Type="application/json")
    assert given.status in (400, 413) and "model failed" not in given.said
    body = b'{"url": "http://127.0.0.1:1/", "mode": ' + mode.encode() + b"}"
    assert post(server, body, Content_Type="application/json").status in (400, 403, 413)


def test_what_an_annotation_brings_is_given_back_whatever_it_is(server: Access) -> None:
    known = {"size": {"height": 20, "width": 30}, "tags": [], "objects": [], "id": 2**70, "note": "\ud800"}
    body, headers = form(("image", "a.png", picture()), ("annotation", "a.json", json.dumps(known).encode()))
    given = post(server, body, **headers)
    assert given.status == 200 and given.json["id"] in (2**70, float(2**70))
    large = json.dumps(known | {"description": "x" * 2**24}).encode()
    body, headers = form(("image", "a.png", picture()), ("annotation", "a.json", large))
    refused = post(server, body, **headers)
    assert refused.status == 413 and "annotation of a.png" in refused.said
