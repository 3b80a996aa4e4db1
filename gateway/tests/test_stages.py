"""Stages in metrics, log and answer, whether they succeed or fail."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing, keras_signatures, sports_signatures
from gateway_testing.image_server import ImageServer, answer
from gateway_testing.metrics import parse
from gateway_testing.waiting import wait_for

NewClient = Callable[..., FlaskClient]


@pytest.fixture
def hold(image_server: ImageServer, jpeg: bytes) -> Iterator[threading.Event]:
    """The image server answers /hold when this event is set."""
    release = threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        release.wait()
        answer(handler, jpeg)

    image_server.routes["/hold"] = hold
    yield release
    release.set()


def stage_counts(client: FlaskClient) -> dict[tuple[str, str], int]:
    """How often each stage has been recorded, by name and outcome."""
    counts = {}
    for name, value in parse(client.get("/metrics").text).items():
        if name.startswith("gateway_stage_seconds_count"):
            labels = dict(pair.split("=") for pair in name.split("{")[1].strip("}").split(","))
            counts[labels["stage"].strip('"'), labels["outcome"].strip('"')] = int(value)
    return counts


def log_line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The fields of the last request's line."""
    [*_, record] = [record for record in caplog.records if record.name == "gateway.requests"]
    return record.__dict__


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_source_that_times_out_is_a_failed_fetch(
    new_client: NewClient,
    image_server: ImageServer,
    hold: threading.Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = new_client(fetch_timeout=0.3)
    response = client.post("/predict", json={"url": image_server.url("/hold")})
    assert response.status_code == 504
    line = log_line(caplog)
    assert line["fetch_seconds"] >= 0.29
    assert line["images"] == 1
    assert "decode_seconds" not in line
    assert stage_counts(client) == {("signature", "ok"): 1, ("fetch", "error"): 1}


def test_a_model_that_times_out_is_a_failed_predict(
    new_client: NewClient, serving: FakeServing, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = new_client(fetch_timeout=0.5, request_timeout=1.0)
    classifier = client.application.extensions["gateway"].classifier
    classifier.decoders.start()
    classifier.model.signature(time.monotonic() + 20)
    serving.answering.clear()
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    assert response.status_code == 504
    line = log_line(caplog)
    assert {"fetch_seconds", "decode_seconds", "predict_seconds"} <= set(line)
    assert stage_counts(client) == {
        ("fetch", "ok"): 1,
        ("decode", "ok"): 1,
        ("predict", "error"): 1,
    }


def test_an_image_that_cannot_be_decoded_is_a_failed_decode(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/predict", data=b"no image", content_type="image/jpeg")
    assert "decode_seconds" in log_line(caplog)
    assert "predict_seconds" not in log_line(caplog)
    assert stage_counts(client) == {
        ("signature", "ok"): 1,
        ("fetch", "ok"): 1,
        ("decode", "error"): 1,
    }


def test_a_signature_that_cannot_be_read_is_a_failed_stage(
    new_client: NewClient, serving: FakeServing, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    serving.signatures = {}
    client = new_client()
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").status_code == 502
    assert "signature_seconds" in log_line(caplog)
    assert stage_counts(client) == {("signature", "error"): 1}


def test_each_image_of_a_batch_has_its_timings(
    client: FlaskClient, image_server: ImageServer
) -> None:
    image_server.routes["/no.jpg"] = b"no image"
    urls = [image_server.url(path) for path in ("/image.jpg", "/no.jpg", "/missing.jpg")]
    response = client.post("/v1/predictions", json={"urls": urls})
    assert response.json is not None
    timings = [set(prediction["timings_ms"]) for prediction in response.json["predictions"]]
    assert timings == [{"fetch", "decode", "predict"}, {"fetch", "decode"}, {"fetch"}]
    assert stage_counts(client) == {
        ("signature", "ok"): 1,
        ("fetch", "ok"): 2,
        ("fetch", "error"): 1,
        ("decode", "ok"): 1,
        ("decode", "error"): 1,
        ("predict", "ok"): 1,
    }


@pytest.mark.parametrize("change", ["size", "dtype"])
def test_a_model_that_changes_between_signature_and_predict_costs_no_second_download(
    new_client: NewClient,
    image_server: ImageServer,
    serving: FakeServing,
    jpeg: bytes,
    change: str,
) -> None:
    client = new_client(labels=("a", "b", "c"))
    url = image_server.url("/image.jpg")
    assert client.post("/predict", json={"url": url}).json == "cricket"
    serving.version = 2
    if change == "size":
        serving.signatures = sports_signatures(120, 150)
    else:
        serving.signatures = keras_signatures()
        serving.outputs = {"dense_5": np.array([[0.1, 0.7, 0.2]], np.float32)}
    expected = {"size": "cricket", "dtype": "b"}[change]
    assert client.post("/predict", json={"url": url}).json == expected
    assert len(image_server.requests) == 2
    metrics = parse(client.get("/metrics").text)
    assert metrics["gateway_received_bytes_total"] == 2 * len(jpeg)
    assert stage_counts(client)["fetch", "ok"] == 2
    assert client.post("/predict", json={"url": url}).json == expected
    assert len(image_server.requests) == 3


def test_in_flight_counts_images(
    client: FlaskClient, image_server: ImageServer, hold: threading.Event
) -> None:
    def in_flight() -> float:
        return parse(client.get("/metrics").text)["gateway_in_flight"]

    body = {"urls": [image_server.url("/hold")] * 4}
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(
            lambda: client.application.test_client().post("/v1/predictions", json=body)
        )
        try:
            wait_for(lambda: len(image_server.requests) == 4)
            assert in_flight() == 4
        finally:
            hold.set()
        assert batch.result().status_code == 200
    assert in_flight() == 0


def test_in_flight_returns_to_zero_after_an_error(
    client: FlaskClient, serving: FakeServing, jpeg: bytes
) -> None:
    serving.stop()
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").status_code == 503
    assert parse(client.get("/metrics").text)["gateway_in_flight"] == 0
