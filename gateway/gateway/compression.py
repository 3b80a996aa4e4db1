"""Compresses texts, for those who accept it."""

import gzip
from functools import lru_cache

from flask import Flask, Response, request

SMALL = 1_000  # bytes; below, compressing costs more than it saves
TEXTS = (
    "text/",
    "application/json",
    "application/javascript",
    "application/problem+json",
    "image/svg+xml",
)


def register(app: Flask) -> None:
    """Send the texts of `app` with gzip."""

    @app.after_request
    def compress(response: Response) -> Response:
        if not (response.mimetype or "").startswith(TEXTS) or response.status_code == 304:
            return response
        response.vary.add("Accept-Encoding")
        if not request.accept_encodings["gzip"] or "Content-Encoding" in response.headers:
            return response
        response.direct_passthrough = False  # a file is read
        body = response.get_data()
        if len(body) >= SMALL:
            is_file = "ETag" in response.headers
            response.set_data(_compress_file(body) if is_file else gzip.compress(body, 4, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
            if is_file:
                response.set_etag(response.get_etag()[0] or "", weak=True)
        return response


@lru_cache(maxsize=32)
def _compress_file(body: bytes) -> bytes:
    return gzip.compress(body, 9, mtime=0)
