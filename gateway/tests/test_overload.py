"""500 requests for images that never come, and health checks meanwhile."""

import contextlib
import json
import socket
import time
from typing import Any

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer, drip
from gateway_testing.service import gateway

SLOW = 500
WORKERS = 2


@pytest.mark.timeout(240)
def test_health_checks_are_answered_while_500_slow_urls_are_fetched(
    serving: FakeServing, image_server: ImageServer, capsys: pytest.CaptureFixture[str]
) -> None:
    image_server.routes["/slow"] = drip
    settings: dict[str, Any] = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
        "GATEWAY_FETCH_TIMEOUT": "3",
    }
    body = json.dumps({"url": image_server.url("/slow")}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(gateway(serving.host, workers=WORKERS, **settings))
        clients = []
        for _ in range(SLOW):
            client = socket.create_connection(("127.0.0.1", service.port), timeout=60)
            clients.append(stack.enter_context(contextlib.closing(client)))
            client.sendall(head + body)
        seconds = []
        for _ in range(200):
            started = time.perf_counter()
            assert requests.get(f"{service.url}/healthz", timeout=60).status_code == 200
            seconds.append(time.perf_counter() - started)
        statuses = [int(client.recv(4096).split()[1]) for client in clients]
    slowest = sorted(seconds)[-2]
    refused = statuses.count(429)
    with capsys.disabled():
        print(f"\n{refused} of {SLOW} refused; health checks: p99 {1000 * slowest:.0f} ms")
    assert set(statuses) == {429, 504}
    assert refused >= SLOW - 200  # slots in both workers, each used a few times
