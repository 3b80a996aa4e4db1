"""The errors of a request and their gRPC statuses, which are TensorFlow Serving's.

ServingError
├── InvalidArgument    INVALID_ARGUMENT    the request does not fit the signature
├── FailedPrecondition FAILED_PRECONDITION no such signature
├── NotFound           NOT_FOUND           no such model, or no such version of it
├── DeadlineExceeded   DEADLINE_EXCEEDED   the caller no longer waits
├── Unavailable        UNAVAILABLE         too many requests wait
└── Unimplemented      UNIMPLEMENTED       OpenVINO cannot compute the signature
"""

from typing import ClassVar

import grpc

MESSAGE_LIMIT = 1024  # characters, as in TensorFlow Serving


class ServingError(Exception):
    status: ClassVar[grpc.StatusCode]


class InvalidArgument(ServingError):
    status = grpc.StatusCode.INVALID_ARGUMENT


class FailedPrecondition(ServingError):
    status = grpc.StatusCode.FAILED_PRECONDITION


class NotFound(ServingError):
    status = grpc.StatusCode.NOT_FOUND


class DeadlineExceeded(ServingError):
    status = grpc.StatusCode.DEADLINE_EXCEEDED


class Unavailable(ServingError):
    status = grpc.StatusCode.UNAVAILABLE


class Unimplemented(ServingError):
    status = grpc.StatusCode.UNIMPLEMENTED


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The gRPC status and message of any exception."""
    if isinstance(error, ServingError):
        status, message = error.status, str(error)
    else:
        status = grpc.StatusCode.INTERNAL
        message = f"{type(error).__name__}: {last_line(error)}"
    if len(message) > MESSAGE_LIMIT:
        message = message[:MESSAGE_LIMIT] + "...TRUNCATED"
    return status, message


def last_line(error: Exception) -> str:
    """What went wrong; OpenVINO's messages begin with places in its source."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else ""
