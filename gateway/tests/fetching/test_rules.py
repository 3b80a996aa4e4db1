"""Which URLs are fetched, and what the source is asked."""

import socket
import time
from ipaddress import IPv4Address, ip_address

import pytest
from gateway_testing.image_server import ImageServer, redirect

from fetching.conftest import Download
from gateway import fetcher
from gateway.config import Settings
from gateway.errors import InvalidRequest, SourceRefused, SourceTimeout
from gateway.fetcher import UNREACHABLE, Fetcher
from gateway.version import VERSION


def test_an_image_is_downloaded(download: Download, image_server: ImageServer, jpeg: bytes) -> None:
    assert download(image_server.url("/image.jpg")) == jpeg
    [(path, headers)] = image_server.requests
    assert path == "/image.jpg"
    assert headers["Host"] == f"127.0.0.1:{image_server.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith(f"sports-gateway/{VERSION} ")
    assert "Cookie" not in headers


def test_the_host_header_is_the_urls(download: Download, image_server: ImageServer) -> None:
    download(image_server.url("/image.jpg", host="localhost"))
    assert image_server.requests[0][1]["Host"] == f"localhost:{image_server.port}"


def test_path_and_query_are_sent_unchanged(
    download: Download, image_server: ImageServer, jpeg: bytes
) -> None:
    image_server.routes["/a%20b.jpg?size=2&x=%C3%A4"] = jpeg
    assert download(image_server.url("/a%20b.jpg?size=2&x=%C3%A4#fragment")) == jpeg


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cricket",
        "//example.com/a.jpg",
        "http://",
        "http:///a.jpg",
        "http://exa mple.com/",
        "http://example.com/a\nb",
        "http://example.com/\0",
        "http://example.com\\@127.0.0.1/",
        "http://[::1/a.jpg",
        "http://example.com:99999/",
        "http://example.com:port/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_not_a_url_is_an_invalid_request(download: Download, url: str) -> None:
    with pytest.raises(InvalidRequest):
        download(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.jpg",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "dict://127.0.0.1:11211/stat",
        "http://user:password@example.com/",
        "http://good.example@evil.example/",
        "http://example.com:22/",
        "http://example.com:8500/",
    ],
)
def test_schemes_credentials_and_ports_are_refused_before_any_lookup(
    download: Download, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "resolve", lambda *_: pytest.fail("looked up"))
    with pytest.raises(SourceRefused):
        download(url)


def test_the_connection_goes_to_the_checked_address(
    download: Download, image_server: ImageServer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []

    def resolve(host: str, *_: object) -> list[IPv4Address]:
        lookups.append(host)
        return [IPv4Address("127.0.0.1")]

    monkeypatch.setattr(fetcher, "resolve", resolve)
    assert download(image_server.url("/image.jpg", host="images.example")) == jpeg
    assert lookups == ["images.example"]
    assert image_server.requests[0][1]["Host"] == f"images.example:{image_server.port}"


def test_a_closed_port_is_unreachable(download: Download) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceRefused, match=UNREACHABLE):
        download(f"http://127.0.0.1:{port}/", allowed_ports=(port,))


def test_only_allowed_sources_are_fetched(
    download: Download, image_server: ImageServer, jpeg: bytes
) -> None:
    url = image_server.url("/image.jpg", host="LocalHost")
    assert download(url, allowed_sources=("*.example.com", "localhost")) == jpeg
    with pytest.raises(SourceRefused):
        download(url, allowed_sources=("*.example.com",))


def test_redirects_are_followed(download: Download, image_server: ImageServer, jpeg: bytes) -> None:
    image_server.routes["/1"] = redirect("/2")
    image_server.routes["/2"] = redirect(image_server.url("/3"))
    image_server.routes["/3"] = redirect("image.jpg")
    assert download(image_server.url("/1")) == jpeg
    assert len(image_server.requests) == 4


def test_more_than_three_redirects_are_refused(
    download: Download, image_server: ImageServer
) -> None:
    image_server.routes["/loop"] = redirect("/loop")
    with pytest.raises(SourceRefused, match="more than 3"):
        download(image_server.url("/loop"))
    assert len(image_server.requests) == 4


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/", "http://127.0.0.1:22/", "http://u:p@example.com/", "http://[", "\x01:"],
)
def test_each_redirect_is_checked(
    download: Download, image_server: ImageServer, location: str
) -> None:
    image_server.routes["/away"] = redirect(location)
    with pytest.raises(SourceRefused):
        download(image_server.url("/away"))


def test_a_redirect_to_a_private_address_is_refused(
    download: Download, image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_server.routes["/away"] = redirect(f"http://10.0.0.1:{image_server.port}/")
    monkeypatch.setattr(fetcher, "is_public", lambda address, _: address == ip_address("127.0.0.1"))
    with pytest.raises(SourceRefused, match=UNREACHABLE):
        download(image_server.url("/away"), allow_private_sources=False)


def test_a_proxy_in_the_environment_is_ignored(
    download: Download, image_server: ImageServer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert download(image_server.url("/image.jpg")) == jpeg


def test_the_requests_own_deadline_counts(settings: Settings, image_server: ImageServer) -> None:
    with pytest.raises(SourceTimeout):
        Fetcher(settings).download(image_server.url("/image.jpg"), time.monotonic() - 1)
    assert not image_server.requests
