"""Slow, broken and hostile clients against a real gunicorn."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import Service, gateway

PLACES = 2
THREADS = PLACES + 8


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    settings = {"GATEWAY_MAX_IN_FLIGHT": str(PLACES), "GATEWAY_REQUEST_TIMEOUT": "3"}
    with gateway(serving.host, GATEWAY_FETCH_TIMEOUT="2", **settings) as service:
        yield service
    serving.stop()


@contextlib.contextmanager
def connections(service: Service, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Clients that say as much and then nothing."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", service.port), timeout=20)
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


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


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
def test_slow_clients_hold_no_thread(service: Service, jpeg: bytes, sent: bytes) -> None:
    with connections(service, 4 * THREADS, sent):
        answer = requests.get(f"{service.url}/healthz", timeout=10)
        assert answer.status_code == 200
        image = {"Content-Type": "image/jpeg"}
        answer = requests.post(f"{service.url}/predict", jpeg, headers=image, timeout=10)
        assert answer.json() == "cricket"


def test_large_bodies_that_never_come_are_given_up(service: Service, jpeg: bytes) -> None:
    with connections(service, PLACES, HEAD + b"Content-Length: 5000000\r\n\r\n" + bytes(70_000)):
        time.sleep(0.5)
        image = {"Content-Type": "image/jpeg"}
        answer = requests.post(f"{service.url}/predict", jpeg, headers=image, timeout=10)
        assert answer.status_code == 429
        assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
        deadline = time.monotonic() + 20
        while answer.status_code == 429 and time.monotonic() < deadline:
            time.sleep(0.2)
            answer = requests.post(f"{service.url}/predict", jpeg, headers=image, timeout=10)
        assert answer.json() == "cricket"


def test_a_head_byte_by_byte_is_understood(service: Service) -> None:
    with connections(service, 1, b"") as [client]:
        for byte in b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n":
            client.sendall(bytes([byte]))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_body_in_pieces_is_understood(service: Service, jpeg: bytes) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(jpeg)
    with connections(service, 1, head) as [client]:
        for start in range(0, len(jpeg), 1000):
            client.sendall(jpeg[start : start + 1000])
            time.sleep(0.001)
        receive(client, b"cricket")


def test_a_chunked_body_is_understood(service: Service, jpeg: bytes) -> None:
    pieces = (jpeg[start : start + 1000] for start in range(0, len(jpeg), 1000))
    image = {"Content-Type": "image/jpeg"}
    answer = requests.post(f"{service.url}/predict", pieces, headers=image, timeout=10)
    assert answer.json() == "cricket"


def test_two_requests_in_one_packet(service: Service) -> None:
    request = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connections(service, 1, request * 2) as [client]:
        receive(client, b"pong", 2)
        client.sendall(request)  # and the connection can still be used
        receive(client, b"pong")


def test_a_client_that_announces_its_body_is_told_to_go_on(service: Service, jpeg: bytes) -> None:
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
def test_what_is_no_request_gets_a_problem(service: Service, sent: bytes, status: int) -> None:
    got, headers, body = exchange(service, sent)
    assert got == status
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"]


def test_a_client_that_leaves_early_costs_nothing(service: Service) -> None:
    for sent in (b"", b"GET /he", HEAD + b"Content-Length: 5000\r\n\r\n" + bytes(100)):
        with connections(service, 50, sent):
            pass
    assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
