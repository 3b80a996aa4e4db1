"""Many requests for the same source."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest
from flask import Flask
from gateway_testing.image_server import ImageServer, answer
from gateway_testing.waiting import wait_for
from werkzeug.test import TestResponse

from gateway import fetcher


class Hold:
    """A route that answers nothing until it is released, and counts the requests it holds."""

    def __init__(self, image: bytes) -> None:
        self._image = image
        self._lock = threading.Lock()
        self._release = threading.Event()
        self.current = self.most = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.current += 1
            self.most = max(self.most, self.current)
        self._release.wait()
        with self._lock:
            self.current -= 1
        answer(handler, self._image)

    def release(self) -> None:
        self._release.set()


@pytest.fixture
def hold(outside: ImageServer, jpeg: bytes) -> Iterator[Hold]:
    hold = Hold(jpeg)
    outside.routes["/slow"] = hold
    yield hold
    hold.release()


def send(app: Flask, url: str) -> TestResponse:
    return app.test_client().post("/predict", json={"url": url})


def test_24_downloads_from_one_source_are_limited(
    app: Flask, outside: ImageServer, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "SOURCE_WAIT", 20.0)
    gateway = app.extensions["gateway"]
    url = outside.url("/slow", "public.example")
    with ThreadPoolExecutor(14) as pool:
        responses = [pool.submit(send, app, url) for _ in range(14)]
        waiting = gateway.classifier.fetcher._source_limit._waiting
        try:
            wait_for(lambda: hold.current == 8 and sum(map(len, list(waiting.values()))) == 6)
        finally:
            hold.release()
        assert [response.result().status_code for response in responses] == [200] * 14
    assert hold.most == gateway.settings.max_per_source == 8
    assert all("sports-gateway" in headers["User-Agent"] for _, headers in outside.requests)


def test_25_slow_urls_do_not_block_other_requests(
    app: Flask, outside: ImageServer, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "SOURCE_WAIT", 0.5)
    with ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(send, app, outside.url("/slow")) for _ in range(100)]
        try:
            wait_for(lambda: hold.current == 8)
            assert app.test_client().get("/healthz").status_code == 200
            wait_for(lambda: sum(future.done() for future in futures) == 92)
        finally:
            hold.release()
        responses = [future.result() for future in futures]
    refused = [response for response in responses if response.status_code == 429]
    assert len(refused) == 92
    assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
