import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
import run_local
from flask import Flask
from flask.testing import FlaskClient

from gateway import create_app
from gateway.config import Settings


@pytest.fixture
def keyed(settings: Settings) -> Iterator[FlaskClient]:
    app = create_app(replace(settings, api_keys=("key-1", "zwö")))
    yield app.test_client()
    app.extensions["gateway"].classifier.model.close()


def limited(settings: Settings, **changes: object) -> Flask:
    return create_app(replace(settings, rate_limit="2/hour", **changes))


def post(client: FlaskClient, jpeg: bytes, **options: object):
    return client.post("/predict", data=jpeg, content_type="image/jpeg", **options)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer key-1"},
        {"Authorization": "bearer  key-1"},
        {"X-API-Key": "key-1"},
        {"X-API-Key": "zwö".encode().decode("latin-1")},  # as UTF-8 arrives
    ],
)
def test_a_key_opens(keyed: FlaskClient, jpeg: bytes, headers: dict) -> None:
    assert post(keyed, jpeg, headers=headers).json == "cricket"


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
def test_without_one_it_stays_closed(
    keyed: FlaskClient, jpeg: bytes, path: str, headers: dict
) -> None:
    response = keyed.post(path, data=jpeg, content_type="image/jpeg", headers=headers)
    assert (response.status_code, response.json["title"]) == (401, "Unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "key-1" not in response.text


def test_what_a_key_guards(keyed: FlaskClient) -> None:
    assert keyed.get("/metrics").status_code == 401
    for path in ("/ping", "/healthz", "/readyz"):
        assert keyed.get(path).status_code == 200


def test_a_rate_limit(settings: Settings, jpeg: bytes) -> None:
    client = limited(settings).test_client()
    assert [post(client, jpeg).status_code for _ in range(3)] == [200, 200, 429]
    response = post(client, jpeg)
    assert response.json["title"] == "Too many requests"
    assert 3000 < int(response.headers["Retry-After"]) <= 3600
    assert client.get("/healthz").status_code == 200


def test_clients_are_told_apart_by_address(settings: Settings, jpeg: bytes) -> None:
    client = limited(settings).test_client()

    def statuses(*addresses: str) -> list[int]:
        return [
            post(client, jpeg, environ_base={"REMOTE_ADDR": address}).status_code
            for address in addresses
        ]

    assert statuses(*["192.0.2.1"] * 3, "192.0.2.2") == [200, 200, 429, 200]
    same_customer = ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"]
    assert statuses(*same_customer, "2001:db8:0:2::1") == [200, 200, 429, 200]


def test_and_by_key(settings: Settings, jpeg: bytes) -> None:
    client = limited(settings, api_keys=("key-1", "key-2")).test_client()
    keys = ["key-1", "key-1", "key-1", "key-2"]
    statuses = [post(client, jpeg, headers={"X-API-Key": key}).status_code for key in keys]
    assert statuses == [200, 200, 429, 200]


@pytest.mark.parametrize(("proxies", "expected"), [(0, [200, 200, 429]), (1, [200, 200, 200])])
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    settings: Settings, jpeg: bytes, proxies: int, expected: list[int]
) -> None:
    client = limited(settings, trusted_proxies=proxies).test_client()
    statuses = [
        post(client, jpeg, headers={"X-Forwarded-For": f"10.0.0.1, 192.0.2.{n}"}).status_code
        for n in range(3)
    ]
    assert statuses == expected


def test_a_counter_that_is_away_lets_requests_through(
    settings: Settings, jpeg: bytes, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    app = limited(settings)

    def away(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(app.extensions["gateway"].clients._limiter, "hit", away)
    assert post(app.test_client(), jpeg).json == "cricket"
    assert "storage is away" in caplog.text


def test_a_storage_that_does_not_exist_stops_the_start(settings: Settings) -> None:
    with pytest.raises(ValueError, match="GATEWAY_RATE_LIMIT_STORAGE"):
        limited(settings, rate_limit_storage="nothing://")


@pytest.fixture
def redis() -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.skip("needs redis-server")
    port = run_local.free_port()
    command = ["redis-server", "--port", str(port), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield f"redis://localhost:{port}"
        process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def test_redis_counts_for_all_workers(
    settings: Settings, jpeg: bytes, redis: str, wait_for
) -> None:
    clients = [limited(settings, rate_limit_storage=redis).test_client() for _ in range(3)]
    wait_for(lambda: listens(int(redis.split(":")[-1])))
    assert [post(client, jpeg).status_code for client in clients] == [200, 200, 429]


def test_a_redis_that_is_away(settings: Settings, jpeg: bytes, caplog) -> None:
    nowhere = f"redis://localhost:{run_local.free_port()}"
    assert post(limited(settings, rate_limit_storage=nowhere).test_client(), jpeg).json == "cricket"
    assert "storage is away" in caplog.text
