"""The bytes of an answer: the application's, or a refusal by the worker itself."""

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from flask import json
from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.wsgi import create

from gateway.errors import GatewayError, TooManyRequests
from gateway.logs import level_of
from gateway.problems import problem
from gateway.request_reader import IncomingRequest

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# The worker's own refusals, by their statuses.
TITLES = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    417: "Expectation Failed",
    429: TooManyRequests.title,
    431: "Request Header Fields Too Large",
    500: GatewayError.title,
    501: "Not Implemented",
}
DETAILS = {
    408: "The request did not arrive in time.",
    429: "The service is busy; please try again in a moment.",
    500: "The service failed; the log has the reason.",
}
# gunicorn's errors about a request; others are a 400.
STATUSES = {
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
}

SMALL = 65_536  # bytes

log = logging.getLogger(__name__)


class _Parts(list[bytes | bytearray]):
    """Takes the place of the socket that gunicorn's Response writes to; joins what is small."""

    def sendall(self, data: bytes) -> None:
        if len(data) > SMALL:
            self.append(data)
        elif self and isinstance(self[-1], bytearray):
            self[-1] += data
        else:
            self.append(bytearray(data))


def answer(
    app: App, request: IncomingRequest, client: Any, server: Any, config: Config, keep: bool
) -> tuple[list[bytes | bytearray], bool]:
    """Run the application.

    Args:
        client: the client's address.
        server: the address at which the client was accepted.
        keep: whether the connection may be used again.

    Returns:
        The answer's parts, and whether the connection can be used again.
    """
    parts = _Parts()
    try:
        response, environ = create(request.head, parts, client, server, config)
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = request.body
        if environ.pop("HTTP_TRANSFER_ENCODING", None):  # the body's chunks have been joined
            environ["CONTENT_LENGTH"] = str(request.length)
        if not keep:
            response.force_close()
        chunks = app(environ, response.start_response)
        try:
            for chunk in chunks:
                response.write(chunk)
            response.close()
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
    except Exception:
        log.exception("a request failed outside the application")
        return [refusal(500, "the worker failed", client)], False
    return parts, not response.should_close()


def refusal(status: int, reason: str, client: Any, keep: bool = False) -> bytes:
    """Log a refusal and describe it with a problem object.

    Args:
        client: the client's address.
        keep: whether the connection may be used again.
    """
    title, request_id = TITLES[status], uuid.uuid4().hex
    address = client[0] if isinstance(client, tuple) else client
    fields = {"request_id": request_id, "client": address, "status": status}
    log.log(level_of(status), "%s: %s", title, reason, extra=fields)
    detail = DETAILS.get(status, "The service cannot read this request.")
    body = json.dumps(problem(status, title, detail, request_id)).encode()
    retry = f"Retry-After: {TooManyRequests.retry_after}\r\n" if status == 429 else ""
    head = (
        f"HTTP/1.1 {status} {title}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n{retry}"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
