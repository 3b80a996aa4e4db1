import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import FakeServing, sports_outputs
from gateway_testing.image_server import ImageServer

from gateway import create_app
from gateway.cache import Cache
from gateway.config import Settings
from gateway.signatures import Prediction

A, B, C = (encode(gradient(width)) for width in (100, 110, 120))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, cache_entries=16)


def ask(client: FlaskClient, picture: bytes, query: str = "") -> dict:
    path = f"/v1/predictions{query}"
    response = client.post(path, data=picture, content_type="image/jpeg")
    assert response.status_code == 200
    [prediction] = response.json["predictions"]
    return {**prediction, "version": response.json["model"]["version"]}


def test_a_picture_that_comes_again_gets_the_same_answer(
    client: FlaskClient, serving: FakeServing
) -> None:
    first, second = ask(client, A), ask(client, A)
    assert set(first.pop("timings_ms")) == {"fetch", "decode", "predict"}
    assert set(second.pop("timings_ms")) == {"fetch"}
    assert first == second
    assert len(serving.requests) == 1
    assert client.post("/predict", data=A, content_type="image/jpeg").json == "cricket"
    assert len(serving.requests) == 1


def test_another_picture_is_asked_about(client: FlaskClient, serving: FakeServing) -> None:
    ask(client, A)
    ask(client, B)
    assert len(serving.requests) == 2


def test_the_bytes_decide_not_the_url(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    url = image_server.url("/image.jpg")
    for picture in (A, A, B):
        image_server.routes["/image.jpg"] = picture
        client.post("/predict", json={"url": url})
    ask(client, A)
    assert len(image_server.requests) == 3
    assert len(serving.requests) == 2


def test_off_by_default(
    settings: Settings, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.classifier.hashlib", None)
    client = create_app(replace(settings, cache_entries=Settings().cache_entries)).test_client()
    ask(client, A)
    ask(client, A)
    assert len(serving.requests) == 2


def test_the_one_unused_longest_makes_way(settings: Settings, serving: FakeServing) -> None:
    client = create_app(replace(settings, cache_entries=2)).test_client()
    for picture in (A, B, A, C):
        ask(client, picture)
    assert len(serving.requests) == 3
    ask(client, A)
    assert len(serving.requests) == 3
    ask(client, B)
    assert len(serving.requests) == 4


def test_what_is_too_old_is_asked_anew(settings: Settings, serving: FakeServing) -> None:
    client = create_app(replace(settings, cache_seconds=0.05)).test_client()
    ask(client, A)
    time.sleep(0.1)
    ask(client, A)
    assert len(serving.requests) == 2


def test_explained_and_plain_answers_do_not_mix(client: FlaskClient, serving: FakeServing) -> None:
    for _ in range(2):
        assert "heatmap" not in ask(client, A)
        assert np.shape(ask(client, A, "?explain=true")["heatmap"]) == (8, 8)
    assert len(serving.requests) == 2


def test_a_new_version_is_asked_anew(client: FlaskClient, serving: FakeServing) -> None:
    ask(client, A)
    serving.version = 2
    ask(client, B)  # the first miss notices
    assert ask(client, A)["version"] == "2"
    assert len(serving.requests) == 3


def test_an_answer_stands_under_the_version_that_gave_it(
    client: FlaskClient, serving: FakeServing
) -> None:
    ask(client, A)
    serving.version = 2
    assert ask(client, B)["version"] == "2"  # asked while the gateway still knew version 1
    assert ask(client, B)["version"] == "2"
    serving.version = 1
    assert ask(client, C)["version"] == "1"
    assert ask(client, B)["version"] == "1"
    assert len(serving.requests) == 4
    assert ask(client, A)["version"] == "1"
    assert len(serving.requests) == 4


def test_of_several_only_the_unknown_are_asked_about(
    client: FlaskClient, image_server: ImageServer, serving: FakeServing
) -> None:
    serving.outputs = sports_outputs(top="tennis")
    ask(client, B)
    serving.outputs = None
    image_server.routes |= {"/a": A, "/b": B, "/no": b"no picture"}
    urls = [image_server.url(path) for path in ("/a", "/b", "/no", "/a")]
    for _ in range(2):
        body = client.post("/v1/predictions", json={"urls": urls}).json
        labels = [prediction.get("label") for prediction in body["predictions"]]
        assert labels == ["cricket", "tennis", None, "cricket"]
        assert body["model"]["version"] == "1"
        assert len(serving.requests) == 2
    assert serving.requests[1].inputs["images"].tensor_shape.dim[0].size == 2


def test_what_failed_is_not_kept(client: FlaskClient, serving: FakeServing) -> None:
    def status(picture: bytes) -> int:
        return client.post("/predict", data=picture, content_type="image/jpeg").status_code

    assert [status(b"no picture") for _ in range(2)] == [415, 415]
    serving.error = (grpc.StatusCode.INTERNAL, "")
    assert status(A) == 502
    serving.error, serving.outputs = None, sports_outputs(2)
    assert status(A) == 502
    serving.outputs = None
    assert status(A) == 200


def test_a_known_picture_needs_no_model(client: FlaskClient, serving: FakeServing) -> None:
    ask(client, A)
    serving.stop()
    assert ask(client, A)["label"] == "cricket"


def test_threads_share_it() -> None:
    cache, prediction = Cache(4, 1e-4), Prediction(1, {"a": 1.0}, None, None)

    def use(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 8, 2000):
            cache.keep(bytes([number]), False, prediction)
            assert cache.find(bytes([number]), 1, False) in (prediction, None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
