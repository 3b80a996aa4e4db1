"""A server in the test's process, and a client."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

import tf_serving
from model_server.servable import Runtime
from model_server.server import listen, make_server, set_health
from model_server.tensors import TYPES, to_proto
from model_server.versions import State, Versions
from tf_serving import api_pb2 as tf

SIZE = 4  # pixels
DEADLINE_SECONDS = 100  # for everything that a test waits for
POLL_SECONDS = 0.05
PLAIN = Runtime("fp32")
RESPONSES = {
    tf_serving.PREDICT: tf.PredictResponse,
    tf_serving.GET_MODEL_METADATA: tf.GetModelMetadataResponse,
    tf_serving.GET_MODEL_STATUS: tf.GetModelStatusResponse,
}


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pixels(*values: int) -> np.ndarray:
    """An image of each value."""
    return np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in values or (7,)])


def rpc_error(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """The status and the message that a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def to_array(proto: tf.TensorProto) -> np.ndarray:
    kind, field = TYPES[proto.dtype]
    values = getattr(proto, field)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if field == "half_val":
        return np.array(values, np.uint16).view(np.float16).reshape(shape)
    return np.array(values, kind).reshape(shape)


@dataclass
class Client:
    """Short methods for the requests."""

    channel: grpc.Channel

    def call(self, method: str, request: Any, timeout: float = DEADLINE_SECONDS) -> Any:
        stub = self.channel.unary_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=RESPONSES[method].FromString,
        )
        return stub(request, timeout=timeout)

    def request(
        self,
        signature: str = "",
        version: int | None = None,
        name: str = "m",
        output_filter: tuple[str, ...] = (),
        **inputs: Any,
    ) -> tf.PredictRequest:
        request = tf.PredictRequest(output_filter=output_filter)
        request.model_spec.name, request.model_spec.signature_name = name, signature
        if version is not None:
            request.model_spec.version.value = version
        for key, value in inputs.items():
            is_proto = isinstance(value, tf.TensorProto)
            request.inputs[key].CopyFrom(value if is_proto else to_proto(np.asarray(value)))
        return request

    def respond(
        self, *arguments: Any, timeout: float = DEADLINE_SECONDS, **inputs: Any
    ) -> tf.PredictResponse:
        request = self.request(*arguments, **inputs)
        return self.call(tf_serving.PREDICT, request, timeout)

    def predict(self, *arguments: Any, **inputs: Any) -> dict[str, np.ndarray]:
        response = self.respond(*arguments, **inputs)
        return {name: to_array(proto) for name, proto in response.outputs.items()}

    def status(self, name: str = "m", version: int | None = None) -> dict[int, Any]:
        request = tf.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        response = self.call(tf_serving.GET_MODEL_STATUS, request)
        return {row.version: row for row in response.model_version_status}

    def metadata(self, *fields: str, name: str = "m") -> Any:
        request = tf.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = name
        return self.call(tf_serving.GET_MODEL_METADATA, request)

    def health_status(self, service: str = "") -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        stub = health_pb2_grpc.HealthStub(self.channel)
        return stub.Check(request, timeout=DEADLINE_SECONDS).status


@dataclass
class LocalClient(Client):
    """A client of a server in this process."""

    versions: Versions
    target: str

    def wait_for_state(self, version: int, state: int) -> None:
        def is_reached() -> bool:
            status = self.versions.statuses().get(version)
            return status is not None and status.state == state

        wait_until(is_reached)

    def wait_for_version(self, version: int) -> None:
        self.wait_for_state(version, State.AVAILABLE)


@contextlib.contextmanager
def serve(
    base_path: Path, runtime: Runtime = PLAIN, threads: int = 64, socket_path: str = ""
) -> Iterator[LocalClient]:
    """Serve a folder of versions as the model "m"."""
    servicer = health.HealthServicer()
    set_health(servicer, False)
    versions = Versions(
        "m", base_path, runtime, on_change=lambda is_served: set_health(servicer, is_served)
    )
    server = make_server(versions, servicer, threads)
    address = listen(server, 0, socket_path)
    server.start()
    watcher = threading.Thread(target=versions.watch, args=[POLL_SECONDS])
    watcher.start()
    try:
        target = f"unix:{socket_path}" if socket_path else f"localhost:{address.split()[1]}"
        with grpc.insecure_channel(target) as channel:
            yield LocalClient(channel, versions, target)
    finally:
        versions.stop()
        watcher.join()
        server.stop(None).wait()
