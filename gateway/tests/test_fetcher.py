import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import certifi
import gateway_testing.image_server as behaviour
import pytest
from gateway_testing.image_server import ImageServer, answer, redirect

from gateway import fetcher
from gateway.config import Settings
from gateway.errors import (
    GatewayError,
    ImageTooLarge,
    InvalidRequest,
    SourceFailed,
    SourceRefused,
    SourceTimeout,
)
from gateway.fetcher import UNREACHABLE, Fetcher

AUTHORITIES = certifi.where()


@pytest.fixture
def download(settings: Settings) -> Callable[[str], bytes]:
    def download(url: str, **changes: object) -> bytes:
        return Fetcher(replace(settings, **changes)).download(url, time.monotonic() + 2)

    return download


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_picture(download, image_server: ImageServer, jpeg: bytes) -> None:
    assert download(image_server.url("/image.jpg")) == jpeg
    [(path, headers)] = image_server.requests
    assert path == "/image.jpg"
    assert headers["Host"] == f"127.0.0.1:{image_server.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("sports-gateway/")
    assert "Cookie" not in headers


def test_the_source_sees_the_host_it_is_named_by(download, image_server: ImageServer) -> None:
    download(image_server.url("/image.jpg", host="localhost"))
    assert image_server.requests[0][1]["Host"] == f"localhost:{image_server.port}"


def test_path_and_query_arrive_as_sent(download, image_server: ImageServer, jpeg: bytes) -> None:
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
def test_what_is_not_a_url(download, url: str) -> None:
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
    download, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "resolve", lambda *_: pytest.fail("looked up"))
    with pytest.raises(SourceRefused):
        download(url)


def test_the_connection_goes_to_the_address_that_was_checked(
    download, image_server: ImageServer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []

    def resolve(host: str, *_: object) -> list:
        lookups.append(host)
        return [ip_address("127.0.0.1")]

    monkeypatch.setattr(fetcher, "resolve", resolve)
    assert download(image_server.url("/image.jpg", host="images.example")) == jpeg
    assert lookups == ["images.example"]
    assert image_server.requests[0][1]["Host"] == f"images.example:{image_server.port}"


def test_nobody_listens(download) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceRefused, match=UNREACHABLE):
        download(f"http://127.0.0.1:{port}/", allowed_ports=(port,))


def test_only_allowed_sources(download, image_server: ImageServer, jpeg: bytes) -> None:
    url = image_server.url("/image.jpg", host="LocalHost")
    assert download(url, allowed_sources=("*.example.com", "localhost")) == jpeg
    with pytest.raises(SourceRefused):
        download(url, allowed_sources=("*.example.com",))


def test_redirects_are_followed(download, image_server: ImageServer, jpeg: bytes) -> None:
    image_server.routes["/1"] = redirect("/2")
    image_server.routes["/2"] = redirect(image_server.url("/3"))
    image_server.routes["/3"] = redirect("image.jpg")
    assert download(image_server.url("/1")) == jpeg
    assert len(image_server.requests) == 4


def test_a_chain_of_redirects_ends(download, image_server: ImageServer) -> None:
    image_server.routes["/loop"] = redirect("/loop")
    with pytest.raises(SourceRefused, match="more than 3"):
        download(image_server.url("/loop"))
    assert len(image_server.requests) == 4


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/", "http://127.0.0.1:22/", "http://u:p@example.com/", "http://[", "\x01:"],
)
def test_each_redirect_is_checked(download, image_server: ImageServer, location: str) -> None:
    image_server.routes["/away"] = redirect(location)
    with pytest.raises(SourceRefused):
        download(image_server.url("/away"))


def test_a_redirect_to_a_private_address_is_refused(
    download, image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_server.routes["/away"] = redirect(f"http://10.0.0.1:{image_server.port}/")
    monkeypatch.setattr(fetcher, "is_public", lambda address, _: address == ip_address("127.0.0.1"))
    with pytest.raises(SourceRefused, match=UNREACHABLE):
        download(image_server.url("/away"), allow_private_sources=False)


@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceRefused), (403, SourceRefused), (500, SourceFailed)]
)
def test_an_error_of_the_source(
    download, image_server: ImageServer, status: int, error: type[GatewayError]
) -> None:
    image_server.routes["/error"] = lambda handler: answer(handler, b"secret words", status)
    with pytest.raises(error, match=f"^The source answered {status}.$"):
        download(image_server.url("/error"))


