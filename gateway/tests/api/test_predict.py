"""One image: how it may be sent, and what is answered."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from gateway_testing.fake_serving import SPORTS, FakeServing, keras_signatures, sports_signatures
from gateway_testing.image_server import ImageServer

from api.checks import body, check_problem
from api.conftest import Post
from gateway.app import create_app
from gateway.config import Settings


def test_ping(client: FlaskClient) -> None:
    response = client.get("/ping")
    assert (response.status_code, response.text) == (200, "pong")
    assert response.mimetype == "text/plain"


def test_an_image_is_sent_by_url(client: FlaskClient, image_server: ImageServer) -> None:
    response = client.post("/predict", json={"url": image_server.url("/image.jpg")})
    assert response.status_code == 200
    assert response.text.strip() == '"cricket"'
    assert response.mimetype == "application/json"


def test_json_needs_no_content_type(client: FlaskClient, image_server: ImageServer) -> None:
    data = f'{{"url": "{image_server.url("/image.jpg")}"}}'
    response = client.post("/predict", data=data, content_type="application/x-www-form-urlencoded")
    assert response.json == "cricket"


def test_an_image_is_sent_as_a_form(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict", data={"image": (io.BytesIO(jpeg), "a.jpg")})
    assert response.json == "cricket"


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/*"])
def test_an_image_is_sent_as_the_body(post: Post, content_type: str) -> None:
    assert post(content_type=content_type).json == "cricket"


@pytest.mark.parametrize("value", ["true", "1", "yes", "on", "True"])
def test_all_probabilities_are_shown_on_request(post: Post, value: str) -> None:
    probabilities = body(post(f"/predict?show_probability={value}"))
    assert list(probabilities) == list(SPORTS)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("value", ["false", "0", "no", "off", "False"])
def test_the_label_alone_is_the_default(post: Post, value: str) -> None:
    assert post(f"/predict?show_probability={value}").json == "cricket"


def test_a_parameter_that_is_neither_true_nor_false_is_refused(post: Post) -> None:
    check_problem(post("/predict?show_probability=maybe"), 400, "Invalid request")


def test_the_model_receives_the_pixels(post: Post, serving: FakeServing) -> None:
    serving.signatures = sports_signatures(100, 120)
    post()
    sent = serving.requests[0].inputs["images"]
    assert [dim.size for dim in sent.tensor_shape.dim] == [1, 100, 120, 3]
    pixels = np.frombuffer(sent.tensor_content, np.uint8).reshape(100, 120, 3)
    assert pixels[50, 110, 0] > 200 > 50 > pixels[50, 10, 0]


def test_the_full_answer(client: FlaskClient, image_server: ImageServer) -> None:
    url = image_server.url("/image.jpg")
    answer = body(client.post("/v1/predictions", json={"url": url}))
    assert answer["model"] == {"name": "sport-classification-model", "version": "1"}
    [prediction] = answer["predictions"]
    assert prediction["source"] == url
    assert prediction["label"] == "cricket"
    assert prediction["probability"] == prediction["probabilities"]["cricket"]
    assert prediction["known"] is True
    assert prediction["in_domain"] == pytest.approx(0.9)
    assert set(prediction["timings_ms"]) == {"fetch", "decode", "predict"}
    assert "heatmap" not in prediction


def test_an_explanation_has_a_heat_map(post: Post) -> None:
    [prediction] = body(post("/v1/predictions?explain=true"))["predictions"]
    assert np.shape(prediction["heatmap"]) == (8, 8)


@pytest.fixture
def keras_client(settings: Settings, serving: FakeServing) -> Iterator[FlaskClient]:
    """In front of a plain Keras export, which answers b."""
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.1, 0.7, 0.2]], np.float32)}
    app = create_app(replace(settings, labels=("a", "b", "c")))
    yield app.test_client()
    app.extensions["gateway"].classifier.model.close()


def test_a_model_without_in_domain_answers_null(keras_client: FlaskClient, jpeg: bytes) -> None:
    response = keras_client.post("/v1/predictions", data=jpeg, content_type="image/jpeg")
    [prediction] = body(response)["predictions"]
    assert prediction["label"] == "b"
    assert prediction["known"] is None
    assert prediction["in_domain"] is None


def test_a_model_without_explanations_is_a_problem_of_its_own(
    keras_client: FlaskClient, serving: FakeServing, jpeg: bytes
) -> None:
    response = keras_client.post(
        "/v1/predictions?explain=true", data=jpeg, content_type="image/jpeg"
    )
    problem = check_problem(response, 400, "Explanation unsupported")
    assert problem["type"] == "/problems/explanation-unsupported"
    assert not serving.requests


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
        {"json": {"urls": "https://example.com/a.jpg"}},
        {"json": {"urls": [7]}},
        {"json": {"url": "https://example.com/", "urls": ["https://example.com/"]}},
        {"data": {"image": "text"}},
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/v1/predictions"])
def test_a_request_without_an_image_is_refused(
    client: FlaskClient, path: str, request_body: dict[str, Any]
) -> None:
    check_problem(client.post(path, **request_body), 400, "Invalid request")


def test_a_form_field_of_another_name_is_refused(client: FlaskClient, jpeg: bytes) -> None:
    response = client.post("/predict", data={"file": (io.BytesIO(jpeg), "a.jpg")})
    problem = check_problem(response, 400, "Invalid request")
    assert "calls its file `file` instead of `image`" in problem["detail"]
    assert "curl -F image=@FILE" in problem["detail"]


@pytest.mark.parametrize("size", [100, 66_000, 900_000])
@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "application/octet-stream", ""]
)
def test_an_image_without_its_type_is_told_what_to_do(
    client: FlaskClient, jpeg: bytes, content_type: str, size: int
) -> None:
    """As `curl --data-binary @FILE` sends it."""
    data = jpeg[:size].ljust(size, b"\0")
    problem = check_problem(
        client.post("/predict", data=data, content_type=content_type), 400, "Invalid request"
    )
    assert "Content-Type: image/jpeg" in problem["detail"]


def test_large_json_of_another_type_is_refused(client: FlaskClient) -> None:
    data = b'{"url": "' + b"x" * 70_000 + b'"}'
    response = client.post("/predict", data=data, content_type="text/plain")
    check_problem(response, 413, "Request too large")


def test_two_files_for_one_prediction_are_refused(client: FlaskClient, jpeg: bytes) -> None:
    files = [(io.BytesIO(jpeg), "a.jpg"), (io.BytesIO(jpeg), "b.jpg")]
    check_problem(client.post("/predict", data={"image": files}), 400, "Invalid request")


def test_two_urls_for_one_prediction_are_refused(
    client: FlaskClient, image_server: ImageServer
) -> None:
    response = client.post("/predict", json={"urls": [image_server.url("/image.jpg")] * 2})
    check_problem(response, 400, "Invalid request")
