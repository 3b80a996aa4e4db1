"""The official client against the server: answers, statuses, messages."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from conftest import Client, code, pixels
from grpc_health.v1 import health_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


def test_predict(client: Client) -> None:
    response = client.prediction.Predict(client.request(images=pixels(3, 5)), timeout=20)
    assert response.model_spec.name == "m"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    np.testing.assert_array_equal(outputs["mean"], [3, 5])
    assert outputs["labels"].tolist() == [[b"a", b"b"]] * 2


def test_numbers_come_in_value_fields_as_from_tensorflow_serving(client: Client) -> None:
    outputs = client.prediction.Predict(client.request(images=pixels()), timeout=20).outputs
    assert outputs["mean"].float_val == [7]
    assert not outputs["mean"].tensor_content


def test_inputs_in_value_fields(client: Client) -> None:
    values = tensor_pb2.TensorProto(dtype=tf.uint8.as_datatype_enum, int_val=[9])
    values.tensor_shape.CopyFrom(tf.TensorShape([2, 4, 4, 3]).as_proto())
    assert client.predict(images=values)["mean"].tolist() == [9, 9]


def test_another_signature(client: Client) -> None:
    assert client.predict("unbatched", images=pixels(1, 2))["sum"] == 3 * 48
    divided = client.predict("divide", a=np.int32(7), b=np.int32(2))
    assert divided["quotient"] == 3
    assert divided["unit"] == b"apples"


def test_a_version_by_number(client: Client) -> None:
    assert client.predict("", 1, images=pixels())["version"] == [1]


def test_an_output_filter(client: Client) -> None:
    assert set(client.predict(images=pixels(), output_filter=("mean",))) == {"mean"}
    failed = code(lambda: client.predict(images=pixels(), output_filter=("mode",)))
    assert failed[0] == INVALID
    assert "mode" in failed[1]


@pytest.mark.parametrize(
    ("request_parts", "status", "message"),
    [
        ({"name": "x"}, NOT_FOUND, "Servable not found for request: Latest(x)"),
        ({"name": "x", "version": 7}, NOT_FOUND, "Servable not found for request: Specific(x, 7)"),
        ({"version": 7}, NOT_FOUND, "Servable not found for request: Specific(m, 7)"),
        ({"signature": "x"}, INVALID, 'Serving signature key "x" not found.'),
    ],
)
def test_what_is_not_served(
    client: Client, request_parts: dict, status: grpc.StatusCode, message: str
) -> None:
    assert code(lambda: client.predict(images=pixels(), **request_parts)) == (status, message)


def test_version_labels_are_not_known(client: Client) -> None:
    request = client.request(images=pixels())
    request.model_spec.version_label = "stable"
    status, details = code(lambda: client.prediction.Predict(request, timeout=5))
    assert status == INVALID
    assert "stable" in details


def test_no_model_spec(client: Client) -> None:
    request = predict_pb2.PredictRequest()
    failed = code(lambda: client.prediction.Predict(request, timeout=5))
    assert failed == (INVALID, "Missing ModelSpec")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Missing but required: {images}"),
        ({"pictures": pixels()}, "Sent extra: {pictures}. Missing but required: {images}"),
        ({"images": pixels(), "more": pixels()}, "Sent extra: {more}"),
    ],
)
def test_wrong_input_names(client: Client, inputs: dict, message: str) -> None:
    status, details = code(lambda: client.predict(**inputs))
    assert status == INVALID
    assert details.startswith("input size does not match signature: ")
    assert message in details


def shaped(*sizes: int) -> np.ndarray:
    return np.zeros(sizes, np.uint8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pixels().astype(np.float32), "to be uint8 but DT_FLOAT is provided"),
        (np.array(["a"]), "to be uint8 but DT_STRING is provided"),
        (shaped(4, 4, 3), "expected (None, 4, 4, 3)"),
        (shaped(1, 4, 5, 3), "expected (None, 4, 4, 3)"),
        (shaped(1, 4, 4, 1), "expected (None, 4, 4, 3)"),
        (shaped(0, 4, 4, 3), "nothing to predict"),
    ],
)
def test_wrong_types_and_shapes(client: Client, images: np.ndarray, message: str) -> None:
    status, details = code(lambda: client.predict(images=images))
    assert status == INVALID
    assert message in details


@pytest.mark.parametrize("content", [b"\0" * 47, b"\0" * 49])
def test_content_of_another_length(client: Client, content: bytes) -> None:
    proto = tf.make_tensor_proto(pixels())
    proto.tensor_content = content
    status, details = code(lambda: client.predict(images=proto))
    assert status == INVALID
    assert "does not parse" in details


@pytest.mark.parametrize("count", [-1, 2**40, 2**62])
def test_a_count_that_makes_no_sense(client: Client, count: int) -> None:
    proto = tensor_pb2.TensorProto(dtype=tf.uint8.as_datatype_enum, int_val=[9])
    for size in (count, 4, 4, 3):
        proto.tensor_shape.dim.add(size=size)
    assert code(lambda: client.predict(images=proto))[0] == INVALID


def test_an_unknown_shape_or_type(client: Client) -> None:
    proto = tf.make_tensor_proto(pixels())
    proto.tensor_shape.unknown_rank = True
    assert code(lambda: client.predict(images=proto))[0] == INVALID
    proto = tf.make_tensor_proto(pixels())
    proto.dtype = 999
    assert code(lambda: client.predict(images=proto))[0] == INVALID


def test_a_signature_that_writes_to_a_variable(client: Client) -> None:
    first = client.predict("count", words=["b", "c", "a"])
    assert first["numbers"].tolist() == [20, -1, 10]
    second = client.predict("count", words=["a"])
    assert second["requests"][0] == first["requests"][0] + 1


def test_an_error_inside_the_graph(client: Client) -> None:
    status, details = code(lambda: client.predict("divide", a=np.int32(1), b=np.int32(0)))
    assert status == INVALID
    assert "Integer division by zero" in details


def test_a_deadline_that_passes(client: Client) -> None:
    failed = code(lambda: client.predict("slow", images=pixels(), timeout=0.01))
    assert failed[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.predict(images=pixels())["mean"] == [7]


def test_metadata(client: Client) -> None:
    response = client.metadata("signature_def")
    assert response.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    images = signatures.signature_def["serving_default"].inputs["images"]
    assert images.dtype == tf.uint8.as_datatype_enum
    assert [dim.size for dim in images.tensor_shape.dim] == [-1, 4, 4, 3]


def test_metadata_that_does_not_exist(client: Client) -> None:
    assert code(lambda: client.metadata("colour"))[0] == INVALID
    assert code(client.metadata)[0] == INVALID
    assert code(lambda: client.metadata("signature_def", name="x"))[0] == NOT_FOUND


def test_status(client: Client) -> None:
    statuses = client.status()
    assert {version: row.state for version, row in statuses.items()} == {1: AVAILABLE}
    assert statuses[1].status.error_code == 0
    assert set(client.status(version=1)) == {1}


def test_status_of_what_is_not_there(client: Client) -> None:
    missing = (NOT_FOUND, "Could not find any versions of model x")
    assert code(lambda: client.status("x")) == missing
    assert code(lambda: client.status(version=9))[0] == NOT_FOUND


def test_health(client: Client) -> None:
    answer = client.health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_other_methods_are_unimplemented(client: Client) -> None:
    request = classification_pb2.ClassificationRequest()
    failed = code(lambda: client.prediction.Classify(request, timeout=5))
    assert failed[0] == grpc.StatusCode.UNIMPLEMENTED
