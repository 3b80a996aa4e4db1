"""Everything that can go wrong, and the one place that tells the caller.

GatewayError                500
├── InvalidRequest          400  no JSON, no `url`, not a URL, no picture
├── Unauthorized            401  no API key, or not one of ours
├── RequestTooLarge         413  the body is over its byte limit
├── ImageTooLarge           413  the picture is over its byte or pixel limit
├── UnsupportedImage        415  not a readable JPEG, PNG, WebP, GIF or BMP
├── SourceRefused           422  the source cannot be used: address, scheme, port, redirect, 4xx
├── TooManyRequests         429  every place is taken, or the client's share is used up
├── SourceFailed            502  the source answered 5xx, or broke TLS or the transfer
├── ModelFailed             502  the model server answered nonsense
├── ModelUnavailable        503  the model server is away or has no such model
├── SourceTimeout           504  the source ran past its deadline
└── ModelTimeout            504  the model ran past its deadline

`str(error)` is always a sentence for the caller; what happened inside is its
`__cause__` and goes to the log only.
"""

from typing import ClassVar

from flask import Flask, Response, g, json
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import RequestEntityTooLarge as BodyTooLarge


class GatewayError(Exception):
    """An error with an HTTP status, a title that its kind shares, and a detail: its text."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    headers: ClassVar[dict[str, str]] = {}
    retry_after: int | None = None  # seconds

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        if retry_after is not None:
            self.retry_after = retry_after


class InvalidRequest(GatewayError):
    status, title = 400, "Invalid request"


class Unauthorized(GatewayError):
    status, title = 401, "Unauthorized"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class RequestTooLarge(GatewayError):
    status, title = 413, "Request too large"


class ImageTooLarge(GatewayError):
    status, title = 413, "Image too large"


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


class SourceTimeout(GatewayError):
    status, title = 504, "Source timeout"


class ModelTimeout(GatewayError):
    status, title = 504, "Model timeout"


def forget_frames(error: BaseException | None) -> None:
    """Let an error that is kept, or was answered, not keep the pictures in its frames, too."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def problem(status: int, title: str, detail: str, request_id: str) -> dict[str, object]:
    """Describe an error as RFC 9457 does."""
    return {
        "type": f"urn:sports-gateway:{slug(title)}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }


def register(app: Flask) -> None:
    """Answer every error of `app` as application/problem+json."""

    def answer(status: int, title: str, detail: str) -> Response:
        g.reason = slug(title)
        body = json.dumps(problem(status, title, detail, g.get("request_id", "")))
        return Response(body, status, mimetype="application/problem+json")

    @app.errorhandler(GatewayError)
    def known(error: GatewayError) -> Response:
        g.cause = str(error.__cause__ or error)  # for the log alone
        forget_frames(error)
        response = answer(error.status, error.title, str(error))
        response.headers.update(error.headers)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.errorhandler(BodyTooLarge)
    def body_too_large(_: BodyTooLarge) -> Response:
        return known(RequestTooLarge("The body is larger than this service takes."))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        response = answer(error.code or 500, error.name, error.description or error.name)
        kept = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        response.headers.update(kept)  # Allow of a 405, for one
        return response

    @app.errorhandler(Exception)
    def unknown(_: Exception) -> Response:
        app.logger.exception("request %s failed", g.get("request_id", ""))
        return answer(500, GatewayError.title, "The service failed; the log has the reason.")
