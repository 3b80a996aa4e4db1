import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import certifi
import picture_server as behaviour
import pytest
from picture_server import PictureServer, answer, redirect

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


def test_a_picture(download, pictures: PictureServer, jpeg: bytes) -> None:
    assert download(pictures.url("/picture.jpg")) == jpeg
    [(path, headers)] = pictures.seen
    assert path == "/picture.jpg"
    assert headers["Host"] == f"127.0.0.1:{pictures.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("sports-gateway/")
    assert "Cookie" not in headers


def test_the_source_sees_the_host_it_is_named_by(download, pictures: PictureServer) -> None:
    download(pictures.url("/picture.jpg", host="localhost"))
    assert pictures.seen[0][1]["Host"] == f"localhost:{pictures.port}"


def test_path_and_query_arrive_as_sent(download, pictures: PictureServer, jpeg: bytes) -> None:
    pictures.routes["/a%20b.jpg?size=2&x=%C3%A4"] = jpeg
    assert download(pictures.url("/a%20b.jpg?size=2&x=%C3%A4#fragment")) == jpeg


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
    download, pictures: PictureServer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = []

    def resolve(host: str, *_: object) -> list:
        lookups.append(host)
        return [ip_address("127.0.0.1")]

    monkeypatch.setattr(fetcher, "resolve", resolve)
    assert download(pictures.url("/picture.jpg", host="pictures.example")) == jpeg
    assert lookups == ["pictures.example"]
    assert pictures.seen[0][1]["Host"] == f"pictures.example:{pictures.port}"


def test_nobody_listens(download) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceRefused, match=UNREACHABLE):
        download(f"http://127.0.0.1:{port}/", allowed_ports=(port,))


def test_only_allowed_sources(download, pictures: PictureServer, jpeg: bytes) -> None:
    url = pictures.url("/picture.jpg", host="LocalHost")
    assert download(url, allowed_sources=("*.example.com", "localhost")) == jpeg
    with pytest.raises(SourceRefused):
        download(url, allowed_sources=("*.example.com",))


def test_redirects_are_followed(download, pictures: PictureServer, jpeg: bytes) -> None:
    pictures.routes["/1"] = redirect("/2")
    pictures.routes["/2"] = redirect(pictures.url("/3"))
    pictures.routes["/3"] = redirect("picture.jpg")
    assert download(pictures.url("/1")) == jpeg
    assert len(pictures.seen) == 4


def test_a_chain_of_redirects_ends(download, pictures: PictureServer) -> None:
    pictures.routes["/loop"] = redirect("/loop")
    with pytest.raises(SourceRefused, match="more than 3"):
        download(pictures.url("/loop"))
    assert len(pictures.seen) == 4


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/", "http://127.0.0.1:22/", "http://u:p@example.com/", "http://[", "\x01:"],
)
def test_each_redirect_is_checked(download, pictures: PictureServer, location: str) -> None:
    pictures.routes["/away"] = redirect(location)
    with pytest.raises(SourceRefused):
        download(pictures.url("/away"))


def test_a_redirect_to_a_private_address_is_refused(
    download, pictures: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures.routes["/away"] = redirect(f"http://10.0.0.1:{pictures.port}/")
    monkeypatch.setattr(fetcher, "is_public", lambda address, _: address == ip_address("127.0.0.1"))
    with pytest.raises(SourceRefused, match=UNREACHABLE):
        download(pictures.url("/away"), allow_private_sources=False)


@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceRefused), (403, SourceRefused), (500, SourceFailed)]
)
def test_an_error_of_the_source(
    download, pictures: PictureServer, status: int, error: type[GatewayError]
) -> None:
    pictures.routes["/error"] = lambda handler: answer(handler, b"secret words", status)
    with pytest.raises(error, match=f"^The source answered {status}.$"):
        download(pictures.url("/error"))


def test_an_answer_without_a_body_of_its_own(download, pictures: PictureServer) -> None:
    pictures.routes["/304"] = lambda handler: answer(handler, b"", 304)
    with pytest.raises(SourceFailed):
        download(pictures.url("/304"))


def test_a_body_that_says_it_is_too_large(download, pictures: PictureServer) -> None:
    pictures.routes["/huge"] = lambda handler: answer(handler, b"", Content_Length="10000000000")
    with pytest.raises(ImageTooLarge):
        download(pictures.url("/huge"))


def test_a_body_that_never_ends(download, pictures: PictureServer) -> None:
    pictures.routes["/flood"] = behaviour.flood
    with pytest.raises(ImageTooLarge):
        download(pictures.url("/flood"))


def test_a_body_that_breaks_off(download, pictures: PictureServer) -> None:
    pictures.routes["/broken"] = behaviour.broken_off
    with pytest.raises(SourceFailed):
        download(pictures.url("/broken"))


def test_a_compressed_body_is_not_unpacked(download, pictures: PictureServer) -> None:
    pictures.routes["/bomb"] = partial(answer, body=b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceRefused, match="compressed"):
        download(pictures.url("/bomb"))


@pytest.mark.parametrize("slowness", [behaviour.drip, behaviour.drip_headers])
def test_a_source_that_drips_is_cut_off(download, pictures: PictureServer, slowness) -> None:
    pictures.routes["/slow"] = slowness
    with pytest.raises(SourceTimeout):
        download(pictures.url("/slow"), fetch_timeout=0.4)


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


def test_tls_with_somebody_who_does_not_speak_it(download, pictures: PictureServer) -> None:
    with pytest.raises(SourceFailed):
        download(f"https://127.0.0.1:{pictures.port}/")


def test_https_checks_the_name_and_not_the_pinned_address(
    download, secure_pictures: PictureServer, jpeg: bytes
) -> None:
    ports = (secure_pictures.port,)
    url = secure_pictures.url("/picture.jpg", host="pictures.example")
    assert download(url, allowed_ports=ports) == jpeg
    with pytest.raises(SourceFailed):
        download(secure_pictures.url("/picture.jpg", host="other.example"), allowed_ports=ports)


def test_https_does_not_redirect_to_http(download, secure_pictures: PictureServer) -> None:
    secure_pictures.routes["/down"] = redirect("http://pictures.example/picture.jpg")
    with pytest.raises(SourceRefused, match="https to http"):
        download(
            secure_pictures.url("/down", host="pictures.example"),
            allowed_ports=(80, secure_pictures.port),
        )


def test_https_with_a_certificate_of_an_unknown_authority(
    download, secure_pictures: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: AUTHORITIES)
    with pytest.raises(SourceFailed):
        download(
            secure_pictures.url("/picture.jpg", host="pictures.example"),
            allowed_ports=(secure_pictures.port,),
        )


def test_no_proxy_from_the_environment(
    download, pictures: PictureServer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert download(pictures.url("/picture.jpg")) == jpeg


def test_the_requests_own_deadline_counts(settings: Settings, pictures: PictureServer) -> None:
    with pytest.raises(SourceTimeout):
        Fetcher(settings).download(pictures.url("/picture.jpg"), time.monotonic() - 1)
    assert not pictures.seen
