"""The model server's client: pixels in, predictions out, over TensorFlow Serving's gRPC API."""

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np

from gateway.config import Settings
from gateway.errors import GatewayError, ModelFailed, ModelTimeout, ModelUnavailable
from gateway.images import scale
from gateway.signatures import EXPLAIN, SERVING_DEFAULT, Prediction, Signature
from tf_serving import GET_MODEL_METADATA, GET_MODEL_STATUS, PREDICT
from tf_serving import api_pb2 as tf

VERSION_SECONDS = 5.0  # how often to read the signature of a server that does not name the version

ERRORS: dict[grpc.StatusCode, tuple[type[GatewayError], str]] = {
    grpc.StatusCode.UNAVAILABLE: (ModelUnavailable, "The model server is unreachable."),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (ModelUnavailable, "The model server is overloaded."),
    grpc.StatusCode.CANCELLED: (ModelUnavailable, "The model server is shutting down."),
    grpc.StatusCode.NOT_FOUND: (ModelUnavailable, "The model server has no such model."),
    grpc.StatusCode.DEADLINE_EXCEEDED: (ModelTimeout, "The model took too long."),
}

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                {"service": "tensorflow.serving.PredictionService"},
                {"service": "tensorflow.serving.ModelService"},
            ],
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.4s",  # longer than a reconnect takes
                "maxBackoff": "0.4s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
CHANNEL_OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_http_proxy", 0),
    # A call larger than this is never retried; the default is a little less than one image.
    ("grpc.per_rpc_retry_buffer_size", 64 * 1024 * 1024),
    # After an outage the default waits up to two minutes before it reconnects.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class ModelClient:
    """Asks the model server, in the terms of the model's own signature.

    The channel is opened by the first call: one made before gunicorn forks its
    workers can hang in them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._signature: Signature | None = None
        self._signature_read_at = 0.0  # on time.monotonic's clock

    @property
    def known_signature(self) -> Signature | None:
        """The model's signature, if it has been read."""
        return self._signature

    def signature(self, deadline: float) -> Signature:
        """The model's inputs and outputs; read once, and again when the version changes.

        Raises:
            ModelUnavailable, ModelTimeout, ModelFailed
        """
        signature = self._signature
        if signature is None:
            request = tf.GetModelMetadataRequest(
                model_spec=self._spec(), metadata_field=["signature_def"]
            )
            response = self._call(
                GET_MODEL_METADATA, request, tf.GetModelMetadataResponse, deadline
            )
            signature = Signature.from_metadata(response, self._settings.labels)
            self._signature, self._signature_read_at = signature, time.monotonic()
        return signature

    def predict(
        self,
        images: Sequence[np.ndarray],
        signature: Signature,
        deadline: float,
        *,
        explain: bool = False,
        request_id: str = "",
    ) -> list[Prediction]:
        """Classify a batch.

        Args:
            images: N uint8 arrays [height, width, 3], RGB, of the signature's size.
            signature: what `signature()` returned.
            deadline: when to give up, on time.monotonic's clock.
            explain: ask for heat maps, too.
            request_id: sent as gRPC metadata.

        Returns:
            N predictions.

        Raises:
            ModelUnavailable, ModelTimeout
            ModelFailed: also when the signature is no longer the model's.
        """
        if signature.takes_float:
            images = list(scale(np.stack(images)))
        tensor = tf.TensorProto(
            dtype=signature.dtype,
            tensor_shape=tf.TensorShapeProto(
                dim=[tf.TensorShapeProto.Dim(size=n) for n in (len(images), *images[0].shape)]
            ),
            tensor_content=b"".join(image.tobytes() for image in images),
        )
        request = tf.PredictRequest(
            model_spec=self._spec(EXPLAIN if explain else SERVING_DEFAULT),
            inputs={signature.input: tensor},
        )
        try:
            response = self._call(PREDICT, request, tf.PredictResponse, deadline, request_id)
            if self._is_outdated(signature, response.model_spec.version.value):
                self._signature = None
            return signature.parse_response(response, len(images))
        except ModelFailed:
            self._signature = None
            raise

    def _is_outdated(self, signature: Signature, version: int) -> bool:
        """Whether to read the signature again after an answer of this version; 0: it names none."""
        if version:
            return version != signature.version
        return time.monotonic() - self._signature_read_at > VERSION_SECONDS

    def check_available(self, deadline: float) -> None:
        """Return if the model can be asked.

        Raises:
            ModelUnavailable, ModelTimeout, ModelFailed: it cannot; the text says why.
        """
        request = tf.GetModelStatusRequest(model_spec=self._spec())
        response = self._call(GET_MODEL_STATUS, request, tf.GetModelStatusResponse, deadline)
        states = {status.state for status in response.model_version_status}
        if tf.ModelVersionStatus.AVAILABLE not in states:
            raise ModelUnavailable("No version of the model is available.")
        self.signature(deadline)

    def close(self) -> None:
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None

    def _spec(self, signature_name: str = "") -> tf.ModelSpec:
        return tf.ModelSpec(name=self._settings.model_name, signature_name=signature_name)

    def _open_channel(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                host = self._settings.tf_serving_host
                target = host if host.startswith("unix:") else f"dns:///{host}"
                self._channel = grpc.insecure_channel(target, CHANNEL_OPTIONS)
            return self._channel

    def _call(
        self, method: str, request: Any, response_type: Any, deadline: float, request_id: str = ""
    ) -> Any:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelTimeout("The model took too long.")
        call = self._open_channel().unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,
        )
        metadata = (("x-request-id", request_id),) if request_id else None
        try:
            return call(request, timeout=left, metadata=metadata)
        except grpc.RpcError as error:
            kind, detail = ERRORS.get(
                error.code(), (ModelFailed, "The model server refused the image.")
            )
            raise kind(detail) from error
