"""Connections that are kept for the next image, through the fetcher and real sockets."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler

import gateway_testing.image_server as behaviour
import pytest
from gateway_testing.image_server import ImageServer, answer

from gateway import connections
from gateway.config import Settings
from gateway.errors import GatewayError, SourceFailed, SourceRefused, SourceTimeout
from gateway.fetcher import Fetcher

Fetch = Callable[..., bytes]


@pytest.fixture
def fetch(settings: Settings, image_server: ImageServer) -> Fetch:
    """Downloads with one fetcher, which may keep its connections."""
    fetcher = Fetcher(settings)

    def fetch(path: str, host: str = "", seconds: float = 20.0) -> bytes:
        return fetcher.download(image_server.url(path, host), time.monotonic() + seconds)

    return fetch


def count_connections(server: ImageServer) -> int:
    return len(set(server.client_addresses))


def test_a_connection_is_kept_for_the_next_image(
    fetch: Fetch, image_server: ImageServer, jpeg: bytes
) -> None:
    assert fetch("/image.jpg") == fetch("/image.jpg") == jpeg
    assert count_connections(image_server) == 1


def test_a_tls_connection_is_kept_for_its_host_alone(
    settings: Settings, tls_image_server: ImageServer, jpeg: bytes
) -> None:
    fetcher = Fetcher(replace(settings, allowed_ports=(tls_image_server.port,)))
    url = tls_image_server.url("/image.jpg", host="images.example")
    for _ in range(2):
        assert fetcher.download(url, time.monotonic() + 20) == jpeg
    assert count_connections(tls_image_server) == 1
    with pytest.raises(SourceFailed):  # the certificate is for another host
        fetcher.download(url.replace("images.", "other."), time.monotonic() + 20)


def test_a_connection_is_kept_for_its_host_alone(fetch: Fetch, image_server: ImageServer) -> None:
    fetch("/image.jpg")
    fetch("/image.jpg", host="localhost")
    assert count_connections(image_server) == 2


def close_unannounced(handler: BaseHTTPRequestHandler, image: bytes, done: threading.Event) -> None:
    answer(handler, image)
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    done.set()


def answer_twice(handler: BaseHTTPRequestHandler, image: bytes, done: threading.Event) -> None:
    answer(handler, image)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
    done.set()


@pytest.mark.parametrize("behave", [close_unannounced, answer_twice])
def test_a_source_that_breaks_the_protocol_after_its_answer(
    fetch: Fetch, image_server: ImageServer, jpeg: bytes, behave: Callable[..., None]
) -> None:
    done = threading.Event()
    image_server.routes["/odd"] = partial(behave, image=jpeg, done=done)
    assert fetch("/odd") == jpeg
    assert done.wait(60)  # what was sent over loopback has been received
    assert fetch("/image.jpg") == jpeg


def test_a_request_on_a_stale_connection_is_sent_again(
    fetch: Fetch, image_server: ImageServer
) -> None:
    def close_once(handler: BaseHTTPRequestHandler) -> None:
        del image_server.routes["/odd"]
        handler.close_connection = True

    fetch("/image.jpg")
    image_server.routes["/odd"] = close_once
    with pytest.raises(SourceRefused, match="404"):  # of the second time, on a new connection
        fetch("/odd")
    assert [path for path, _ in image_server.requests] == ["/image.jpg", "/odd", "/odd"]
    assert count_connections(image_server) == 2


def test_a_request_on_a_new_connection_is_not_sent_again(
    fetch: Fetch, image_server: ImageServer
) -> None:
    def close(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    image_server.routes["/odd"] = close
    with pytest.raises(SourceFailed):
        fetch("/odd")
    assert [path for path, _ in image_server.requests] == ["/odd"]


@pytest.mark.parametrize("path", ["/missing", "/large"])
def test_a_connection_with_an_unread_answer_is_not_kept(
    fetch: Fetch, image_server: ImageServer, path: str
) -> None:
    image_server.routes["/large"] = bytes(2_000_000)
    with pytest.raises(GatewayError):
        fetch(path)
    fetch("/image.jpg")
    assert count_connections(image_server) == 2


def test_the_deadline_holds_on_a_kept_connection(fetch: Fetch, image_server: ImageServer) -> None:
    image_server.routes["/drip"] = behaviour.drip
    fetch("/image.jpg")
    started = time.monotonic()
    with pytest.raises(SourceTimeout):
        fetch("/drip", seconds=0.5)
    assert time.monotonic() - started < 30  # the source would go on for a minute
    assert count_connections(image_server) == 1


def test_old_and_surplus_connections_are_closed(
    settings: Settings, image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_SOURCES", 1)
    fetcher = Fetcher(settings)

    def fetch(host: str = "") -> None:
        fetcher.download(image_server.url("/image.jpg", host), time.monotonic() + 20)

    fetch()
    fetch(host="localhost")
    fetch()
    assert count_connections(image_server) == 3
    monkeypatch.setattr(connections, "MAX_IDLE_SECONDS", -1.0)
    fetch()
    assert count_connections(image_server) == 4
