"""Connections that are kept for the next picture, through the fetcher and real sockets."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler

import picture_server as behaviour
import pytest
from picture_server import PictureServer, answer

from gateway import connections
from gateway.config import Settings
from gateway.errors import GatewayError, SourceFailed, SourceRefused, SourceTimeout
from gateway.fetcher import Fetcher


@pytest.fixture
def again(settings: Settings, pictures: PictureServer) -> Callable[..., bytes]:
    """Downloads with one fetcher, which may keep its connections."""
    kept = Fetcher(replace(settings, allowed_ports=(pictures.port,)))
    return lambda path, host="": kept.download(pictures.url(path, host), time.monotonic() + 1)


def test_a_connection_is_kept_for_the_next_picture(again, pictures: PictureServer, jpeg) -> None:
    assert again("/picture.jpg") == again("/picture.jpg") == jpeg
    assert len(set(pictures.clients)) == 1


def test_a_tls_connection_is_kept(
    settings: Settings, secure_pictures: PictureServer, jpeg: bytes
) -> None:
    kept = Fetcher(replace(settings, allowed_ports=(secure_pictures.port,)))
    url = secure_pictures.url("/picture.jpg", host="pictures.example")
    assert kept.download(url, time.monotonic() + 2) == kept.download(url, time.monotonic() + 2)
    assert len(set(secure_pictures.clients)) == 1
    with pytest.raises(SourceFailed):  # its certificate is another host's
        kept.download(url.replace("pictures.", "other."), time.monotonic() + 2)


def test_a_connection_is_kept_for_its_host_alone(again, pictures: PictureServer) -> None:
    again("/picture.jpg")
    again("/picture.jpg", host="localhost")
    assert len(set(pictures.clients)) == 2


def unannounced(handler: BaseHTTPRequestHandler, picture: bytes) -> None:
    answer(handler, picture)
    handler.close_connection = True


def chatty(handler: BaseHTTPRequestHandler, picture: bytes) -> None:
    answer(handler, picture)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")


@pytest.mark.parametrize("behave", [unannounced, chatty])
def test_a_source_that_does_not_keep_to_the_rules(
    again, pictures: PictureServer, jpeg: bytes, behave: Callable[..., None]
) -> None:
    pictures.routes["/odd"] = partial(behave, picture=jpeg)
    assert again("/odd") == jpeg
    time.sleep(0.1)
    assert again("/picture.jpg") == jpeg


def test_a_source_that_ends_the_connection_instead_of_answering(
    again, pictures: PictureServer, jpeg: bytes
) -> None:
    def once(handler: BaseHTTPRequestHandler) -> None:
        del pictures.routes["/odd"]
        handler.close_connection = True

    again("/picture.jpg")
    pictures.routes["/odd"] = once
    with pytest.raises(SourceRefused, match="404"):  # of the second time, on a new connection
        again("/odd")
    assert [path for path, _ in pictures.seen] == ["/picture.jpg", "/odd", "/odd"]
    assert len(set(pictures.clients)) == 2


@pytest.mark.parametrize("path", ["/missing", "/large"])
def test_a_connection_with_an_answer_half_read_is_not_kept(
    again, pictures: PictureServer, path: str
) -> None:
    pictures.routes["/large"] = bytes(2_000_000)
    with pytest.raises(GatewayError):
        again(path)
    again("/picture.jpg")
    assert len(set(pictures.clients)) == 2


def test_a_kept_connection_is_cut_in_time(again, pictures: PictureServer) -> None:
    pictures.routes["/drip"] = behaviour.drip
    again("/picture.jpg")
    began = time.monotonic()
    with pytest.raises(SourceTimeout):
        again("/drip")
    assert time.monotonic() - began < 2
    assert len(set(pictures.clients)) == 1


def test_old_and_surplus_connections_are_closed(
    again, pictures: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_KEPT", 1)
    again("/picture.jpg")
    again("/picture.jpg", host="localhost")
    again("/picture.jpg")
    assert len(set(pictures.clients)) == 3
    monkeypatch.setattr(connections, "KEPT_SECONDS", -1.0)
    again("/picture.jpg")
    assert len(set(pictures.clients)) == 4
