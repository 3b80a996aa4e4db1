from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from flask.testing import FlaskClient
from gateway_testing.image_server import ImageServer
from gateway_testing.name_server import NameServer
from werkzeug.test import TestResponse

from attacks.checks import PUBLIC, SECRET, Attack
from gateway import fetcher
from gateway.addresses import is_public
from gateway.config import Settings


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    server.names["public.example"] = [PUBLIC]
    yield server
    server.stop()


@pytest.fixture
def outside(jpeg: bytes) -> Iterator[ImageServer]:
    server = ImageServer(address=PUBLIC)
    server.routes["/image.jpg"] = jpeg
    yield server
    server.stop()


@pytest.fixture
def inside(outside: ImageServer) -> Iterator[ImageServer]:
    """A private server at the same port, which must not receive any request."""
    server = ImageServer(address="127.0.0.1", port=outside.port)
    server.routes["/"] = SECRET
    yield server
    server.stop()
    assert not server.requests


@pytest.fixture
def settings(settings: Settings, outside: ImageServer, name_server: NameServer) -> Settings:
    return replace(
        settings,
        allow_private_sources=False,
        allowed_ports=(80, 443, outside.port),
        nameserver=name_server.address,
    )


@pytest.fixture(autouse=True)
def simulated_public_network(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = ip_network("127.1.0.0/16")
    monkeypatch.setattr(
        fetcher, "is_public", lambda address, own: address in simulated or is_public(address, own)
    )


@pytest.fixture
def attack(client: FlaskClient) -> Attack:
    """Asks for the prediction of a URL."""

    def attack(url: str) -> TestResponse:
        response = client.post("/predict", json={"url": url})
        assert SECRET.decode() not in response.text
        return response

    return attack
