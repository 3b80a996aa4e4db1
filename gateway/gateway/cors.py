"""Answers for scripts of pages on other origins: off, unless the settings name origins."""

from flask import Flask, Response, request

METHODS = "GET, POST"
HEADERS = "Authorization, Content-Type, X-API-Key, X-Request-ID"
EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
PREFLIGHT_SECONDS = "7200"  # for so long a browser need not ask again


def register(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins read the answers of `app`; `*` stands for any.

    Keys are sent in a header, never in a cookie, so credentials are not allowed.
    """

    @app.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or not {origin, "*"} & set(origins):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response
