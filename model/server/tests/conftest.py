import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from saved_models import SIZE, write_model
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server import engines
from model_server.__main__ import make_server
from model_server.batching import BatchingParameters
from model_server.versions import Versions

POLL_SECONDS = 0.05


@dataclass
class Client:
    """The official stubs, and short ways to use them."""

    channel: grpc.Channel
    versions: Versions

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

    def predict(self, *arguments: Any, timeout: float = 20, **inputs: Any) -> dict[str, Any]:
        response = self.prediction.Predict(self.request(*arguments, **inputs), timeout=timeout)
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    def status(self, name: str = "m", version: int | None = None) -> dict[int, Any]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        response = self.model.GetModelStatus(request, timeout=5)
        return {row.version: row for row in response.model_version_status}

    def metadata(self, *fields: str, name: str = "m") -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = name
        return self.prediction.GetModelMetadata(request, timeout=5)

    def wait_for_version(self, version: int) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(grpc.RpcError):
                if self.predict(images=pixels())["version"][0] == version:
                    return
            time.sleep(0.02)
        pytest.fail(f"version {version} never served")


def pixels(*values: int) -> np.ndarray:
    """One picture of each value."""
    return np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in values or (7,)])


def code(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """The status and the message that a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def wait_until(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def serve(
    base_path: Path,
    batching: BatchingParameters | None = None,
    engine: engines.Engine = engines.tensorflow,
) -> Iterator[Client]:
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    versions = Versions(
        "m",
        base_path,
        engines.Runtime(engine, batching=batching),
        on_available=lambda: healthy.set("", health_pb2.HealthCheckResponse.SERVING),
    )
    server, port = make_server(versions, healthy, 0)
    server.start()
    watcher = threading.Thread(target=versions.watch, args=[POLL_SECONDS])
    watcher.start()
    try:
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            yield Client(channel, versions)
    finally:
        versions.stop()
        watcher.join()
        server.stop(None).wait()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 and 2, to be copied from."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, 1)
    return write_model(folder, 2)


@pytest.fixture(scope="session")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of version 1 without batching."""
    base_path = tmp_path_factory.mktemp("base")
    shutil.copytree(models / "1", base_path / "1")
    with serve(base_path) as client:
        client.wait_for_version(1)
        yield client
