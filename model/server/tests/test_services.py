"""The responses, statuses and messages that the official client receives."""

from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1.health_pb2 import HealthCheckResponse
from serving_client import Client, Hold, LocalClient, pixels, rpc_error
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from model_server.services import PredictionService

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


def test_predict(client: Client) -> None:
    response = client.prediction.Predict(client.request(images=pixels(3, 5)))
    assert response.model_spec.name == "m"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    np.testing.assert_array_equal(outputs["mean"], [3, 5])
    assert outputs["labels"].tolist() == [[b"a", b"b"]] * 2


def test_numeric_outputs_are_in_value_fields_as_from_tensorflow_serving(client: Client) -> None:
    outputs = client.prediction.Predict(client.request(images=pixels())).outputs
    assert outputs["mean"].float_val == [7]
    assert not outputs["mean"].tensor_content


def test_inputs_in_value_fields_are_read(client: Client) -> None:
    values = tensor_pb2.TensorProto(dtype=tf.uint8.as_datatype_enum, int_val=[9])
    values.tensor_shape.CopyFrom(tf.TensorShape([2, 4, 4, 3]).as_proto())
    assert client.predict(images=values)["mean"].tolist() == [9, 9]


def test_signature_is_chosen_by_name(client: Client) -> None:
    assert client.predict("unbatched", images=pixels(1, 2))["sum"] == 3 * 48
    outputs = client.predict("divide", a=np.int32(7), b=np.int32(2))
    assert outputs["quotient"] == 3
    assert outputs["unit"] == b"apples"


def test_version_is_chosen_by_number(client: Client) -> None:
    assert client.predict("", 1, images=pixels())["version"] == [1]


def test_output_filter_limits_the_outputs(client: Client) -> None:
    assert set(client.predict(images=pixels(), output_filter=("mean",))) == {"mean"}
    status, details = rpc_error(lambda: client.predict(images=pixels(), output_filter=("mode",)))
    assert status == INVALID
    assert "mode" in details


@pytest.mark.parametrize(
    ("request_parts", "status", "message"),
    [
        ({"name": "x"}, NOT_FOUND, "Servable not found for request: Latest(x)"),
        ({"name": "x", "version": 7}, NOT_FOUND, "Servable not found for request: Specific(x, 7)"),
        ({"version": 7}, NOT_FOUND, "Servable not found for request: Specific(m, 7)"),
        ({"signature": "x"}, INVALID, 'Serving signature key "x" not found.'),
    ],
)
def test_unknown_model_version_or_signature_is_refused(
    client: Client, request_parts: dict, status: grpc.StatusCode, message: str
) -> None:
    assert rpc_error(lambda: client.predict(images=pixels(), **request_parts)) == (status, message)


def test_version_labels_are_refused(client: Client) -> None:
    request = client.request(images=pixels())
    request.model_spec.version_label = "stable"
    status, details = rpc_error(lambda: client.prediction.Predict(request))
    assert status == INVALID
    assert "stable" in details


def test_request_without_model_spec_is_refused(client: Client) -> None:
    request = predict_pb2.PredictRequest()
    error = rpc_error(lambda: client.prediction.Predict(request))
    assert error == (INVALID, "Missing ModelSpec")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Missing but required: {images}"),
        ({"image": pixels()}, "Sent extra: {image}. Missing but required: {images}"),
        ({"images": pixels(), "more": pixels()}, "Sent extra: {more}"),
    ],
)
def test_wrong_input_names_are_refused(client: Client, inputs: dict, message: str) -> None:
    status, details = rpc_error(lambda: client.predict(**inputs))
    assert status == INVALID
    assert details.startswith("input size does not match signature: ")
    assert message in details


def zeros(*sizes: int) -> np.ndarray:
    return np.zeros(sizes, np.uint8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pixels().astype(np.float32), "to be uint8 but DT_FLOAT is provided"),
        (np.array(["a"]), "to be uint8 but DT_STRING is provided"),
        (zeros(4, 4, 3), "expected (None, 4, 4, 3)"),
        (zeros(1, 4, 5, 3), "expected (None, 4, 4, 3)"),
        (zeros(1, 4, 4, 1), "expected (None, 4, 4, 3)"),
        (zeros(0, 4, 4, 3), "nothing to predict"),
    ],
)
def test_wrong_dtypes_and_shapes_are_refused(
    client: Client, images: np.ndarray, message: str
) -> None:
    status, details = rpc_error(lambda: client.predict(images=images))
    assert status == INVALID
    assert message in details


