"""Probes, request IDs and the start."""

import pytest
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing, keras_signatures

from api.checks import check_problem
from api.conftest import Post
from gateway import probes
from gateway.app import create_app
from gateway.config import Settings
from tf_serving import api_pb2 as tf


@pytest.fixture(autouse=True)
def patient_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "READY_TIMEOUT", 20.0)


def test_healthz_needs_no_model(client: FlaskClient, serving: FakeServing) -> None:
    serving.stop()
    assert client.get("/healthz").status_code == 200


def test_readyz_follows_the_models_state(client: FlaskClient, serving: FakeServing) -> None:
    assert client.get("/readyz").status_code == 200
    serving.state = tf.ModelVersionStatus.LOADING
    check_problem(client.get("/readyz"), 503, "Model unavailable")
    serving.state = tf.ModelVersionStatus.AVAILABLE
    assert client.get("/readyz").status_code == 200
    serving.stop()
    check_problem(client.get("/readyz"), 503, "Model unavailable")


def test_readyz_says_why_the_model_cannot_be_used(
    client: FlaskClient, serving: FakeServing
) -> None:
    serving.signatures = keras_signatures()
    problem = check_problem(client.get("/readyz"), 503, "Model unavailable")
    assert "GATEWAY_LABELS" in problem["detail"]


@pytest.mark.parametrize("sent", ["abc-123", "a" * 128])
def test_a_valid_request_id_is_kept(post: Post, serving: FakeServing, sent: str) -> None:
    response = post(headers={"X-Request-ID": sent})
    assert response.headers["X-Request-ID"] == sent
    assert serving.metadata[0]["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "two words", "<script>", "\xe9"])
def test_an_invalid_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    received = client.get("/ping", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert received != sent
    assert len(received) == 32


def test_private_sources_are_announced_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    create_app(settings)
    assert "GATEWAY_ALLOW_PRIVATE_SOURCES" in caplog.text
