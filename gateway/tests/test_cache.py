from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import FakeServing, sports_outputs
from gateway_testing.image_server import ImageServer
from gateway_testing.waiting import wait_for

from gateway.cache import Cache
from gateway.signatures import Prediction

A, B, C = (encode(gradient(width)) for width in (100, 110, 120))
PREDICTION = Prediction(1, {"a": 1.0}, None, None)
NewClient = Callable[..., FlaskClient]


@pytest.fixture
def client(new_client: NewClient) -> FlaskClient:
    return new_client(cache_entries=16)


def predict(client: FlaskClient, image: bytes, query: str = "") -> dict[str, Any]:
    path = f"/v1/predictions{query}"
    response = client.post(path, data=image, content_type="image/jpeg")
    assert response.status_code == 200
    assert response.json is not None
    [prediction] = response.json["predictions"]
    return {**prediction, "version": response.json["model"]["version"]}


def test_a_repeated_image_gets_the_same_answer(client: FlaskClient, serving: FakeServing) -> None:
    first, second = predict(client, A), predict(client, A)
    assert set(first.pop("timings_ms")) == {"fetch", "decode", "predict"}
    assert set(second.pop("timings_ms")) == {"fetch"}
    assert first == second
    assert len(serving.requests) == 1
    assert client.post("/predict", data=A, content_type="image/jpeg").json == "cricket"
    assert len(serving.requests) == 1


def test_another_image_is_sent_to_the_model(client: FlaskClient, serving: FakeServing) -> None:
    predict(client, A)
    predict(client, B)
    assert len(serving.requests) == 2


def test_the_key_is_the_image_not_its_url(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    url = image_server.url("/image.jpg")
    for image in (A, A, B):
        image_server.routes["/image.jpg"] = image
        client.post("/predict", json={"url": url})
    predict(client, A)
    assert len(image_server.requests) == 3
    assert len(serving.requests) == 2


def test_the_cache_is_off_by_default(
    new_client: NewClient, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.classifier.hashlib", None)
    client = new_client()
    predict(client, A)
    predict(client, A)
    assert len(serving.requests) == 2


def test_the_least_recently_used_entry_is_dropped(
    new_client: NewClient, serving: FakeServing
) -> None:
    client = new_client(cache_entries=2)
    for image in (A, B, A, C):
        predict(client, image)
    assert len(serving.requests) == 3
    predict(client, A)
    assert len(serving.requests) == 3
    predict(client, B)
    assert len(serving.requests) == 4


def test_an_entry_expires() -> None:
    cache = Cache(2, 0.05)
    cache.store(b"a", False, PREDICTION)
    wait_for(lambda: cache.find(b"a", 1, False) is None)


def test_explained_and_plain_answers_are_kept_apart(
    client: FlaskClient, serving: FakeServing
) -> None:
    for _ in range(2):
        assert "heatmap" not in predict(client, A)
        assert np.shape(predict(client, A, "?explain=true")["heatmap"]) == (8, 8)
    assert len(serving.requests) == 2


def test_a_new_version_is_asked_again(client: FlaskClient, serving: FakeServing) -> None:
    predict(client, A)
    serving.version = 2
    predict(client, B)  # shows the gateway the new version
    assert predict(client, A)["version"] == "2"
    assert len(serving.requests) == 3


def test_an_answer_is_kept_under_the_version_that_gave_it(
    client: FlaskClient, serving: FakeServing
) -> None:
    predict(client, A)
    serving.version = 2
    assert predict(client, B)["version"] == "2"  # sent while the gateway still knew version 1
    assert predict(client, B)["version"] == "2"
    serving.version = 1
    assert predict(client, C)["version"] == "1"
    assert predict(client, B)["version"] == "1"
    assert len(serving.requests) == 4
    assert predict(client, A)["version"] == "1"
    assert len(serving.requests) == 4


def test_only_new_images_of_a_batch_are_sent(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    serving.outputs = sports_outputs(top="tennis")
    predict(client, B)
    serving.outputs = None
    image_server.routes |= {"/a": A, "/b": B, "/no": b"no image"}
    urls = [image_server.url(path) for path in ("/a", "/b", "/no", "/a")]
    for _ in range(2):
        body = client.post("/v1/predictions", json={"urls": urls}).json
        assert body is not None
        labels = [prediction.get("label") for prediction in body["predictions"]]
        assert labels == ["cricket", "tennis", None, "cricket"]
        assert body["model"]["version"] == "1"
        assert len(serving.requests) == 2
    assert serving.requests[1].inputs["images"].tensor_shape.dim[0].size == 2


def test_errors_are_not_kept(client: FlaskClient, serving: FakeServing) -> None:
    def status(image: bytes) -> int:
        return client.post("/predict", data=image, content_type="image/jpeg").status_code

    assert [status(b"no image") for _ in range(2)] == [415, 415]
    serving.error = (grpc.StatusCode.INTERNAL, "")
    assert status(A) == 502
    serving.error, serving.outputs = None, sports_outputs(2)
    assert status(A) == 502
    serving.outputs = None
    assert status(A) == 200


def test_a_kept_answer_needs_no_model(client: FlaskClient, serving: FakeServing) -> None:
    predict(client, A)
    serving.stop()
    assert predict(client, A)["label"] == "cricket"


def test_threads_share_the_cache() -> None:
    cache = Cache(4, 1e-4)

    def use(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 8, 2000):
            cache.store(bytes([number]), False, PREDICTION)
            assert cache.find(bytes([number]), 1, False) in (PREDICTION, None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
