"""What the source may answer."""

from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler

import gateway_testing.image_server as behaviour
import pytest
from gateway_testing.image_server import ImageServer, answer

from fetching.conftest import Download
from gateway.errors import GatewayError, ImageTooLarge, SourceFailed, SourceRefused, SourceTimeout


@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceRefused), (403, SourceRefused), (500, SourceFailed)]
)
def test_an_error_of_the_source_is_named_by_its_status(
    download: Download, image_server: ImageServer, status: int, error: type[GatewayError]
) -> None:
    image_server.routes["/error"] = lambda handler: answer(handler, b"secret words", status)
    with pytest.raises(error, match=f"^The source answered {status}.$"):
        download(image_server.url("/error"))


def test_a_success_without_a_body_is_a_failure(
    download: Download, image_server: ImageServer
) -> None:
    image_server.routes["/304"] = lambda handler: answer(handler, b"", 304)
    with pytest.raises(SourceFailed):
        download(image_server.url("/304"))


def test_a_body_declared_too_large_is_refused(
    download: Download, image_server: ImageServer
) -> None:
    image_server.routes["/huge"] = partial(answer, body=b"", Content_Length="10000000000")
    with pytest.raises(ImageTooLarge):
        download(image_server.url("/huge"))


def test_an_endless_body_is_refused(download: Download, image_server: ImageServer) -> None:
    image_server.routes["/flood"] = behaviour.flood
    with pytest.raises(ImageTooLarge):
        download(image_server.url("/flood"))


def test_an_incomplete_body_is_a_failure(download: Download, image_server: ImageServer) -> None:
    image_server.routes["/broken"] = behaviour.broken_off
    with pytest.raises(SourceFailed):
        download(image_server.url("/broken"))


def test_a_compressed_body_is_refused(download: Download, image_server: ImageServer) -> None:
    image_server.routes["/bomb"] = partial(answer, body=b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceRefused, match="compressed"):
        download(image_server.url("/bomb"))


@pytest.mark.parametrize("slow", [behaviour.drip, behaviour.drip_headers])
def test_a_source_that_sends_byte_by_byte_times_out(
    download: Download, image_server: ImageServer, slow: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    image_server.routes["/slow"] = slow
    with pytest.raises(SourceTimeout):
        download(image_server.url("/slow"), fetch_timeout=0.3)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_source_times_out(download: Download, silent_port: int, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{silent_port}/"
    with pytest.raises(SourceTimeout):
        download(url, fetch_timeout=0.3, allowed_ports=(silent_port,))
