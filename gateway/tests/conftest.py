import ssl
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import certifi
import pytest
import trustme
from drawings import encode, gradient
from fake_serving import FakeServing
from flask import Flask
from flask.testing import FlaskClient
from picture_server import PictureServer

from gateway import create_app, fetcher
from gateway.config import Settings


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return encode(gradient())


@pytest.fixture
def serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    yield fake
    fake.stop()


@pytest.fixture
def pictures(jpeg: bytes) -> Iterator[PictureServer]:
    server = PictureServer()
    server.routes["/picture.jpg"] = jpeg
    yield server
    server.stop()


@pytest.fixture
def secure_pictures(
    jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PictureServer]:
    """An HTTPS server whose certificate names pictures.example alone, at a loopback address."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("pictures.example").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "authority.pem"))
    monkeypatch.setattr(fetcher, "resolve", lambda *_: [ip_address("127.0.0.1")])
    server = PictureServer(tls)
    server.routes["/picture.jpg"] = jpeg
    yield server
    server.stop()


@pytest.fixture
def settings(serving: FakeServing, pictures: PictureServer) -> Settings:
    return Settings(
        tf_serving_host=serving.host,
        allow_private_sources=True,
        allowed_ports=(80, 443, pictures.port),
        fetch_timeout=1.0,
        request_timeout=3.0,
        max_image_bytes=1_000_000,
        max_body_bytes=1_200_000,
    )


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], object]], None]:
    def wait_for(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait_for


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["gateway"].classifier.model.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
