"""The errors of a request and their gRPC statuses, which are TensorFlow Serving's.

ServingError
├── InvalidArgument  INVALID_ARGUMENT  the request does not fit the signature
├── NotFound         NOT_FOUND         no such model, or no such version of it
└── DeadlineExceeded DEADLINE_EXCEEDED the caller no longer waits

TensorFlow's own errors have their status as an attribute.
"""

from typing import ClassVar

import grpc
import tensorflow as tf

STATUSES = {status.value[0]: status for status in grpc.StatusCode}


class ServingError(Exception):
    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL


class InvalidArgument(ServingError):
    status = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(ServingError):
    status = grpc.StatusCode.NOT_FOUND


class DeadlineExceeded(ServingError):
    status = grpc.StatusCode.DEADLINE_EXCEEDED


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The gRPC status and message of any exception."""
    if isinstance(error, ServingError):
        return error.status, str(error)
    if isinstance(error, tf.errors.OpError):
        return STATUSES[error.error_code], error.message
    return grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
