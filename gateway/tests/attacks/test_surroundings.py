"""The environment, the log and TLS."""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import certifi
import pytest
import trustme
from flask.testing import FlaskClient
from gateway_testing.image_server import ImageServer
from structlog.stdlib import ProcessorFormatter

from attacks.checks import PUBLIC, Attack, check_refused, status_and_title
from gateway.app import create_app
from gateway.config import Settings
from gateway.logs import FORMAT

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_22_a_proxy_in_the_environment_is_ignored(
    attack: Attack,
    outside: ImageServer,
    inside: ImageServer,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{inside.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert attack(outside.url("/image.jpg")).json == "cricket"


def test_23_nothing_that_is_logged_adds_a_line(
    attack: Attack,
    client: FlaskClient,
    outside: ImageServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def forged(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(
            b"HTTP/1.1 302 Found\r\nLocation: http://a\x0bb\x85level=forged/\r\n\r\n"
        )

    outside.routes["/forged"] = forged
    with caplog.at_level(logging.DEBUG):
        check_refused(attack(outside.url("/forged")))
        attack("http://a\nlevel=forged/")
        client.get("/a%0alevel=forged")
    lines = [ProcessorFormatter(**FORMAT).format(record) for record in caplog.records]
    assert sum("/predict" in line for line in lines) == 2
    assert any("forged" in line for line in lines)
    assert all(len(line.splitlines()) == 1 for line in lines)


@contextmanager
def tls_server(leaf: trustme.LeafCert | None) -> Iterator[ImageServer]:
    """A server at PUBLIC with this certificate; without one, plain HTTP."""
    tls = None
    if leaf:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        leaf.configure_cert(tls)
    server = ImageServer(tls, address=PUBLIC)
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("flaw", ["none", "expired", "unknown authority", "wrong name", "plain"])
def test_26_the_certificate_must_be_valid_for_the_host(
    settings: Settings,
    jpeg: bytes,
    flaw: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    leaves: dict[str, Callable[[], trustme.LeafCert | None]] = {
        "none": lambda: authority.issue_cert("public.example"),
        "expired": lambda: authority.issue_cert("public.example", not_after=LONG_AGO),
        "unknown authority": lambda: other.issue_cert("public.example"),
        "wrong name": lambda: authority.issue_cert("other.example", PUBLIC),
        "plain": lambda: None,
    }
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "ca.pem"))
    with tls_server(leaves[flaw]()) as server:
        server.routes["/image.jpg"] = jpeg
        client = create_app(replace(settings, allowed_ports=(server.port,))).test_client()
        url = server.url("/image.jpg", "public.example").replace("http:", "https:")
        response = client.post("/predict", json={"url": url})
    if flaw == "none":
        assert response.json == "cricket"
    else:
        assert status_and_title(response) == (502, "Source failed")
        assert not server.requests
