"""A server in the test's process and a client on the official stubs."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from server_models import SIZE
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server import engines
from model_server.batching_parameters import BatchingParameters
from model_server.server import make_server
from model_server.versions import State, Versions

DEADLINE_SECONDS = 100  # for everything that a test waits for
POLL_SECONDS = 0.05


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


@dataclass
class Client:
    """The official stubs, with short methods for requests."""

    channel: grpc.Channel
    prediction: Any = field(init=False)
    model: Any = field(init=False)
    health: Any = field(init=False)

    def __post_init__(self) -> None:
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def request(
        self,
        signature: str = "",
        version: int | None = None,
        name: str = "m",
        output_filter: tuple[str, ...] = (),
        **inputs: Any,
    ) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest(output_filter=output_filter)
        request.model_spec.name, request.model_spec.signature_name = name, signature
        if version is not None:
            request.model_spec.version.value = version
        for key, value in inputs.items():
            is_proto = isinstance(value, tensor_pb2.TensorProto)
            request.inputs[key].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
        return request

    def predict(
        self, *arguments: Any, timeout: float = DEADLINE_SECONDS, **inputs: Any
    ) -> dict[str, Any]:
        response = self.prediction.Predict(self.request(*arguments, **inputs), timeout=timeout)
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    def status(self, name: str = "m", version: int | None = None) -> dict[int, Any]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        response = self.model.GetModelStatus(request, timeout=DEADLINE_SECONDS)
        return {row.version: row for row in response.model_version_status}

    def metadata(self, *fields: str, name: str = "m") -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = name
        return self.prediction.GetModelMetadata(request, timeout=DEADLINE_SECONDS)

    def health_status(self) -> int:
        request = health_pb2.HealthCheckRequest()
        return self.health.Check(request, timeout=DEADLINE_SECONDS).status


@dataclass
class LocalClient(Client):
    """A client of a server in this process."""

    port: int
    versions: Versions

    def wait_for_state(self, version: int, state: int) -> None:
        def is_reached() -> bool:
            status = self.versions.statuses().get(version)
            return status is not None and status.state == state

        wait_until(is_reached)

    def wait_for_version(self, version: int) -> None:
        self.wait_for_state(version, State.AVAILABLE)


@contextlib.contextmanager
def serve(
    base_path: Path,
    batching: BatchingParameters | None = None,
    engine: engines.Engine = engines.tensorflow,
) -> Iterator[LocalClient]:
    """Serve a folder of versions as the model "m"."""
    health_servicer = health.HealthServicer()
    health_servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    versions = Versions(
        "m",
        base_path,
        engines.Runtime(engine, batching=batching),
        on_available=lambda: health_servicer.set("", health_pb2.HealthCheckResponse.SERVING),
    )
    server, port = make_server(versions, health_servicer, 0)
    server.start()
    watcher = threading.Thread(target=versions.watch, args=[POLL_SECONDS])
    watcher.start()
    try:
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            yield LocalClient(channel, port, versions)
    finally:
        versions.stop()
        watcher.join()
        server.stop(None).wait()


@dataclass(frozen=True)
class Hold:
    """Requests of the signature `hold`, which are not answered before `release`."""

    folder: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def folders(self) -> list[str]:
        """The value of the signature's input."""
        return [str(self.folder)]

    def wait_until_entered(self) -> None:
        wait_until((self.folder / "entered").exists)

    def release(self) -> None:
        (self.folder / "release").touch()