@pytest.mark.parametrize("content", [b"\0" * 47, b"\0" * 49])
def test_content_of_another_length_is_refused(client: Client, content: bytes) -> None:
    proto = tf.make_tensor_proto(pixels())
    proto.tensor_content = content
    status, details = rpc_error(lambda: client.predict(images=proto))
    assert status == INVALID
    assert "does not parse" in details


@pytest.mark.parametrize("count", [-1, 2**40, 2**62])
def test_impossible_batch_size_is_refused(client: Client, count: int) -> None:
    proto = tensor_pb2.TensorProto(dtype=tf.uint8.as_datatype_enum, int_val=[9])
    for size in (count, 4, 4, 3):
        proto.tensor_shape.dim.add(size=size)
    assert rpc_error(lambda: client.predict(images=proto))[0] == INVALID


def test_unknown_rank_or_dtype_is_refused(client: Client) -> None:
    proto = tf.make_tensor_proto(pixels())
    proto.tensor_shape.unknown_rank = True
    assert rpc_error(lambda: client.predict(images=proto))[0] == INVALID
    proto = tf.make_tensor_proto(pixels())
    proto.dtype = 999
    assert rpc_error(lambda: client.predict(images=proto))[0] == INVALID


def test_variable_keeps_its_value_between_requests(client: Client) -> None:
    first = client.predict("count", keys=["b", "c", "a"])
    assert first["values"].tolist() == [20, -1, 10]
    second = client.predict("count", keys=["a"])
    assert second["requests"][0] == first["requests"][0] + 1


def test_error_in_the_graph_is_reported_with_its_status(client: Client) -> None:
    status, details = rpc_error(lambda: client.predict("divide", a=np.int32(1), b=np.int32(0)))
    assert status == INVALID
    assert "Integer division by zero" in details


def test_deadline_ends_a_request(client: Client, tmp_path: Path) -> None:
    with Hold(tmp_path) as hold:
        status, _ = rpc_error(lambda: client.predict("hold", folders=hold.folders, timeout=0.01))
    assert status == grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.predict(images=pixels())["mean"] == [7]


class ExpiredContext:
    """The context of a request whose deadline has passed before it is started."""

    def time_remaining(self) -> float:
        return 0.0

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.code, self.details = code, details


def test_request_is_not_run_after_its_deadline(client: LocalClient) -> None:
    context = ExpiredContext()
    PredictionService(client.versions).Predict(client.request(images=pixels()), context)
    assert context.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "before the request was started" in context.details


def test_metadata_has_the_signatures(client: Client) -> None:
    response = client.metadata("signature_def")
    assert response.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    images = signatures.signature_def["serving_default"].inputs["images"]
    assert images.dtype == tf.uint8.as_datatype_enum
    assert [dim.size for dim in images.tensor_shape.dim] == [-1, 4, 4, 3]


def test_unknown_metadata_is_refused(client: Client) -> None:
    assert rpc_error(lambda: client.metadata("colour"))[0] == INVALID
    assert rpc_error(client.metadata)[0] == INVALID
    assert rpc_error(lambda: client.metadata("signature_def", name="x"))[0] == NOT_FOUND


def test_status_lists_the_versions(client: Client) -> None:
    statuses = client.status()
    assert {version: row.state for version, row in statuses.items()} == {1: AVAILABLE}
    assert statuses[1].status.error_code == 0
    assert set(client.status(version=1)) == {1}


def test_status_of_an_unknown_model_or_version_is_not_found(client: Client) -> None:
    missing = (NOT_FOUND, "Could not find any versions of model x")
    assert rpc_error(lambda: client.status("x")) == missing
    assert rpc_error(lambda: client.status(version=9))[0] == NOT_FOUND


def test_health_is_serving(client: Client) -> None:
    assert client.health_status() == HealthCheckResponse.SERVING


def test_other_methods_are_unimplemented(client: Client) -> None:
    request = classification_pb2.ClassificationRequest()
    status, _ = rpc_error(lambda: client.prediction.Classify(request))
    assert status == grpc.StatusCode.UNIMPLEMENTED
