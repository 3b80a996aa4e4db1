"""The one place that tells a caller what went wrong: problem objects as in RFC 9457."""

from flask import Flask, Response, json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from gateway.errors import GatewayError, RequestTooLarge, release_frames, slug
from gateway.records import current_record


def problem(status: int, title: str, detail: str, request_id: str) -> dict[str, object]:
    """Describe an error as RFC 9457 does; `type` is the address of a page about it."""
    return {
        "type": f"/problems/{slug(title)}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }


def register(app: Flask) -> None:
    """Answer every error of `app` as application/problem+json."""

    @app.errorhandler(GatewayError)
    def handle_gateway_error(error: GatewayError) -> Response:
        current_record().cause = str(error.__cause__ or error)
        release_frames(error)
        response = _respond(error.status, error.title, str(error))
        response.headers.update(error.headers)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.errorhandler(RequestEntityTooLarge)
    def handle_large_body(_: RequestEntityTooLarge) -> Response:
        return handle_gateway_error(
            RequestTooLarge("The body is larger than this service accepts.")
        )

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> Response:
        response = _respond(error.code or 500, error.name, error.description or error.name)
        headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        response.headers.update(headers)  # Allow of a 405, for one
        return response

    @app.errorhandler(Exception)
    def handle_unexpected(_: Exception) -> Response:
        app.logger.exception("request %s failed", current_record().request_id)
        return _respond(500, GatewayError.title, "The service failed; the log has the reason.")


def _respond(status: int, title: str, detail: str) -> Response:
    record = current_record()
    record.problem = slug(title)
    body = json.dumps(problem(status, title, detail, record.request_id))
    return Response(body, status, mimetype="application/problem+json")
