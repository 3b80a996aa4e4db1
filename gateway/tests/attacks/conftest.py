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
def servers() -> Iterator[tuple[ImageServer, ImageServer]]:
    """Two servers at the same port: one of the simulated public network, one of loopback."""
    public, private = _bind_both()
    yield public, private
    public.stop()
    private.stop()


def _bind_both() -> tuple[ImageServer, ImageServer]:
    while True:
        public = ImageServer(address=PUBLIC)
        try:
            return public, ImageServer(address="127.0.0.1", port=public.port)
        except OSError:  # something else has the port on loopback
            public.stop()


@pytest.fixture
def outside(servers: tuple[ImageServer, ImageServer], jpeg: bytes) -> ImageServer:
    public, _ = servers
    public.routes["/image.jpg"] = jpeg
    return public


@pytest.fixture
def inside(servers: tuple[ImageServer, ImageServer]) -> Iterator[ImageServer]:
    """The private server, which must not receive any request."""
    _, private = servers
    private.routes["/"] = SECRET
    yield private
    assert not private.requests


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
