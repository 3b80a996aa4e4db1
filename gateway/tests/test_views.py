import io
import threading
import time
from dataclasses import replace

import grpc
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient, png_header
from gateway_testing.fake_serving import SPORTS, FakeServing, keras_signatures, sports_signatures
from gateway_testing.image_server import ImageServer, answer
from werkzeug.test import TestResponse

from gateway import create_app
from gateway import tf_serving_pb2 as tf
from gateway.config import Settings


def check_problem(response: TestResponse, status: int, title: str) -> dict:
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    problem = response.json
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["title"] == title
    assert problem["type"] == "urn:sports-gateway:" + title.lower().replace(" ", "-")
    assert problem["detail"].endswith(".")
    assert problem["request_id"] == response.headers["X-Request-ID"]
    return problem


def test_ping(client: FlaskClient) -> None:
    response = client.get("/ping")
    assert (response.status_code, response.text) == (200, "pong")
    assert response.mimetype == "text/plain"


def test_predict_by_url(client: FlaskClient, image_server: ImageServer) -> None:
    response = client.post("/predict", json={"url": image_server.url("/image.jpg")})
    assert response.status_code == 200
    assert response.text.strip() == '"cricket"'
    assert response.mimetype == "application/json"


def test_json_without_its_content_type(client: FlaskClient, image_server: ImageServer) -> None:
    body = f'{{"url": "{image_server.url("/image.jpg")}"}}'
    response = client.post("/predict", data=body, content_type="application/x-www-form-urlencoded")
    assert response.json == "cricket"


