"""What a real gunicorn with our worker makes of requests, valid and not."""

import json
import socket
from collections.abc import Iterator

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.raw_clients import (
    CHUNKED,
    PING,
    POST,
    connections,
    exchange,
    is_closed,
    read_answer,
    receive,
)
from gateway_testing.service import Service, gateway

LIMIT = 1_000_000  # bytes of a body

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    serving = FakeServing()
    with gateway(serving.host, GATEWAY_MAX_BODY_BYTES=str(LIMIT)) as service:
        yield service
    serving.stop()


def test_a_head_is_received_byte_by_byte(service: Service) -> None:
    with connections(service, 1, b"") as [client]:
        for byte in PING:
            client.sendall(bytes([byte]))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_body_is_received_in_pieces(service: Service, jpeg: bytes) -> None:
    head = POST + b"Content-Length: %d\r\n\r\n" % len(jpeg)
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
    head = POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
    with connections(service, 1, head) as [client]:
        assert client.recv(4096).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(jpeg)
        receive(client, b"cricket")


def test_many_requests_sent_ahead_are_answered(service: Service) -> None:
    with connections(service, 1, PING * 200) as [client]:
        receive(client, b"pong", 200)


def test_a_request_sent_ahead_with_a_body_is_answered(service: Service, jpeg: bytes) -> None:
    head = POST + b"Content-Length: %d\r\n\r\n" % len(jpeg)
    with connections(service, 1, PING + head + jpeg + PING) as [client]:
        received = receive(client, b"pong", 2)
        assert received.count(b"cricket") == 1


def test_chunks_of_any_kind_are_received(service: Service, jpeg: bytes) -> None:
    middle = len(jpeg) // 2
    pieces = b"%x;a=b\r\n%s\r\n%X\r\n%s\r\n0\r\nA: b\r\n\r\n" % (
        *(middle, jpeg[:middle]),
        *(len(jpeg) - middle, jpeg[middle:]),
    )
    with connections(service, 1, CHUNKED + b"\r\n" + pieces + PING) as [client]:
        received = receive(client, b"pong")
        assert b"cricket" in received


def test_http_1_0_needs_no_host_and_closes(service: Service) -> None:
    with connections(service, 1, b"GET /ping HTTP/1.0\r\n\r\n") as [client]:
        assert read_answer(client)[0] == 200
        assert is_closed(client)


def test_http_1_0_can_keep_its_connection(service: Service) -> None:
    request = b"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with connections(service, 1, request) as [client]:
        assert read_answer(client)[1]["connection"] == "keep-alive"
        client.sendall(request)
        assert read_answer(client)[0] == 200


def test_a_last_request_is_answered_and_its_connection_closed(service: Service) -> None:
    last = PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with connections(service, 1, last + PING) as [client]:
        assert read_answer(client)[1]["connection"] == "close"
        assert is_closed(client)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: %d\r\n\r\n" % (LIMIT + 1),
        b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (LIMIT + 1),
        b"Transfer-Encoding: chunked\r\n\r\n40000000\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    ],
    ids=["declared", "asked for", "a chunk of 1 GB", "a chunk of 16 EB"],
)
def test_a_body_over_the_limit_is_refused_before_it_comes(service: Service, body: bytes) -> None:
    status, headers, text = exchange(service, POST + body)
    assert (status, json.loads(text)["title"]) == (413, "Request too large")
    assert headers["connection"] == "close"


def test_a_body_over_the_limit_may_be_sent_all_the_same(service: Service) -> None:
    """The answer is not lost by a reset."""
    image = {"Content-Type": "image/jpeg"}
    answer = requests.post(f"{service.url}/predict", bytes(3 * LIMIT), headers=image, timeout=60)
    assert answer.status_code == 413


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
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        (b"\r\n\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (POST + b"Expect: nonsense\r\n\r\n", 417),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Content-Length: -5\r\n\r\nhello", 400),
        (POST + b"Content-Length: " + b"5" * 8000 + b"\r\n\r\nhello", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: nonsense\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\nnonsense\r\n", 400),
        (CHUNKED + b"\r\n" + b"0" * 2000, 400),
        (CHUNKED + b"\r\n5;" + b"a" * 2000, 400),
        (CHUNKED + b"\r\n5\nhello\n", 400),
        (CHUNKED + b"\r\n5\r\nhello!\r\n", 400),
        (CHUNKED + b"\r\n0\r\nHost: b\r\n\r\n", 400),
        (CHUNKED + b"\r\n0\r\nA: b\n", 400),
        (CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 2000, 431),
        (CHUNKED + b"\r\n" + b"1\r\na\r\n" * 5000, 400),
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
