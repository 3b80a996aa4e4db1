"""The gRPC channel to the model server: deadlines, repetitions, and errors in our terms."""

import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

import grpc

from gateway.errors import (
    GatewayError,
    ModelFailed,
    ModelTimeout,
    ModelUnavailable,
    TooManyRequests,
)

LEAST_LEFT = 0.5  # seconds; with less, a busy server is not asked again

ERRORS: dict[grpc.StatusCode, tuple[type[GatewayError], str]] = {
    grpc.StatusCode.UNAVAILABLE: (ModelUnavailable, "The model server is unreachable."),
    grpc.StatusCode.CANCELLED: (ModelUnavailable, "The model server is shutting down."),
    grpc.StatusCode.NOT_FOUND: (ModelUnavailable, "The model server has no such model."),
    grpc.StatusCode.DEADLINE_EXCEEDED: (ModelTimeout, "The model took too long."),
}
RETRY_POLICY = {
    "maxAttempts": 2,
    "initialBackoff": "0.4s",  # longer than a reconnect takes
    "maxBackoff": "0.4s",
    "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    # A call larger than this is never retried; the default is a little less than one image.
    ("grpc.per_rpc_retry_buffer_size", 64 * 1024 * 1024),
    # After an outage the default waits up to two minutes before it reconnects.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class ModelChannel:
    """Calls the methods of some services of a server, on all its addresses in turn.

    The channel is opened by the first call: one made before gunicorn forks its
    workers can hang in them.
    """

    def __init__(self, host: str, services: Sequence[str]) -> None:
        self._target = host if host.startswith("unix:") else f"dns:///{host}"
        self._services = services
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def call(
        self, method: str, request: Any, response_type: Any, deadline: float, request_id: str = ""
    ) -> Any:
        """Call a method, and again for as long as the server says that it is busy.

        Args:
            method: its path.
            deadline: when to give up, on time.monotonic's clock.
            request_id: sent as gRPC metadata.

        Raises:
            ModelUnavailable, ModelTimeout, ModelFailed
            TooManyRequests: the server is still busy.
        """
        invoke = self._open().unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,
        )
        metadata = (("x-request-id", request_id),) if request_id else None
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ModelTimeout("The model took too long.")
            try:
                return invoke(request, timeout=left, metadata=metadata)
            except grpc.RpcError as error:
                left = deadline - time.monotonic()
                seconds = pause(left)
                if not _is_busy(error) or left - seconds < LEAST_LEFT:
                    raise _translate(error) from error
            time.sleep(seconds)

    def close(self) -> None:
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None

    def _open(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                config = {
                    "loadBalancingConfig": [{"round_robin": {}}],
                    "methodConfig": [
                        {
                            "name": [{"service": service} for service in self._services],
                            "retryPolicy": RETRY_POLICY,
                        }
                    ],
                }
                options = [*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps(config))]
                self._channel = grpc.insecure_channel(self._target, options)
            return self._channel


def pause(left: float) -> float:
    """How long to wait before a busy server is asked again, in seconds, if `left` are left.

    The less time a request has left the more often it asks; if pauses grew instead, new requests
    would overtake it until its time is over.
    """
    return random.uniform(0.5, 1.5) * left / 40


def _is_busy(error: grpc.RpcError) -> bool:
    """Whether the server refuses for want of a thread; the same code means a message too large."""
    too_large = "larger than max" in (error.details() or "")
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and not too_large


def _translate(error: grpc.RpcError) -> GatewayError:
    if _is_busy(error):
        return TooManyRequests("The model server is busy; please try again in a moment.")
    kind, detail = ERRORS.get(error.code(), (ModelFailed, "The model server refused the image."))
    return kind(detail)
