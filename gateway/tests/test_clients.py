"""API keys and rate limits."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for
from werkzeug.test import TestResponse

NewClient = Callable[..., FlaskClient]
LIMIT = {"rate_limit": "2/hour"}


@pytest.fixture
def protected(new_client: NewClient) -> FlaskClient:
    return new_client(api_keys=("key-1", "zwö"))


def post(client: FlaskClient, jpeg: bytes, **options: Any) -> TestResponse:
    return client.post("/predict", data=jpeg, content_type="image/jpeg", **options)


def title(response: TestResponse) -> str:
    assert response.json is not None
    return str(response.json["title"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer key-1"},
        {"Authorization": "bearer  key-1"},
        {"X-API-Key": "key-1"},
        {"X-API-Key": "zwö".encode().decode("latin-1")},  # as UTF-8 arrives
    ],
)
def test_a_key_is_accepted(protected: FlaskClient, jpeg: bytes, headers: dict[str, str]) -> None:
    assert post(protected, jpeg, headers=headers).json == "cricket"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer key"},
        {"Authorization": "Bearer key-1,zwö"},
        {"Authorization": "Basic key-1"},
        {"Authorization": "Bearer \xff"},
        {"X-API-Key": ""},
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/v1/predictions"])
def test_a_request_without_a_key_is_unauthorized(
    protected: FlaskClient, jpeg: bytes, path: str, headers: dict[str, str]
) -> None:
    response = protected.post(path, data=jpeg, content_type="image/jpeg", headers=headers)
    assert (response.status_code, title(response)) == (401, "Unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "key-1" not in response.text


def test_metrics_require_a_key_and_probes_do_not(protected: FlaskClient) -> None:
    assert protected.get("/metrics").status_code == 401
    for path in ("/ping", "/healthz", "/readyz"):
        assert protected.get(path).status_code != 401


def test_answers_say_what_is_left_of_the_rate(new_client: NewClient, jpeg: bytes) -> None:
    client = new_client(**LIMIT)
    assert "RateLimit" not in client.get("/ping").headers
    for left in ("1", "0", "0"):
        headers = post(client, jpeg).headers
        assert headers["RateLimit-Policy"] == '"client";q=2;w=3600'
        assert re.fullmatch(rf'"client";r={left};t=3[56]\d\d', headers["RateLimit"])
    assert "RateLimit" not in post(new_client(), jpeg).headers


def test_requests_over_the_rate_are_refused(new_client: NewClient, jpeg: bytes) -> None:
    client = new_client(**LIMIT)
    assert [post(client, jpeg).status_code for _ in range(3)] == [200, 200, 429]
    response = post(client, jpeg)
    assert title(response) == "Too many requests"
    assert 3000 < int(response.headers["Retry-After"]) <= 3600
    assert client.get("/healthz").status_code == 200


def test_clients_are_distinguished_by_address(new_client: NewClient, jpeg: bytes) -> None:
    client = new_client(**LIMIT)

    def statuses(*addresses: str) -> list[int]:
        return [
            post(client, jpeg, environ_base={"REMOTE_ADDR": address}).status_code
            for address in addresses
        ]

    assert statuses(*["192.0.2.1"] * 3, "192.0.2.2") == [200, 200, 429, 200]
    same_customer = ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"]
    assert statuses(*same_customer, "2001:db8:0:2::1") == [200, 200, 429, 200]
    assert statuses(*["unix:"] * 3) == [200, 200, 429]


def test_clients_are_distinguished_by_key(new_client: NewClient, jpeg: bytes) -> None:
    client = new_client(**LIMIT, api_keys=("key-1", "key-2"))
    keys = ["key-1", "key-1", "key-1", "key-2"]
    statuses = [post(client, jpeg, headers={"X-API-Key": key}).status_code for key in keys]
    assert statuses == [200, 200, 429, 200]


@pytest.mark.parametrize(("proxies", "expected"), [(0, [200, 200, 429]), (1, [200, 200, 200])])
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    new_client: NewClient, jpeg: bytes, proxies: int, expected: list[int]
) -> None:
    client = new_client(**LIMIT, trusted_proxies=proxies)
    statuses = [
        post(client, jpeg, headers={"X-Forwarded-For": f"10.0.0.1, 192.0.2.{n}"}).status_code
        for n in range(3)
    ]
    assert statuses == expected


def test_requests_are_admitted_while_the_storage_fails(
    new_client: NewClient,
    jpeg: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = new_client(**LIMIT)

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError

    gateway = client.application.extensions["gateway"]
    monkeypatch.setattr(gateway.clients._limiter, "hit", fail)
    assert post(client, jpeg).json == "cricket"
    assert "storage is unreachable" in caplog.text


def test_an_unknown_storage_stops_the_start(new_client: NewClient) -> None:
    with pytest.raises(ValueError, match="GATEWAY_RATE_LIMIT_STORAGE"):
        new_client(**LIMIT, rate_limit_storage="nothing://")


@pytest.fixture
def redis() -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.skip("needs redis-server")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: listens(port))
            yield f"redis://localhost:{port}"
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def test_redis_counts_for_all_workers(new_client: NewClient, jpeg: bytes, redis: str) -> None:
    clients = [new_client(**LIMIT, rate_limit_storage=redis) for _ in range(3)]
    assert [post(client, jpeg).status_code for client in clients] == [200, 200, 429]


def test_requests_are_admitted_while_redis_is_unreachable(
    new_client: NewClient, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = f"redis://localhost:{free_port()}"
    assert post(new_client(**LIMIT, rate_limit_storage=nowhere), jpeg).json == "cricket"
    assert "storage is unreachable" in caplog.text
