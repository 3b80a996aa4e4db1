"""Headless Chromium in front of a real gunicorn; all tests of a process share both."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer
from gateway_testing.service import Service, gateway, predict
from playwright.sync_api import Browser, BrowserContext, Page

SECONDS = 60  # for the browser, on a busy machine
MAX_IMAGE_BYTES = 1_500_000

NewPage = Callable[..., Page]


@pytest.fixture(scope="session")
def shared_serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    yield fake
    fake.stop()


@pytest.fixture(scope="session")
def image_server(jpeg: bytes) -> Iterator[ImageServer]:
    server = ImageServer()
    server.routes |= {"/image.jpg": jpeg, "/page.html": b"<!doctype html>"}
    yield server
    server.stop()


@pytest.fixture(scope="session")
def feedback_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="session")
def service(
    shared_serving: FakeServing, image_server: ImageServer, feedback_folder: Path
) -> Iterator[Service]:
    settings: dict[str, Any] = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
        "GATEWAY_FEEDBACK_FOLDER": str(feedback_folder),
        "GATEWAY_MAX_IMAGE_BYTES": str(MAX_IMAGE_BYTES),
    }
    with gateway(shared_serving.host, **settings) as service:
        yield service


@pytest.fixture
def serving(shared_serving: FakeServing, service: Service, jpeg: bytes) -> Iterator[FakeServing]:
    yield shared_serving
    changed = shared_serving.version != 1
    shared_serving.reset()
    if changed:
        predict(service, jpeg)  # so that the gateway reads the signature again


@pytest.fixture
def new_page(browser: Browser, service: Service) -> Iterator[NewPage]:
    """Opens the page; at the end, nothing has failed in it and nothing came from elsewhere."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    requested: list[str] = []

    def new_page(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1366, "height": 657}, **options})
        contexts.append(context)
        context.set_default_timeout(1000 * SECONDS)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Policy" in line.text else None)
        page.on("request", lambda request: requested.append(request.url))
        page.goto(service.url + path)
        return page

    yield new_page
    for context in contexts:
        context.close()
    assert not errors
    assert all(url.startswith((service.url, "data:", "blob:")) for url in requested)


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()
