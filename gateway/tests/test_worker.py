"""Slow, broken and hostile clients of a real gunicorn."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway, predict
from gateway_testing.waiting import wait_for

SLOTS = 2
THREADS = SLOTS + 8

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    settings: dict[str, Any] = {
        "GATEWAY_MAX_IN_FLIGHT": str(SLOTS),
        "GATEWAY_REQUEST_TIMEOUT": "5",
        "GATEWAY_FETCH_TIMEOUT": "4",
    }
    with gateway(serving.host, **settings) as service:
        yield service
    serving.stop()


@contextlib.contextmanager
def connections(service: Service, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Clients that send this and then nothing."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", service.port), timeout=60)
            clients.append(stack.enter_context(contextlib.closing(client)))
            client.sendall(sent)
        yield clients


def exchange(service: Service, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    with connections(service, 1, sent) as [client], client.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, file.read(int(headers["content-length"]))


def receive(client: socket.socket, text: bytes, times: int = 1) -> None:
    """Read until the text has come that often."""
    received = b""
    while received.count(text) < times:
        chunk = client.recv(4096)
        assert chunk, received
        received += chunk


def is_answered(service: Service, jpeg: bytes) -> bool:
    answer = predict(service, jpeg)
    return answer.status_code == 200 and bool(answer.json() == "cricket")


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"GET /healthz HTTP/1.1\r\nHost: local",
        HEAD + b"Content-Length: 5000\r\n\r\n" + bytes(4999),
        HEAD + b"Content-Length: 5000000\r\n\r\n",
    ],
    ids=["nothing", "a word", "half a head", "most of a body", "none of a large body"],
)
def test_slow_clients_occupy_no_thread(service: Service, jpeg: bytes, sent: bytes) -> None:
    with connections(service, 4 * THREADS, sent):
        answer = requests.get(f"{service.url}/healthz", timeout=60)
        assert answer.status_code == 200
        assert is_answered(service, jpeg)


def test_large_bodies_that_never_come_time_out(service: Service, jpeg: bytes) -> None:
    incomplete = HEAD + b"Content-Length: 5000000\r\n\r\n" + bytes(70_000)
    with contextlib.ExitStack() as clients:

        def is_refused() -> bool:
            """Whether there is no free slot, after one more incomplete body."""
            clients.enter_context(connections(service, 1, incomplete))
            return predict(service, jpeg).status_code == 429

        wait_for(is_refused)
        assert requests.get(f"{service.url}/healthz", timeout=60).status_code == 200
        wait_for(lambda: is_answered(service, jpeg))


def test_a_head_is_received_byte_by_byte(service: Service) -> None:
    with connections(service, 1, b"") as [client]:
        for byte in PING:
            client.sendall(bytes([byte]))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_body_is_received_in_pieces(service: Service, jpeg: bytes) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(jpeg)
    with connections(service, 1, head) as [client]:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(jpeg), 1000):
            client.sendall(jpeg[start : start + 1000])
        receive(client, b"cricket")


def test_a_chunked_body_is_received(service: Service, jpeg: bytes) -> None:
    chunks = (jpeg[start : start + 1000] for start in range(0, len(jpeg), 1000))
    image = {"Content-Type": "image/jpeg"}
    answer = requests.post(f"{service.url}/predict", chunks, headers=image, timeout=60)
    assert answer.json() == "cricket"


def test_two_requests_in_one_packet_are_answered(service: Service) -> None:
    with connections(service, 1, PING * 2) as [client]:
        receive(client, b"pong", 2)
        client.sendall(PING)  # and the connection can still be used
        receive(client, b"pong")


def test_an_announced_body_is_asked_for(service: Service, jpeg: bytes) -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
    with connections(service, 1, head) as [client]:
        assert client.recv(4096).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(jpeg)
        receive(client, b"cricket")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 200_000, 431),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: -5\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: " + b"5" * 8000 + b"\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: nonsense\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
    ],
)
def test_an_invalid_request_gets_a_problem(service: Service, sent: bytes, status: int) -> None:
    got, headers, body = exchange(service, sent)
    assert got == status
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"]


def test_clients_that_leave_early_cost_nothing(service: Service) -> None:
    for sent in (b"", b"GET /he", HEAD + b"Content-Length: 5000\r\n\r\n" + bytes(100)):
        with connections(service, 50, sent):
            pass
    assert requests.get(f"{service.url}/healthz", timeout=60).status_code == 200
