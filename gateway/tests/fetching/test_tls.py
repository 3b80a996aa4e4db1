from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import certifi
import gateway_testing.image_server as behaviour
import pytest
from gateway_testing.image_server import ImageServer, redirect

from fetching.conftest import Download
from gateway.errors import SourceFailed, SourceRefused, SourceTimeout

AUTHORITIES = certifi.where()


def test_a_server_without_tls_is_a_failure(download: Download, image_server: ImageServer) -> None:
    with pytest.raises(SourceFailed):
        download(f"https://127.0.0.1:{image_server.port}/")


def test_the_certificate_must_name_the_host(
    download: Download, tls_image_server: ImageServer, jpeg: bytes
) -> None:
    ports = (tls_image_server.port,)
    url = tls_image_server.url("/image.jpg", host="images.example")
    assert download(url, allowed_ports=ports) == jpeg
    with pytest.raises(SourceFailed):
        download(tls_image_server.url("/image.jpg", host="other.example"), allowed_ports=ports)


def test_an_unknown_authority_is_not_trusted(
    download: Download, tls_image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: AUTHORITIES)
    with pytest.raises(SourceFailed):
        download(
            tls_image_server.url("/image.jpg", host="images.example"),
            allowed_ports=(tls_image_server.port,),
        )


def test_a_redirect_from_https_to_http_is_refused(
    download: Download, tls_image_server: ImageServer
) -> None:
    tls_image_server.routes["/down"] = redirect("http://images.example/image.jpg")
    with pytest.raises(SourceRefused, match="https to http"):
        download(
            tls_image_server.url("/down", host="images.example"),
            allowed_ports=(80, tls_image_server.port),
        )


@pytest.mark.parametrize("slow", [behaviour.drip, behaviour.drip_chunks, behaviour.drip_headers])
def test_a_source_that_sends_byte_by_byte_times_out(
    download: Download,
    tls_image_server: ImageServer,
    slow: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    tls_image_server.routes["/slow"] = slow
    url = tls_image_server.url("/slow", host="images.example")
    with pytest.raises(SourceTimeout):
        download(url, fetch_timeout=0.5, allowed_ports=(tls_image_server.port,))
