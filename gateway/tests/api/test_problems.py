"""What the caller is told when something fails."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler

import grpc
import numpy as np
import pytest
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient, png_header
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer, answer
from gateway_testing.waiting import wait_for

from api.checks import check_problem
from api.conftest import Post
from gateway.app import create_app
from gateway.config import Settings


def test_a_body_over_the_limit_is_refused(post: Post) -> None:
    check_problem(post(data=bytes(1_200_001)), 413, "Request too large")


def test_json_has_a_limit_of_its_own(client: FlaskClient) -> None:
    data = b'{"url": "http://example.com/", "more": "' + bytes(70_000) + b'"}'
    response = client.post("/predict", data=data, content_type="application/json")
    check_problem(response, 413, "Request too large")


def test_an_uploaded_image_over_the_limit_is_refused(client: FlaskClient, post: Post) -> None:
    check_problem(post(data=bytes(1_000_001)), 413, "Image too large")
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    form += bytes(1_000_001) + b"\r\n--x--\r\n"
    response = client.post("/predict", data=form, content_type="multipart/form-data; boundary=x")
    check_problem(response, 413, "Image too large")


def test_a_body_that_breaks_off_is_refused(client: FlaskClient) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise EOFError  # neither OSError nor ValueError, which werkzeug translates

    broken = {"wsgi.input": Broken(), "CONTENT_LENGTH": "1000"}
    response = client.post("/predict", content_type="image/jpeg", environ_overrides=broken)
    check_problem(response, 400, "Invalid request")


def test_too_many_pixels_are_refused(post: Post) -> None:
    check_problem(post(data=png_header(30_000, 30_000)), 413, "Image too large")


@pytest.mark.parametrize("data", [b"", b"<html></html>", encode(gradient())[:2000]])
def test_what_is_not_an_image_is_refused(
    client: FlaskClient, post: Post, image_server: ImageServer, data: bytes
) -> None:
    image_server.routes["/x.jpg"] = partial(answer, body=data, Content_Type="image/jpeg")
    by_url = client.post("/predict", json={"url": image_server.url("/x.jpg")})
    check_problem(by_url, 415, "Unsupported image")
    check_problem(post(data=data), 415, "Unsupported image")


def test_a_missing_image_is_refused(client: FlaskClient, image_server: ImageServer) -> None:
    response = client.post("/predict", json={"url": image_server.url("/gone.jpg")})
    check_problem(response, 422, "Source refused")


def test_a_blocked_and_an_unreachable_address_look_the_same(
    settings: Settings, image_server: ImageServer
) -> None:
    client = create_app(replace(settings, allow_private_sources=False)).test_client()
    blocked = client.post("/predict", json={"url": image_server.url("/image.jpg")})
    unknown = client.post("/predict", json={"url": "http://no-such-host.invalid/"})
    problems = [check_problem(response, 422, "Source refused") for response in (blocked, unknown)]
    assert problems[0]["detail"] == problems[1]["detail"]
    assert not image_server.requests


def test_a_failing_source_is_named_without_its_answer(
    client: FlaskClient, image_server: ImageServer
) -> None:
    image_server.routes["/500"] = partial(answer, body=b"secret", status=500)
    response = client.post("/predict", json={"url": image_server.url("/500")})
    assert "secret" not in str(check_problem(response, 502, "Source failed"))


def test_a_slow_source_times_out(settings: Settings, image_server: ImageServer) -> None:
    release = threading.Event()

    def hold(_: BaseHTTPRequestHandler) -> None:
        release.wait()

    image_server.routes["/slow"] = hold
    client = create_app(replace(settings, fetch_timeout=0.3)).test_client()
    response = client.post("/predict", json={"url": image_server.url("/slow")})
    release.set()
    check_problem(response, 504, "Source timeout")


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (grpc.StatusCode.NOT_FOUND, 503, "Model unavailable"),
        (grpc.StatusCode.UNAVAILABLE, 503, "Model unavailable"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "Model timeout"),
        (grpc.StatusCode.INTERNAL, 502, "Model failed"),
    ],
)
def test_errors_of_the_model_server_keep_their_text_secret(
    post: Post, serving: FakeServing, error: grpc.StatusCode, status: int, title: str
) -> None:
    serving.error = (error, "secret")
    response = post()
    assert "secret" not in str(check_problem(response, status, title))
    assert ("Retry-After" in response.headers) == (status == 503)
    serving.error = None
    assert post().json == "cricket"


def test_a_stopped_model_server_is_unavailable(post: Post, serving: FakeServing) -> None:
    serving.stop()
    check_problem(post(), 503, "Model unavailable")


def test_an_unusable_answer_is_a_failure_of_the_model(post: Post, serving: FakeServing) -> None:
    serving.outputs = {"probabilities": np.full((1, 7), np.nan, np.float32)}
    check_problem(post(), 502, "Model failed")


def test_a_slow_model_times_out(settings: Settings, serving: FakeServing, jpeg: bytes) -> None:
    serving.answering.clear()
    app = create_app(replace(settings, fetch_timeout=0.3, request_timeout=0.5))
    app.extensions["gateway"].classifier.decoders.start()
    response = app.test_client().post("/predict", data=jpeg, content_type="image/jpeg")
    check_problem(response, 504, "Model timeout")


def test_requests_without_a_free_slot_are_refused(
    settings: Settings, serving: FakeServing, jpeg: bytes
) -> None:
    app = create_app(replace(settings, max_in_flight=1))
    image = {"data": jpeg, "content_type": "image/jpeg"}
    client = app.test_client()
    serving.answering.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lambda: app.test_client().post("/predict", **image))
        try:
            wait_for(lambda: serving.requests)
            refused = client.post("/predict", **image)
            check_problem(refused, 429, "Too many requests")
            assert refused.headers["Retry-After"] == "1"
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
        finally:
            serving.answering.set()
        assert slow.result().json == "cricket"
    assert client.post("/predict", **image).json == "cricket"


def test_errors_of_the_framework_are_problems_too(client: FlaskClient) -> None:
    check_problem(client.get("/nothing"), 404, "Not Found")
    response = client.get("/predict")
    check_problem(response, 405, "Method Not Allowed")
    assert "POST" in response.headers["Allow"]


def test_an_unexpected_error_keeps_its_text_secret(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.decoders.Decoders.decode", lambda *_: 1 / 0)
    assert "division" not in str(check_problem(post(), 500, "Internal error"))