def test_predict_an_uploaded_file(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict", data={"image": (io.BytesIO(jpeg), "a.jpg")})
    assert response.json == "cricket"


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/*"])
def test_predict_a_raw_body(client: FlaskClient, jpeg: bytes, content_type: str) -> None:
    assert client.post("/predict", data=jpeg, content_type=content_type).json == "cricket"


def test_show_probability(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict?show_probability=true", data=jpeg, content_type="image/jpeg")
    assert list(response.json) == list(SPORTS)
    assert sum(response.json.values()) == pytest.approx(1, abs=1e-4)


def test_the_model_gets_the_pixels(client: FlaskClient, jpeg: bytes, serving: FakeServing) -> None:
    serving.signatures = sports_signatures(100, 120)
    client.post("/predict", data=jpeg, content_type="image/jpeg")
    sent = serving.requests[0].inputs["images"]
    assert [dim.size for dim in sent.tensor_shape.dim] == [1, 100, 120, 3]
    pixels = np.frombuffer(sent.tensor_content, np.uint8).reshape(100, 120, 3)
    assert pixels[50, 110, 0] > 200 > 50 > pixels[50, 10, 0]


def test_the_full_answer(client: FlaskClient, image_server: ImageServer) -> None:
    url = image_server.url("/image.jpg")
    body = client.post("/v1/predictions", json={"url": url}).json
    assert body["model"] == {"name": "sport-classification-model", "version": "1"}
    [prediction] = body["predictions"]
    assert prediction["source"] == url
    assert prediction["label"] == "cricket"
    assert prediction["probability"] == prediction["probabilities"]["cricket"]
    assert prediction["known"] is True
    assert prediction["in_domain"] == pytest.approx(0.9)
    assert set(prediction["timings_ms"]) == {"fetch", "decode", "predict"}
    assert "heatmap" not in prediction


def test_several_urls_at_once(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    image_server.routes["/no.jpg"] = b"no picture"
    names = ["image.jpg", "missing.jpg", "image.jpg", "no.jpg"]
    urls = [image_server.url(f"/{name}") for name in names] + ["ftp://example.com/"]
    answer = client.post("/v1/predictions", json={"urls": urls}, headers={"X-Request-ID": "a"})
    assert answer.status_code == 200
    assert answer.json["model"] == {"name": "sport-classification-model", "version": "1"}
    predictions = answer.json["predictions"]
    assert [prediction["source"] for prediction in predictions] == urls
    assert [prediction.get("label") for prediction in predictions] == [
        "cricket", None, "cricket", None, None,
    ]  # fmt: skip
    errors = [prediction["error"] for prediction in predictions if "error" in prediction]
    assert [error["title"] for error in errors] == [
        "Source refused", "Unsupported image", "Source refused",
    ]  # fmt: skip
    assert all(error["request_id"] == "a" for error in errors)
    [request] = serving.requests
    assert request.inputs["images"].tensor_shape.dim[0].size == 2


def test_several_files_at_once(client: FlaskClient, jpeg: bytes) -> None:
    files = [(io.BytesIO(jpeg), "a.jpg"), (io.BytesIO(b"no picture"), "b.jpg")]
    answer = client.post("/v1/predictions", data={"image": files}).json["predictions"]
    assert [prediction["source"] for prediction in answer] == ["a.jpg", "b.jpg"]
    assert answer[0]["label"] == "cricket"
    assert answer[1]["error"]["title"] == "Unsupported image"


def test_when_none_of_several_can_be_read(client: FlaskClient, serving: FakeServing) -> None:
    answer = client.post("/v1/predictions", json={"urls": ["ftp://a/", "http://a:1/"]})
    assert answer.status_code == 200
    assert answer.json["model"]["version"] is None
    assert not serving.requests


def test_a_list_of_one_is_a_list(client: FlaskClient) -> None:
    answer = client.post("/v1/predictions", json={"urls": ["ftp://example.com/"]})
    assert answer.json["predictions"][0]["error"]["status"] == 422


def test_sixteen_are_enough(client: FlaskClient) -> None:
    for urls in ([], ["http://example.com/"] * 17):
        response = client.post("/v1/predictions", json={"urls": urls})
        check_problem(response, 400, "Invalid request")


def test_several_where_one_is_asked_for(client: FlaskClient, image_server: ImageServer) -> None:
    response = client.post("/predict", json={"urls": [image_server.url("/image.jpg")] * 2})
    check_problem(response, 400, "Invalid request")


def test_several_are_fetched_side_by_side(
    client: FlaskClient, image_server: ImageServer, jpeg: bytes
) -> None:
    together = threading.Barrier(4)

    def meet(handler) -> None:
        together.wait(2)
        answer(handler, jpeg)

    image_server.routes["/meet"] = meet
    response = client.post("/v1/predictions", json={"urls": [image_server.url("/meet")] * 4})
    assert [one["label"] for one in response.json["predictions"]] == ["cricket"] * 4


def test_explain(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/v1/predictions?explain=true", data=jpeg, content_type="image/jpeg")
    assert np.shape(response.json["predictions"][0]["heatmap"]) == (8, 8)


def plain_keras_client(settings: Settings, serving: FakeServing) -> FlaskClient:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.1, 0.7, 0.2]], np.float32)}
    return create_app(replace(settings, labels=("a", "b", "c"))).test_client()


def test_a_model_that_does_not_know_its_domain(
    settings: Settings, serving: FakeServing, jpeg: bytes
) -> None:
    client = plain_keras_client(settings, serving)
    body = client.post("/v1/predictions", data=jpeg, content_type="image/jpeg").json
    [prediction] = body["predictions"]
    assert prediction["label"] == "b"
    assert prediction["known"] is None
    assert prediction["in_domain"] is None


def test_a_model_that_cannot_explain(settings: Settings, serving: FakeServing, jpeg: bytes) -> None:
    client = plain_keras_client(settings, serving)
    response = client.post("/v1/predictions?explain=true", data=jpeg, content_type="image/jpeg")
    check_problem(response, 400, "Invalid request")


def test_a_model_swapped_for_one_that_takes_something_else(
    settings: Settings, serving: FakeServing, jpeg: bytes
) -> None:
    client = create_app(replace(settings, labels=("a", "b", "c"))).test_client()
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").json == "cricket"
    serving.version, serving.signatures = 2, keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.1, 0.7, 0.2]], np.float32)}
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").json == "b"


@pytest.mark.parametrize(
    "request_body",
    [
        {"data": b"", "content_type": "application/json"},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "application/json"},
        {"json": []},
        {"json": "https://example.com/a.jpg"},
        {"json": {}},
        {"json": {"url": 7}},
        {"json": {"url": None}},
        {"json": {"url": ""}},
        {"json": {"url": "not a url"}},
        {"data": {"image": "text"}},
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/v1/predictions"])
def test_requests_without_a_picture(client: FlaskClient, path: str, request_body: dict) -> None:
    check_problem(client.post(path, **request_body), 400, "Invalid request")


def test_a_file_by_another_name(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict", data={"picture": (io.BytesIO(jpeg), "a.jpg")})
    check_problem(response, 400, "Invalid request")


def test_two_files_where_one_is_asked_for(client: FlaskClient, jpeg: bytes) -> None:
    files = [(io.BytesIO(jpeg), "a.jpg"), (io.BytesIO(jpeg), "b.jpg")]
    check_problem(client.post("/predict", data={"image": files}), 400, "Invalid request")


def test_a_switch_that_is_neither_true_nor_false(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict?show_probability=maybe", data=jpeg, content_type="image/jpeg")
    check_problem(response, 400, "Invalid request")


def test_a_body_over_the_limit(client: FlaskClient) -> None:
    response = client.post("/predict", data=bytes(1_200_001), content_type="image/jpeg")
    check_problem(response, 413, "Request too large")


def test_json_is_small(client: FlaskClient) -> None:
    body = b'{"url": "http://example.com/", "more": "' + bytes(70_000) + b'"}'
    response = client.post("/predict", data=body, content_type="application/json")
    check_problem(response, 413, "Request too large")


def test_an_uploaded_picture_over_the_limit(client: FlaskClient) -> None:
    response = client.post("/predict", data=bytes(1_000_001), content_type="image/jpeg")
    check_problem(response, 413, "Image too large")
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    form += bytes(1_000_001) + b"\r\n--x--\r\n"
    response = client.post("/predict", data=form, content_type="multipart/form-data; boundary=x")
    check_problem(response, 413, "Image too large")


def test_a_picture_with_too_many_pixels(client: FlaskClient) -> None:
    data = png_header(30_000, 30_000)
    response = client.post("/predict", data=data, content_type="image/png")
    check_problem(response, 413, "Image too large")


@pytest.mark.parametrize("data", [b"", b"<html></html>", encode(gradient())[:2000]])
def test_what_is_no_picture(client: FlaskClient, image_server: ImageServer, data: bytes) -> None:
    image_server.routes["/x.jpg"] = lambda handler: answer(handler, data, Content_Type="image/jpeg")
    by_url = client.post("/predict", json={"url": image_server.url("/x.jpg")})
    check_problem(by_url, 415, "Unsupported image")
    by_body = client.post("/predict", data=data, content_type="image/jpeg")
    check_problem(by_body, 415, "Unsupported image")


def test_a_source_without_the_picture(client: FlaskClient, image_server: ImageServer) -> None:
    response = client.post("/predict", json={"url": image_server.url("/gone.jpg")})
    check_problem(response, 422, "Source refused")


def test_a_blocked_address_and_one_where_nobody_answers_look_the_same(
    settings: Settings, image_server: ImageServer
) -> None:
    client = create_app(replace(settings, allow_private_sources=False)).test_client()
    blocked = client.post("/predict", json={"url": image_server.url("/image.jpg")})
    unknown = client.post("/predict", json={"url": "http://no-such-host.invalid/"})
    problems = [check_problem(response, 422, "Source refused") for response in (blocked, unknown)]
    assert problems[0]["detail"] == problems[1]["detail"]
    assert not image_server.requests


def test_a_source_that_fails(client: FlaskClient, image_server: ImageServer) -> None:
    image_server.routes["/500"] = lambda handler: answer(handler, b"secret", 500)
    response = client.post("/predict", json={"url": image_server.url("/500")})
    assert "secret" not in str(check_problem(response, 502, "Source failed"))


def test_a_source_that_is_slow(client: FlaskClient, image_server: ImageServer) -> None:
    image_server.routes["/slow"] = lambda _: time.sleep(1.5)
    response = client.post("/predict", json={"url": image_server.url("/slow")})
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
def test_errors_of_the_model_server(
    client: FlaskClient,
    serving: FakeServing,
    jpeg: bytes,
    error: grpc.StatusCode,
    status: int,
    title: str,
) -> None:
    serving.error = (error, "secret")
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    assert "secret" not in str(check_problem(response, status, title))
    assert ("Retry-After" in response.headers) == (status == 503)
    serving.error = None
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").json == "cricket"


def test_a_dead_model_server(client: FlaskClient, serving: FakeServing, jpeg: bytes) -> None:
    serving.stop()
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    check_problem(response, 503, "Model unavailable")


def test_nonsense_from_the_model(client: FlaskClient, serving: FakeServing, jpeg: bytes) -> None:
    serving.outputs = {"probabilities": np.full((1, 7), np.nan, np.float32)}
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    check_problem(response, 502, "Model failed")


def test_a_model_that_takes_too_long(
    client: FlaskClient, serving: FakeServing, jpeg: bytes
) -> None:
    serving.delay = 4.0
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    check_problem(response, 504, "Model timeout")


def test_when_every_place_is_taken(settings: Settings, serving: FakeServing, jpeg: bytes) -> None:
    app = create_app(replace(settings, max_in_flight=1))
    serving.delay = 1.0
    slow: list[TestResponse] = []

    def ask() -> None:
        slow.append(app.test_client().post("/predict", data=jpeg, content_type="image/jpeg"))

    thread = threading.Thread(target=ask)
    thread.start()
    while not serving.requests:
        time.sleep(0.01)
    client = app.test_client()
    refused = client.post("/predict", data=jpeg, content_type="image/jpeg")
    check_problem(refused, 429, "Too many requests")
    assert refused.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    thread.join()
    assert slow[0].json == "cricket"
    serving.delay = 0.0
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").json == "cricket"


def test_healthz_needs_no_model(client: FlaskClient, serving: FakeServing) -> None:
    serving.stop()
    assert client.get("/healthz").status_code == 200


def test_readyz(client: FlaskClient, serving: FakeServing) -> None:
    assert client.get("/readyz").status_code == 200
    serving.state = tf.ModelVersionStatus.LOADING
    check_problem(client.get("/readyz"), 503, "Model unavailable")
    serving.state = tf.ModelVersionStatus.AVAILABLE
    assert client.get("/readyz").status_code == 200
    serving.stop()
    check_problem(client.get("/readyz"), 503, "Model unavailable")


def test_readyz_says_when_the_model_cannot_be_used(
    client: FlaskClient, serving: FakeServing
) -> None:
    serving.signatures = keras_signatures()
    problem = check_problem(client.get("/readyz"), 503, "Model unavailable")
    assert "GATEWAY_LABELS" in problem["detail"]


@pytest.mark.parametrize("sent", ["abc-123", "a" * 128])
def test_a_request_id_is_kept(
    client: FlaskClient, serving: FakeServing, jpeg: bytes, sent: str
) -> None:
    headers = {"X-Request-ID": sent, "Content-Type": "image/jpeg"}
    response = client.post("/predict", data=jpeg, headers=headers)
    assert response.headers["X-Request-ID"] == sent
    assert serving.metadata[0]["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "two words", "<script>", "\xe9"])
def test_or_made(client: FlaskClient, sent: str) -> None:
    made = client.get("/ping", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert made != sent
    assert len(made) == 32


def test_errors_of_the_framework_are_problems_too(client: FlaskClient) -> None:
    check_problem(client.get("/nothing"), 404, "Not Found")
    response = client.get("/predict")
    check_problem(response, 405, "Method Not Allowed")
    assert "POST" in response.headers["Allow"]


def test_an_error_nobody_thought_of(
    app: Flask, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.classifier.preprocess", lambda *_: 1 / 0)
    response = app.test_client().post("/predict", data=jpeg, content_type="image/jpeg")
    assert "division" not in str(check_problem(response, 500, "Internal error"))


def test_private_sources_are_announced_loudly(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    create_app(settings)
    assert "GATEWAY_ALLOW_PRIVATE_SOURCES" in caplog.text
