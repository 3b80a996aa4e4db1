"""Connections that are kept for the next picture, through the fetcher and real sockets."""

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


@pytest.fixture
def again(settings: Settings, image_server: ImageServer) -> Callable[..., bytes]:
    """Downloads with one fetcher, which may keep its connections."""
    kept = Fetcher(replace(settings, allowed_ports=(image_server.port,)))
    return lambda path, host="": kept.download(image_server.url(path, host), time.monotonic() + 1)


def test_a_connection_is_kept_for_the_next_picture(again, image_server: ImageServer, jpeg) -> None:
    assert again("/image.jpg") == again("/image.jpg") == jpeg
    assert len(set(image_server.client_addresses)) == 1


def test_a_tls_connection_is_kept(
    settings: Settings, tls_image_server: ImageServer, jpeg: bytes
) -> None:
    kept = Fetcher(replace(settings, allowed_ports=(tls_image_server.port,)))
    url = tls_image_server.url("/image.jpg", host="images.example")
    assert kept.download(url, time.monotonic() + 2) == kept.download(url, time.monotonic() + 2)
    assert len(set(tls_image_server.client_addresses)) == 1
    with pytest.raises(SourceFailed):  # its certificate is another host's
        kept.download(url.replace("images.", "other."), time.monotonic() + 2)


def test_a_connection_is_kept_for_its_host_alone(again, image_server: ImageServer) -> None:
    again("/image.jpg")
    again("/image.jpg", host="localhost")
    assert len(set(image_server.client_addresses)) == 2


def unannounced(handler: BaseHTTPRequestHandler, picture: bytes) -> None:
    answer(handler, picture)
    handler.close_connection = True


def chatty(handler: BaseHTTPRequestHandler, picture: bytes) -> None:
    answer(handler, picture)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")


@pytest.mark.parametrize("behave", [unannounced, chatty])
def test_a_source_that_does_not_keep_to_the_rules(
    again, image_server: ImageServer, jpeg: bytes, behave: Callable[..., None]
) -> None:
    image_server.routes["/odd"] = partial(behave, picture=jpeg)
    assert again("/odd") == jpeg
    time.sleep(0.1)
    assert again("/image.jpg") == jpeg


def test_a_source_that_ends_the_connection_instead_of_answering(
    again, image_server: ImageServer, jpeg: bytes
) -> None:
    def once(handler: BaseHTTPRequestHandler) -> None:
        del image_server.routes["/odd"]
        handler.close_connection = True

    again("/image.jpg")
    image_server.routes["/odd"] = once
    with pytest.raises(SourceRefused, match="404"):  # of the second time, on a new connection
        again("/odd")
    assert [path for path, _ in image_server.requests] == ["/image.jpg", "/odd", "/odd"]
    assert len(set(image_server.client_addresses)) == 2


@pytest.mark.parametrize("path", ["/missing", "/large"])
def test_a_connection_with_an_answer_half_read_is_not_kept(
    again, image_server: ImageServer, path: str
) -> None:
    image_server.routes["/large"] = bytes(2_000_000)
    with pytest.raises(GatewayError):
        again(path)
    again("/image.jpg")
    assert len(set(image_server.client_addresses)) == 2


def test_a_kept_connection_is_cut_in_time(again, image_server: ImageServer) -> None:
    image_server.routes["/drip"] = behaviour.drip
    again("/image.jpg")
    began = time.monotonic()
    with pytest.raises(SourceTimeout):
        again("/drip")
    assert time.monotonic() - began < 2
    assert len(set(image_server.client_addresses)) == 1


def test_old_and_surplus_connections_are_closed(
    again, image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_KEPT", 1)
    again("/image.jpg")
    again("/image.jpg", host="localhost")
    again("/image.jpg")
    assert len(set(image_server.client_addresses)) == 3
    monkeypatch.setattr(connections, "KEPT_SECONDS", -1.0)
    again("/image.jpg")
    assert len(set(image_server.client_addresses)) == 4
