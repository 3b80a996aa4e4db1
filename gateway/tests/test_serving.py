import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc
import numpy as np
import pytest
from gateway_testing.fake_serving import (
    SPORTS,
    FakeServing,
    info,
    keras_signatures,
    sports_outputs,
    sports_signatures,
)

from gateway import tf_serving_pb2 as tf
from gateway.config import Settings
from gateway.errors import GatewayError, ModelFailed, ModelTimeout, ModelUnavailable
from gateway.serving import Model
from gateway.signatures import Prediction

PIXELS = np.arange(2 * 299 * 299 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 299, 299, 3)


@pytest.fixture
def model(settings: Settings) -> Iterator[Model]:
    model = Model(settings)
    yield model
    model.close()


def soon() -> float:
    return time.monotonic() + 2


@pytest.fixture
def ask(model: Model) -> Callable[..., list[Prediction]]:
    def ask(images: np.ndarray = PIXELS, **options: object) -> list[Prediction]:
        return model.predict(images, model.signature(soon()), soon(), **options)

    return ask


def test_a_batch_of_two(ask, serving: FakeServing) -> None:
    first, second = ask()
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
    assert sent.tensor_content == PIXELS.tobytes()


def test_the_request_id_goes_along(ask, serving: FakeServing) -> None:
    ask(request_id="abc-1")
    assert serving.metadata[0]["x-request-id"] == "abc-1"


def test_the_signature_is_read_once(ask, serving: FakeServing) -> None:
    ask()
    ask()
    assert serving.metadata_calls == 1


def test_and_again_when_the_version_changes(ask, model: Model, serving: FakeServing) -> None:
    ask()
    serving.version = 2
    assert ask()[0].version == 2
    assert model.signature(soon()).version == 2


def test_an_answer_without_a_version_has_the_signatures(ask, serving: FakeServing) -> None:
    serving.version, serving.names_version = 3, False
    assert [ask()[0].version for _ in range(3)] == [3, 3, 3]
    assert serving.metadata_calls == 1


def test_which_is_read_again_after_some_seconds(
    ask, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.names_version = False
    ask()
    monkeypatch.setattr("gateway.serving.VERSION_SECONDS", 0.0)
    serving.version = 2
    ask()
    assert ask()[0].version == 2


def test_a_size_of_another_shape(model: Model, serving: FakeServing) -> None:
    serving.signatures = sports_signatures(150, 200)
    assert model.signature(soon()).size == (150, 200)


def test_explain(ask) -> None:
    [prediction] = ask(PIXELS[:1], explain=True)
    assert np.shape(prediction.heatmap) == (8, 8)


def test_tensor_content_is_read_too(ask, serving: FakeServing, monkeypatch) -> None:
    def packed(values: np.ndarray) -> tf.TensorProto:
        proto = original(values)
        if proto.dtype == tf.DT_FLOAT:
            del proto.float_val[:]
            proto.tensor_content = values.astype("<f4").tobytes()
        return proto

    original = sys.modules["gateway_testing.fake_serving"].tensor
    monkeypatch.setattr("gateway_testing.fake_serving.tensor", packed)
    assert ask()[0].label == "cricket"


def plain_keras(settings: Settings, labels: tuple[str, ...] = ("a", "b", "c")) -> Model:
    return Model(replace(settings, labels=labels))


def test_a_plain_keras_export_gets_scaled_floats(settings: Settings, serving: FakeServing) -> None:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.1, 0.7, 0.2]], np.float32)}
    model, pixels = plain_keras(settings), PIXELS[:1, :32, :32]
    [prediction] = model.predict(pixels, model.signature(soon()), soon())
    assert prediction.label == "b"
    assert prediction.in_domain is None
    sent = serving.requests[0].inputs["input_7"]
    assert sent.dtype == tf.DT_FLOAT
    floats = np.frombuffer(sent.tensor_content, "<f4").reshape(pixels.shape)
    np.testing.assert_allclose(floats, pixels / 127.5 - 1, atol=1e-6)


def test_a_plain_keras_export_may_end_in_logits(settings: Settings, serving: FakeServing) -> None:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[-2.0, 3.0, 1.0]], np.float32)}
    model = plain_keras(settings)
    [prediction] = model.predict(PIXELS[:1, :32, :32], model.signature(soon()), soon())
    expected = np.exp([-2.0, 3.0, 1.0]) / np.exp([-2.0, 3.0, 1.0]).sum()
    np.testing.assert_allclose(list(prediction.probabilities.values()), expected, rtol=1e-6)


def test_the_models_own_labels_win(settings: Settings) -> None:
    assert plain_keras(settings).signature(soon()).labels == ()


def test_labels_of_another_number(settings: Settings, serving: FakeServing) -> None:
    serving.signatures = keras_signatures()
    serving.outputs = {"dense_5": np.array([[0.5, 0.5, 0.0]], np.float32)}
    model = plain_keras(settings, labels=("a", "b"))
    with pytest.raises(ModelFailed, match="GATEWAY_LABELS"):
        model.predict(PIXELS[:1, :32, :32], model.signature(soon()), soon())


