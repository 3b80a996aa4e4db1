"""Everything that can go wrong.

GatewayError                500
├── InvalidRequest          400  no JSON, no `url`, not a URL, no image
├── ExplainUnsupported      400  a heat map is asked of a model that has none
├── Unauthorized            401  no API key, or an unknown one
├── RequestTooLarge         413  the body is over its byte limit
├── ImageTooLarge           413  the image is over its byte or pixel limit
├── ImageTooExpensive       413  decoding the image takes too much processor time or memory
├── UnsupportedImage        415  not a readable image of a supported format
├── SourceRefused           422  the source cannot be used: address, scheme, port, redirect, 4xx
├── TooManyRequests         429  the service or the model is busy, or the client is over its rate
├── SourceFailed            502  the source answered 5xx, or broke TLS or the transfer
├── ModelFailed             502  the model server's answer cannot be used
├── ModelUnavailable        503  the model server is unreachable or has no such model
├── DecoderUnavailable      503  no process that decodes images can be started
├── DecodeTimeout           504  the image was not decoded before the deadline
├── SourceTimeout           504  the source ran past its deadline
├── ModelTimeout            504  the model ran past its deadline
└── FeedbackNotStored       507  the quota for feedback is used up, or the disk is full

`str(error)` is always a sentence for the caller; what happened inside is its
`__cause__` and goes to the log only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class GatewayError(Exception):
    """An error with an HTTP status, the title of its kind, and a detail: its text."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    headers: Mapping[str, str] = MappingProxyType({})
    retry_after: int | None = None  # seconds

    def __init__(
        self, detail: str, retry_after: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        if retry_after is not None:
            self.retry_after = retry_after
        if headers is not None:
            self.headers = headers

    @property
    def slug(self) -> str:
        """The last part of the problem's `type`."""
        return slug(self.title)


class InvalidRequest(GatewayError):
    status, title = 400, "Invalid request"


class ExplainUnsupported(GatewayError):
    status, title = 400, "Explanation unsupported"


class Unauthorized(GatewayError):
    status, title = 401, "Unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class RequestTooLarge(GatewayError):
    status, title = 413, "Request too large"


class ImageTooLarge(GatewayError):
    status, title = 413, "Image too large"


class ImageTooExpensive(GatewayError):
    status, title = 413, "Image too expensive"


class UnsupportedImage(GatewayError):
    status, title = 415, "Unsupported image"


class SourceRefused(GatewayError):
    status, title = 422, "Source refused"


class TooManyRequests(GatewayError):
    status, title = 429, "Too many requests"
    retry_after = 1


class SourceFailed(GatewayError):
    status, title = 502, "Source failed"


class ModelFailed(GatewayError):
    status, title = 502, "Model failed"


class ModelUnavailable(GatewayError):
    status, title = 503, "Model unavailable"
    retry_after = 1


class DecoderUnavailable(GatewayError):
    status, title = 503, "Decoder unavailable"
    retry_after = 1


class DecodeTimeout(GatewayError):
    status, title = 504, "Decode timeout"


class SourceTimeout(GatewayError):
    status, title = 504, "Source timeout"


class ModelTimeout(GatewayError):
    status, title = 504, "Model timeout"


class FeedbackNotStored(GatewayError):
    status, title = 507, "Feedback not stored"


def slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def release_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error that is kept: their frames hold the images' bytes."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
