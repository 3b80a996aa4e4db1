"""Models of other kinds, and answers that do not match their signature."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from gateway_testing import fake_serving
from gateway_testing.fake_serving import (
    SPORTS,
    FakeServing,
    Outputs,
    info,
    keras_signatures,
    sports_outputs,
)

from gateway.config import Settings
from gateway.errors import ModelFailed
from gateway.model_client import ModelClient
from gateway.signatures import IN_DOMAIN_BOUNDARY, Prediction
from tf_serving import api_pb2 as tf

IMAGE = np.zeros((1, 32, 32, 3), np.uint8)
LARGE_IMAGE = np.zeros((1, 299, 299, 3), np.uint8)
NewClient = Callable[..., ModelClient]


def soon() -> float:
    return time.monotonic() + 20


@pytest.fixture
def new_client(settings: Settings) -> Iterator[NewClient]:
    clients = []

    def new_client(labels: tuple[str, ...] = ("a", "b", "c")) -> ModelClient:
        clients.append(ModelClient(replace(settings, labels=labels)))
        return clients[-1]

    yield new_client
    for client in clients:
        client.close()


def predict(client: ModelClient, images: np.ndarray = IMAGE) -> Prediction:
    [prediction] = client.predict(list(images), client.signature(soon()), soon())
    return prediction


def test_a_plain_keras_export_gets_scaled_floats(
    new_client: NewClient, serving: FakeServing
) -> None:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.1, 0.7, 0.2]], np.float32)}
    images = np.arange(IMAGE.size, dtype=np.uint32).astype(np.uint8).reshape(IMAGE.shape)
    prediction = predict(new_client(), images)
    assert prediction.label == "b"
    assert prediction.in_domain is None
    sent = serving.requests[0].inputs["input_7"]
    assert sent.dtype == tf.DT_FLOAT
    floats = np.frombuffer(sent.tensor_content, "<f4").reshape(images.shape)
    np.testing.assert_allclose(floats, images / 127.5 - 1, atol=1e-6)


def test_a_plain_keras_export_may_return_logits(
    new_client: NewClient, serving: FakeServing
) -> None:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[-2.0, 3.0, 1.0]], np.float32)}
    prediction = predict(new_client())
    expected = np.exp([-2.0, 3.0, 1.0]) / np.exp([-2.0, 3.0, 1.0]).sum()
    np.testing.assert_allclose(list(prediction.probabilities.values()), expected, rtol=1e-6)


def test_the_models_own_labels_win_over_the_settings(new_client: NewClient) -> None:
    assert new_client().signature(soon()).labels == ()


def test_a_wrong_number_of_labels_is_reported(new_client: NewClient, serving: FakeServing) -> None:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.5, 0.5, 0.0]], np.float32)}
    with pytest.raises(ModelFailed, match="GATEWAY_LABELS"):
        predict(new_client(("a", "b")))


def test_a_plain_export_needs_labels(new_client: NewClient, serving: FakeServing) -> None:
    serving.signatures = keras_signatures()
    with pytest.raises(ModelFailed, match="GATEWAY_LABELS"):
        new_client(()).signature(soon())


Tensors = dict[str, tf.TensorInfo]


def one_signature(inputs: Tensors, outputs: Tensors) -> dict[str, tf.SignatureDef]:
    return {"serving_default": tf.SignatureDef(inputs=inputs, outputs=outputs)}


IMAGE_INPUT = {"x": info(tf.DT_FLOAT, -1, 32, 32, 3)}
SCORES = {"y": info(tf.DT_FLOAT, -1, 3)}


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [
        ({}, "no signature"),
        (one_signature({}, SCORES), "one image"),
        (one_signature({**IMAGE_INPUT, "z": info(tf.DT_FLOAT, -1)}, SCORES), "one image"),
        (one_signature({"x": info(tf.DT_STRING, -1)}, SCORES), "one image"),
        (one_signature({"x": info(tf.DT_FLOAT, -1, -1, -1, 3)}, SCORES), "one image"),
        (one_signature({"x": info(tf.DT_FLOAT, -1, 32, 32, 1)}, SCORES), "one image"),
        (one_signature(IMAGE_INPUT, {"y": info(tf.DT_FLOAT, -1, 8, 8)}), "row of scores"),
        (one_signature(IMAGE_INPUT, {**SCORES, "z": info(tf.DT_FLOAT, -1, 3)}), "row of scores"),
    ],
)
def test_other_models_than_image_classifiers_are_refused(
    new_client: NewClient,
    serving: FakeServing,
    signatures: dict[str, tf.SignatureDef],
    reason: str,
) -> None:
    serving.signatures = signatures
    with pytest.raises(ModelFailed, match=reason):
        new_client().signature(soon())


def changed_outputs(**changes: np.ndarray | None) -> Outputs:
    outputs = {**sports_outputs(1), **changes}
    return {name: values for name, values in outputs.items() if values is not None}


@pytest.mark.parametrize(
    "outputs",
    [
        changed_outputs(probabilities=None),
        changed_outputs(probabilities=np.full((1, 7), np.nan, np.float32)),
        changed_outputs(probabilities=np.full((1, 7), 0.5, np.float32)),
        changed_outputs(probabilities=np.array([[2, -1, 0, 0, 0, 0, 0]], np.float32)),
        changed_outputs(probabilities=np.full((1, 6), 1 / 6, np.float32)),
        changed_outputs(probabilities=np.full((2, 7), 1 / 7, np.float32)),
        changed_outputs(probabilities=np.full(7, 1 / 7, np.float32)),
        changed_outputs(probabilities=np.array([["a"] * 7])),
        changed_outputs(labels=None),
        changed_outputs(labels=np.array(SPORTS)),
        changed_outputs(in_domain=np.array([0.5, 0.5], np.float32)),
        changed_outputs(in_domain=np.array([np.inf], np.float32)),
    ],
)
def test_an_unusable_answer_is_a_failure_of_the_model(
    new_client: NewClient, serving: FakeServing, outputs: Outputs
) -> None:
    client, serving.outputs = new_client(), outputs
    with pytest.raises(ModelFailed):
        predict(client, LARGE_IMAGE)
    serving.outputs = None
    assert predict(client, LARGE_IMAGE).label == "cricket"


def test_an_answer_of_another_size_than_it_declares_is_a_failure_of_the_model(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shortened(values: np.ndarray) -> tf.TensorProto:
        proto = original(values)
        del proto.float_val[1:]
        return proto

    original = fake_serving.tensor
    monkeypatch.setattr(fake_serving, "tensor", shortened)
    with pytest.raises(ModelFailed, match="does not have the shape that it declares"):
        predict(new_client(), LARGE_IMAGE)


def test_contents_that_are_cut_off_are_a_failure_of_the_model(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(values: np.ndarray) -> tf.TensorProto:
        proto = original(values)
        if proto.dtype == tf.DT_FLOAT:
            del proto.float_val[:]
            proto.tensor_content = values.astype("<f4").tobytes()[:-1]
        return proto

    original = fake_serving.tensor
    monkeypatch.setattr(fake_serving, "tensor", cut_off)
    with pytest.raises(ModelFailed, match="does not have the shape that it declares"):
        predict(new_client(), LARGE_IMAGE)


@pytest.mark.parametrize(
    ("in_domain", "known"),
    [
        (None, None),
        (0.0, False),
        (math.nextafter(IN_DOMAIN_BOUNDARY, 0), False),
        (IN_DOMAIN_BOUNDARY, True),
        (1.0, True),
    ],
)
def test_the_boundary_of_known(in_domain: float | None, known: bool | None) -> None:
    assert Prediction(1, {"a": 1.0}, in_domain, None).known is known