def one_signature(inputs: dict, outputs: dict) -> dict[str, tf.SignatureDef]:
    return {"serving_default": tf.SignatureDef(inputs=inputs, outputs=outputs)}


PICTURE = {"x": info(tf.DT_FLOAT, -1, 32, 32, 3)}
SCORES = {"y": info(tf.DT_FLOAT, -1, 3)}


@pytest.mark.parametrize(
    ("signatures", "why"),
    [
        ({}, "no signature"),
        (one_signature({}, SCORES), "one picture"),
        (one_signature({**PICTURE, "z": info(tf.DT_FLOAT, -1)}, SCORES), "one picture"),
        (one_signature({"x": info(tf.DT_STRING, -1)}, SCORES), "one picture"),
        (one_signature({"x": info(tf.DT_FLOAT, -1, -1, -1, 3)}, SCORES), "one picture"),
        (one_signature({"x": info(tf.DT_FLOAT, -1, 32, 32, 1)}, SCORES), "one picture"),
        (one_signature(PICTURE, {"y": info(tf.DT_FLOAT, -1, 8, 8)}), "row of numbers"),
        (one_signature(PICTURE, {**SCORES, "z": info(tf.DT_FLOAT, -1, 3)}), "row of numbers"),
    ],
)
def test_models_that_are_no_image_classifier(
    settings: Settings, serving: FakeServing, signatures: dict, why: str
) -> None:
    serving.signatures = signatures
    with pytest.raises(ModelFailed, match=why):
        plain_keras(settings).signature(soon())


def test_a_plain_export_needs_labels(model: Model, serving: FakeServing) -> None:
    serving.signatures = keras_signatures()
    with pytest.raises(ModelFailed, match="GATEWAY_LABELS"):
        model.signature(soon())


def nonsense(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    outputs = {**sports_outputs(1), **changes}
    return {name: values for name, values in outputs.items() if values is not None}


@pytest.mark.parametrize(
    "outputs",
    [
        nonsense(probabilities=None),
        nonsense(probabilities=np.full((1, 7), np.nan, np.float32)),
        nonsense(probabilities=np.full((1, 7), 0.5, np.float32)),
        nonsense(probabilities=np.array([[2, -1, 0, 0, 0, 0, 0]], np.float32)),
        nonsense(probabilities=np.full((1, 6), 1 / 6, np.float32)),
        nonsense(probabilities=np.full((2, 7), 1 / 7, np.float32)),
        nonsense(probabilities=np.full(7, 1 / 7, np.float32)),
        nonsense(probabilities=np.array([["a"] * 7])),
        nonsense(labels=None),
        nonsense(labels=np.array(SPORTS)),
        nonsense(in_domain=np.array([0.5, 0.5], np.float32)),
        nonsense(in_domain=np.array([np.inf], np.float32)),
    ],
)
def test_nonsense_from_the_model(ask, serving: FakeServing, outputs: dict) -> None:
    serving.outputs = outputs
    with pytest.raises(ModelFailed):
        ask(PIXELS[:1])
    serving.outputs = None
    assert ask(PIXELS[:1])[0].label == "cricket"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, ModelUnavailable),
        (grpc.StatusCode.NOT_FOUND, ModelUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ModelUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ModelTimeout),
        (grpc.StatusCode.INVALID_ARGUMENT, ModelFailed),
        (grpc.StatusCode.INTERNAL, ModelFailed),
    ],
)
def test_errors_of_the_model_server(
    ask, serving: FakeServing, status: grpc.StatusCode, error: type[GatewayError]
) -> None:
    ask()
    serving.error = (status, "an address: 10.0.0.1")
    with pytest.raises(error) as caught:
        ask()
    assert "10.0.0.1" not in str(caught.value)


def test_one_unavailable_answer_is_tried_again(ask, serving: FakeServing) -> None:
    ask()
    serving.error = (grpc.StatusCode.UNAVAILABLE, "restarting")
    with pytest.raises(ModelUnavailable):
        ask()
    assert len(serving.requests) == 1 + 2


def test_nobody_listens(settings: Settings) -> None:
    with pytest.raises(ModelUnavailable):
        Model(replace(settings, tf_serving_host="127.0.0.1:1")).signature(soon())


def test_the_deadline_is_what_is_left(model: Model, serving: FakeServing) -> None:
    signature = model.signature(soon())
    serving.delay = 1.0
    with pytest.raises(ModelTimeout):
        model.predict(PIXELS, signature, time.monotonic() + 0.2)
    with pytest.raises(ModelTimeout):
        model.predict(PIXELS, signature, time.monotonic() - 1)
    assert len(serving.requests) == 1


@pytest.mark.parametrize("state", ["START", "LOADING", "UNLOADING", "END"])
def test_a_model_that_is_not_available(model: Model, serving: FakeServing, state: str) -> None:
    model.available(soon())
    serving.state = tf.ModelVersionStatus.State.Value(state)
    with pytest.raises(ModelUnavailable):
        model.available(soon())


def test_the_gateway_does_not_import_tensorflow() -> None:
    script = """
import json, sys
from gateway import create_app
from gateway.config import Settings
create_app(Settings()).test_client().get("/ping")
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not {"tensorflow", "tensorflow_serving", "keras"} & set(json.loads(output.stdout))
