import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest
from gateway_testing import fake_serving
from gateway_testing.fake_serving import SPORTS, FakeServing, sports_signatures
from gateway_testing.waiting import wait_for

from gateway import model_client
from gateway.config import Settings
from gateway.errors import (
    GatewayError,
    ModelFailed,
    ModelTimeout,
    ModelUnavailable,
    TooManyRequests,
)
from gateway.model_channel import pause
from gateway.model_client import ModelClient
from gateway.signatures import Prediction
from tf_serving import api_pb2 as tf

IMAGES = np.arange(2 * 299 * 299 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 299, 299, 3)
Predict = Callable[..., list[Prediction]]


@pytest.fixture
def model(settings: Settings) -> Iterator[ModelClient]:
    model = ModelClient(settings)
    yield model
    model.close()


def soon() -> float:
    return time.monotonic() + 20


@pytest.fixture
def predict(model: ModelClient) -> Predict:
    def predict(
        images: np.ndarray = IMAGES, explain: bool = False, request_id: str = ""
    ) -> list[Prediction]:
        signature = model.signature(soon())
        return model.predict(
            list(images), signature, soon(), explain=explain, request_id=request_id
        )

    return predict


def test_a_batch_of_two_is_classified(predict: Predict, serving: FakeServing) -> None:
    first, second = predict()
    assert first == second
    assert first.label == "cricket"
    assert list(first.probabilities) == list(SPORTS)
    assert first.probabilities["cricket"] == pytest.approx(0.88)
    assert first.in_domain == pytest.approx(0.9)
    assert first.heatmap is None
    assert first.version == 1
    [request] = serving.requests
    assert request.model_spec.name == "sport-classification-model"
    sent = request.inputs["images"]
    assert sent.dtype == tf.DT_UINT8
    assert sent.tensor_content == IMAGES.tobytes()


def test_the_request_id_is_sent_as_metadata(predict: Predict, serving: FakeServing) -> None:
    predict(request_id="abc-1")
    assert serving.metadata[0]["x-request-id"] == "abc-1"


def test_the_signature_is_read_once(predict: Predict, serving: FakeServing) -> None:
    predict()
    predict()
    assert serving.metadata_calls == 1


def test_the_signature_is_read_again_when_the_version_changes(
    predict: Predict, model: ModelClient, serving: FakeServing
) -> None:
    predict()
    serving.version = 2
    assert predict()[0].version == 2
    assert model.signature(soon()).version == 2


def test_an_answer_without_a_version_gets_the_signatures(
    predict: Predict, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_client, "VERSION_SECONDS", 60.0)
    serving.version, serving.names_version = 3, False
    assert [predict()[0].version for _ in range(3)] == [3, 3, 3]
    assert serving.metadata_calls == 1


def test_the_signature_of_a_server_without_versions_expires(
    predict: Predict, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.names_version = False
    predict()
    monkeypatch.setattr(model_client, "VERSION_SECONDS", 0.0)
    serving.version = 2
    predict()
    assert predict()[0].version == 2


def test_the_size_comes_from_the_signature(model: ModelClient, serving: FakeServing) -> None:
    serving.signatures = sports_signatures(150, 200)
    assert model.signature(soon()).size == (150, 200)


def test_an_explanation_has_a_heat_map(predict: Predict) -> None:
    [prediction] = predict(IMAGES[:1], explain=True)
    assert np.shape(prediction.heatmap or []) == (8, 8)


def test_tensor_content_is_read_too(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    def packed(values: np.ndarray) -> tf.TensorProto:
        proto = original(values)
        if proto.dtype == tf.DT_FLOAT:
            del proto.float_val[:]
            proto.tensor_content = values.astype("<f4").tobytes()
        return proto

    original = fake_serving.tensor
    monkeypatch.setattr(fake_serving, "tensor", packed)
    assert predict()[0].label == "cricket"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, ModelUnavailable),
        (grpc.StatusCode.NOT_FOUND, ModelUnavailable),
        (grpc.StatusCode.CANCELLED, ModelUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ModelTimeout),
        (grpc.StatusCode.INVALID_ARGUMENT, ModelFailed),
        (grpc.StatusCode.INTERNAL, ModelFailed),
    ],
)
def test_errors_of_the_model_server_are_translated(
    predict: Predict, serving: FakeServing, status: grpc.StatusCode, error: type[GatewayError]
) -> None:
    predict()
    serving.error = (status, "an address: 10.0.0.1")
    with pytest.raises(error) as caught:
        predict()
    assert "10.0.0.1" not in str(caught.value)


def test_a_busy_server_is_asked_again(model: ModelClient, serving: FakeServing) -> None:
    signature = model.signature(soon())
    serving.error = (grpc.StatusCode.RESOURCE_EXHAUSTED, "no thread")
    with ThreadPoolExecutor() as pool:
        prediction = pool.submit(model.predict, list(IMAGES), signature, soon())
        wait_for(lambda: len(serving.requests) > 1)
        serving.error = None
        assert prediction.result()[0].label == "cricket"


def test_a_server_that_stays_busy_is_too_many_requests(
    model: ModelClient, serving: FakeServing
) -> None:
    signature = model.signature(soon())
    serving.error = (grpc.StatusCode.RESOURCE_EXHAUSTED, "no thread")
    with pytest.raises(TooManyRequests) as caught:
        model.predict(list(IMAGES), signature, time.monotonic() + 1)
    assert caught.value.retry_after
    assert len(serving.requests) > 1


def test_requests_with_less_time_left_ask_more_often() -> None:
    assert max(pause(2) for _ in range(100)) < min(pause(20) for _ in range(100))


def test_a_busy_server_is_available(model: ModelClient, serving: FakeServing) -> None:
    serving.error = (grpc.StatusCode.RESOURCE_EXHAUSTED, "no thread")
    model.check_available(time.monotonic() + 1)


def test_a_batch_too_large_for_the_server_is_not_sent_again(settings: Settings) -> None:
    serving = FakeServing(options=(("grpc.max_receive_message_length", 100_000),))
    model = ModelClient(replace(settings, tf_serving_host=serving.host))
    try:
        with pytest.raises(ModelFailed):
            model.predict(list(IMAGES), model.signature(soon()), soon())
    finally:
        model.close()
        serving.stop()


def test_an_unavailable_server_is_asked_twice(predict: Predict, serving: FakeServing) -> None:
    predict()
    serving.error = (grpc.StatusCode.UNAVAILABLE, "restarting")
    with pytest.raises(ModelUnavailable):
        predict()
    assert len(serving.requests) == 1 + 2


def test_an_unreachable_server_is_unavailable(settings: Settings) -> None:
    with pytest.raises(ModelUnavailable):
        ModelClient(replace(settings, tf_serving_host="127.0.0.1:1")).signature(soon())


def test_a_call_ends_at_the_deadline(model: ModelClient, serving: FakeServing) -> None:
    signature = model.signature(soon())
    serving.answering.clear()
    with pytest.raises(ModelTimeout):
        model.predict(list(IMAGES), signature, time.monotonic() + 0.2)
    with pytest.raises(ModelTimeout):
        model.predict(list(IMAGES), signature, time.monotonic() - 1)
    assert len(serving.requests) <= 1  # the second was not sent


@pytest.mark.parametrize("state", ["START", "LOADING", "UNLOADING", "END"])
def test_only_an_available_version_is_available(
    model: ModelClient, serving: FakeServing, state: str
) -> None:
    model.check_available(soon())
    serving.state = getattr(tf.ModelVersionStatus, state)
    with pytest.raises(ModelUnavailable):
        model.check_available(soon())
