"""The responses, statuses and messages, which are those of TensorFlow Serving.

The file of tensorflow/serving that an expectation comes from is named where it is tested.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from serving_client import Client, pixels, rpc_error, serve, wait_until

import tf_serving
from model_server.errors import Unimplemented, status_of
from model_server.services import abort_on_error
from tf_serving import api_pb2 as tf

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
AVAILABLE = tf.ModelVersionStatus.AVAILABLE


def test_predict(client: Client) -> None:
    response = client.respond(images=pixels(3, 5))
    assert response.model_spec.name == "m"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    outputs = client.predict(images=pixels(3, 5))
    np.testing.assert_array_equal(outputs["mean"], [3, 5])
    assert outputs["labels"].tolist() == [[b"a", b"b"]] * 2


def test_signature_is_chosen_by_name(client: Client) -> None:
    assert client.predict("unbatched", images=pixels(1, 2))["sum"] == 3 * 48


def test_version_is_chosen_by_number(client: Client) -> None:
    assert client.predict("", 1, images=pixels())["mean"] == [7]


def test_more_rows_than_are_computed_at_once(client: Client) -> None:
    assert client.predict(images=pixels(*range(9)))["mean"].tolist() == list(range(9))


def test_output_filter_limits_the_outputs(client: Client) -> None:
    assert set(client.predict(images=pixels(), output_filter=("mean",))) == {"mean"}
    status, details = rpc_error(lambda: client.predict(images=pixels(), output_filter=("mode",)))
    assert status == INVALID
    assert "mode" in details


def test_output_that_is_asked_for_twice_is_refused(client: Client) -> None:
    # PreProcessPrediction in servables/tensorflow/predict_util.cc
    error = rpc_error(lambda: client.predict(images=pixels(), output_filter=("mean", "mean")))
    assert error == (INVALID, "duplicate output tensor alias: mean")


@pytest.mark.parametrize(
    ("request_parts", "status", "message"),
    [
        ({"name": "x"}, NOT_FOUND, "Servable not found for request: Latest(x)"),
        ({"name": "x", "version": 7}, NOT_FOUND, "Servable not found for request: Specific(x, 7)"),
        ({"version": 7}, NOT_FOUND, "Servable not found for request: Specific(m, 7)"),
        # RunPredict in servables/tensorflow/predict_util.cc
        ({"signature": "x"}, PRECONDITION, 'Serving signature key "x" not found.'),
        # ServableRequestFromModelSpec in model_servers/server_core.cc
        ({"name": ""}, INVALID, "ModelSpec has no name specified."),
    ],
)
def test_unknown_model_version_or_signature_is_refused(
    client: Client, request_parts: dict, status: grpc.StatusCode, message: str
) -> None:
    assert rpc_error(lambda: client.predict(images=pixels(), **request_parts)) == (status, message)


def test_version_labels_are_refused(client: Client) -> None:
    request = client.request(images=pixels())
    request.model_spec.version_label = "stable"
    status, details = rpc_error(lambda: client.call(tf_serving.PREDICT, request))
    assert status == INVALID
    assert "stable" in details


def test_request_without_model_spec_is_refused(client: Client) -> None:
    request = tf.PredictRequest()
    error = rpc_error(lambda: client.call(tf_serving.PREDICT, request))
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


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("log_gamma", "cannot convert the operations Lgamma"),
        ("count", "no input of type DT_STRING"),
    ],
)
def test_signature_that_openvino_lacks_says_what_and_what_to_do(
    client: Client, signature: str, reason: str
) -> None:
    keys = {"keys": np.array([b"a"], object)}
    inputs = keys if signature == "count" else {"images": pixels()}
    for _ in range(2):
        status, details = rpc_error(lambda: client.predict(signature, **inputs))
        assert status == grpc.StatusCode.UNIMPLEMENTED
        assert reason in details
        assert "TensorFlow Serving" in details


def test_long_message_is_cut() -> None:
    # ToGRPCStatus in model_servers/grpc_status_util.cc
    _, message = status_of(Unimplemented("x" * 1025))
    assert message == "x" * 1024 + "...TRUNCATED"


def test_message_of_openvino_is_without_places_in_its_source() -> None:
    error = RuntimeError("Exception from src/core.cpp:84:\nCheck 'false' failed\nno memory\n")
    assert status_of(error) == (grpc.StatusCode.INTERNAL, "RuntimeError: no memory")


class ExpiredContext:
    """The context of a request whose deadline has passed before it is started."""

    def time_remaining(self) -> float:
        return 0.0

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.code, self.details = code, details


def test_request_is_not_run_after_its_deadline() -> None:
    context, requests = ExpiredContext(), []
    abort_on_error(lambda request, _: requests.append(request))(tf.PredictRequest(), context)
    assert context.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "before the request was started" in context.details
    assert not requests


def test_requests_beyond_the_limit_are_refused(models: Path) -> None:
    # SetMaxThreads in model_servers/server.cc, with the flag --grpc_max_threads
    with serve(models / "signatures", threads=2) as client, ThreadPoolExecutor(2) as pool:
        client.wait_for_version(1)
        is_held, release = [], threading.Event()
        find = client.versions.servable

        def hold(*arguments: object) -> object:
            is_held.append(True)
            release.wait()
            return find(*arguments)

        client.versions.servable = hold
        try:
            running = [pool.submit(client.predict, images=pixels(value)) for value in (1, 2)]
            wait_until(lambda: len(is_held) == 2)
            exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
            assert rpc_error(lambda: client.predict(images=pixels()))[0] == exhausted
            assert rpc_error(client.status)[0] == exhausted
        finally:
            release.set()
        assert [future.result()["mean"].tolist() for future in running] == [[1], [2]]
        wait_until(lambda: client.predict(images=pixels())["mean"] == [7])


def test_metadata_has_the_signatures(client: Client) -> None:
    response = client.metadata("signature_def")
    assert response.model_spec.version.value == 1
    signatures = tf.SignatureDefMap()
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures.ParseFromString(packed.value)
    images = signatures.signature_def["serving_default"].inputs["images"]
    assert images.dtype == tf.DT_UINT8
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
    # GetModelStatusWithModelSpec in model_servers/get_model_status_impl.cc
    missing = (NOT_FOUND, "Could not find version 9 of model m")
    assert rpc_error(lambda: client.status(version=9)) == missing


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health_is_serving(client: Client, service: str) -> None:
    # BuildAndStart in model_servers/server.cc
    assert client.health_status(service) == HealthCheckResponse.SERVING


def test_other_methods_are_unimplemented(client: Client) -> None:
    method = "/tensorflow.serving.PredictionService/Classify"
    call = client.channel.unary_unary(method)
    assert rpc_error(lambda: call(b""))[0] == grpc.StatusCode.UNIMPLEMENTED


def test_server_listens_on_a_socket(models: Path, tmp_path: Path) -> None:
    with serve(models / "signatures", socket_path=str(tmp_path / "socket")) as client:
        client.wait_for_version(1)
        assert client.target.startswith("unix:")
        assert client.predict(images=pixels())["mean"] == [7]
