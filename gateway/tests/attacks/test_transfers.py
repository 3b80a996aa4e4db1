"""Sources whose HTTP is hostile."""

import gzip
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from gateway_testing.image_server import ImageServer, answer

from attacks.checks import Attack, status_and_title

MEGABYTE = 1_000_000
Handler = Callable[[BaseHTTPRequestHandler], None]


def endless_chunk_size(handler: BaseHTTPRequestHandler) -> None:
    """A gigabyte of digits before the first chunk."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"0" * MEGABYTE)


def endless_trailers(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"0\r\n" + b"a" * MEGABYTE)


def endless_header(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(1000):
        handler.wfile.write(b"a" * MEGABYTE)


def a_hundred_thousand_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n")


def negative_chunk_size(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"-5\r\n")
    for _ in range(1000):
        handler.wfile.write(bytes(MEGABYTE))


@pytest.mark.parametrize(
    "source",
    [
        endless_chunk_size,
        endless_trailers,
        endless_header,
        a_hundred_thousand_headers,
    ],
)
def test_29_a_hostile_transfer_is_a_failure(
    attack: Attack, outside: ImageServer, source: Handler
) -> None:
    outside.routes["/hostile"] = source
    assert status_and_title(attack(outside.url("/hostile"))) == (502, "Source failed")
    assert attack(outside.url("/image.jpg")).json == "cricket"


def test_29_a_negative_chunk_size_does_not_avoid_the_limit(
    attack: Attack, outside: ImageServer
) -> None:
    outside.routes["/hostile"] = negative_chunk_size
    assert status_and_title(attack(outside.url("/hostile"))) == (413, "Image too large")


def test_30_the_body_of_a_redirect_is_not_unpacked(attack: Attack, outside: ImageServer) -> None:
    bomb = gzip.compress(bytes(50 * MEGABYTE))
    outside.routes["/bomb"] = lambda handler: answer(
        handler, bomb, 302, Location="/image.jpg", Content_Encoding="gzip"
    )
    assert attack(outside.url("/bomb")).json == "cricket"
