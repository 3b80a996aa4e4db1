import shutil
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme
from flask import Flask
from flask.testing import FlaskClient
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer
from playwright.sync_api import Browser, expect, sync_playwright

from gateway import fetcher
from gateway.app import create_app
from gateway.config import Settings

pytest.register_assert_rewrite("api.checks", "attacks.checks", "gateway_testing.waiting")

# The files that take longest: pytest-xdist starts them first, and waits for none at the end.
SLOWEST = ["end_to_end", "run_local", "faults", "memory", "answers", "slow_clients", "decoders"]
SLOWEST += ["expensive_images", "connection_limits", "overload", "openapi", "generated_client"]


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist keeps our order


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return SLOWEST.index(name) if name in SLOWEST else len(SLOWEST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return encode(gradient())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; Playwright can be started once in a process."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")  # the first takes half
    chromium = next(filter(None, map(shutil.which, names)), None)
    if not chromium:
        pytest.skip("needs chromium")
    expect.set_options(timeout=60_000)  # on a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    yield fake
    fake.stop()


@pytest.fixture
def image_server(jpeg: bytes) -> Iterator[ImageServer]:
    server = ImageServer()
    server.routes["/image.jpg"] = jpeg
    yield server
    server.stop()


@pytest.fixture
def tls_image_server(
    jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImageServer]:
    """An HTTPS server on loopback whose certificate is for images.example only."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("images.example").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "authority.pem"))
    monkeypatch.setattr(fetcher, "resolve", lambda *_: [ip_address("127.0.0.1")])
    server = ImageServer(tls)
    server.routes["/image.jpg"] = jpeg
    yield server
    server.stop()


@pytest.fixture
def settings(serving: FakeServing, image_server: ImageServer) -> Settings:
    """Small sizes, and timeouts that a busy machine does not reach."""
    return Settings(
        tf_serving_host=serving.host,
        allow_private_sources=True,
        allowed_ports=(80, 443, image_server.port),
        fetch_timeout=20.0,
        request_timeout=30.0,
        max_image_bytes=1_000_000,
        max_body_bytes=1_200_000,
    )


def close(app: Flask) -> None:
    classifier = app.extensions["gateway"].classifier
    classifier.model.close()
    classifier.decoders.close()


@pytest.fixture
def new_client(settings: Settings) -> Iterator[Callable[..., FlaskClient]]:
    """Makes clients of apps whose settings are changed."""
    apps: list[Flask] = []

    def new_client(**changes: Any) -> FlaskClient:
        apps.append(create_app(replace(settings, **changes)))
        return apps[-1].test_client()

    yield new_client
    for app in apps:
        close(app)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    close(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