def test_an_answer_without_a_body_of_its_own(download, image_server: ImageServer) -> None:
    image_server.routes["/304"] = lambda handler: answer(handler, b"", 304)
    with pytest.raises(SourceFailed):
        download(image_server.url("/304"))


def test_a_body_that_says_it_is_too_large(download, image_server: ImageServer) -> None:
    image_server.routes["/huge"] = lambda handler: answer(
        handler, b"", Content_Length="10000000000"
    )
    with pytest.raises(ImageTooLarge):
        download(image_server.url("/huge"))


def test_a_body_that_never_ends(download, image_server: ImageServer) -> None:
    image_server.routes["/flood"] = behaviour.flood
    with pytest.raises(ImageTooLarge):
        download(image_server.url("/flood"))


def test_a_body_that_breaks_off(download, image_server: ImageServer) -> None:
    image_server.routes["/broken"] = behaviour.broken_off
    with pytest.raises(SourceFailed):
        download(image_server.url("/broken"))


def test_a_compressed_body_is_not_unpacked(download, image_server: ImageServer) -> None:
    image_server.routes["/bomb"] = partial(answer, body=b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceRefused, match="compressed"):
        download(image_server.url("/bomb"))


@pytest.mark.parametrize("slowness", [behaviour.drip, behaviour.drip_headers])
def test_a_source_that_drips_is_cut_off(download, image_server: ImageServer, slowness) -> None:
    image_server.routes["/slow"] = slowness
    with pytest.raises(SourceTimeout):
        download(image_server.url("/slow"), fetch_timeout=0.4)


def test_a_source_that_says_nothing(download, silent_port: int) -> None:
    with pytest.raises(SourceTimeout):
        download(
            f"http://127.0.0.1:{silent_port}/", fetch_timeout=0.3, allowed_ports=(silent_port,)
        )


def test_a_tls_handshake_that_hangs(download, silent_port: int) -> None:
    with pytest.raises(SourceTimeout):
        download(
            f"https://127.0.0.1:{silent_port}/", fetch_timeout=0.3, allowed_ports=(silent_port,)
        )


def test_tls_with_somebody_who_does_not_speak_it(download, image_server: ImageServer) -> None:
    with pytest.raises(SourceFailed):
        download(f"https://127.0.0.1:{image_server.port}/")


def test_https_checks_the_name_and_not_the_pinned_address(
    download, tls_image_server: ImageServer, jpeg: bytes
) -> None:
    ports = (tls_image_server.port,)
    url = tls_image_server.url("/image.jpg", host="images.example")
    assert download(url, allowed_ports=ports) == jpeg
    with pytest.raises(SourceFailed):
        download(tls_image_server.url("/image.jpg", host="other.example"), allowed_ports=ports)


def test_https_does_not_redirect_to_http(download, tls_image_server: ImageServer) -> None:
    tls_image_server.routes["/down"] = redirect("http://images.example/image.jpg")
    with pytest.raises(SourceRefused, match="https to http"):
        download(
            tls_image_server.url("/down", host="images.example"),
            allowed_ports=(80, tls_image_server.port),
        )


def test_https_with_a_certificate_of_an_unknown_authority(
    download, tls_image_server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: AUTHORITIES)
    with pytest.raises(SourceFailed):
        download(
            tls_image_server.url("/image.jpg", host="images.example"),
            allowed_ports=(tls_image_server.port,),
        )


def test_no_proxy_from_the_environment(
    download, image_server: ImageServer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert download(image_server.url("/image.jpg")) == jpeg


def test_the_requests_own_deadline_counts(settings: Settings, image_server: ImageServer) -> None:
    with pytest.raises(SourceTimeout):
        Fetcher(settings).download(image_server.url("/image.jpg"), time.monotonic() - 1)
    assert not image_server.requests
