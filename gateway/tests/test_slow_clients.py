"""Clients that do little and hold what they can, while others are answered."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_testing.fake_serving import FakeServing
from gateway_testing.raw_clients import (
    CHUNKED,
    PING,
    POST,
    connections,
    is_closed,
    is_healthy,
    read_answer,
)
from gateway_testing.service import Service, gateway

CLIENTS = 100
LONG = "200"  # seconds: longer than a test waits for an answer
SHORT = "3"
LARGE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"

pytestmark = pytest.mark.timeout(240)


@contextlib.contextmanager
def service_with(request_timeout: str) -> Iterator[Service]:
    serving = FakeServing()
    settings: dict[str, Any] = {
        "GATEWAY_MAX_IN_FLIGHT": "2",
        "GATEWAY_REQUEST_TIMEOUT": request_timeout,
        "GATEWAY_FETCH_TIMEOUT": "2",
    }
    with gateway(serving.host, **settings) as service:
        yield service
    serving.stop()


@pytest.fixture(scope="module")
def patient() -> Iterator[Service]:
    """Gives nobody up while a test runs."""
    with service_with(LONG) as service:
        yield service


@pytest.fixture(scope="module")
def impatient() -> Iterator[Service]:
    with service_with(SHORT) as service:
        yield service


FORMS = {
    "nothing": b"",
    "a word": b"GET",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: local",
    "a head without an end": b"GET /ping HTTP/1.1\r\nA: " + b"a" * 50_000,
    "most of a body": POST + b"Content-Length: 5000\r\n\r\n" + bytes(4999),
    "none of a large body": POST + b"Content-Length: 5000000\r\n\r\n",
    "a part of a large body": POST + b"Content-Length: 5000000\r\n\r\n" + bytes(70_000),
    "no chunk": CHUNKED + b"\r\n",
    "a part of a chunk": CHUNKED + b"\r\n100\r\n" + bytes(200),
    "a chunk-size line without an end": CHUNKED + b"\r\n5;" + b"a" * 200,
    "trailers without an end": CHUNKED + b"\r\n0\r\nA: a\r\n",
    "a body that has to be asked for": POST + b"Expect: 100-continue\r\nContent-Length: 50\r\n\r\n",
    "chunks that have to be asked for": CHUNKED + b"Expect: 100-continue\r\n\r\n",
    "a last request": PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "an HTTP/1.0 request": b"GET /ping HTTP/1.0\r\n\r\n",
    "a bad version": b"GET /ping HTTP/3.7\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "requests for small answers": PING * 1500,
    "requests for large answers": LARGE * 10,
}


@pytest.mark.parametrize("sent", FORMS.values(), ids=FORMS)
def test_slow_clients_hold_up_nobody(patient: Service, jpeg: bytes, sent: bytes) -> None:
    with connections(patient, CLIENTS, sent):
        assert is_healthy(patient, jpeg)


def test_clients_that_have_sent_everything_are_answered(patient: Service) -> None:
    with connections(patient, 1, PING) as [client]:
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client)[0] == 200


@pytest.mark.parametrize(
    "form",
    ["most of a body", "none of a large body", "no chunk", "trailers without an end"],
)
def test_a_body_that_never_comes_is_a_408(impatient: Service, form: str) -> None:
    with connections(impatient, 1, FORMS[form]) as [client]:
        assert read_answer(client)[0] == 408
        assert is_closed(client)


def test_a_head_that_never_comes_is_a_408(impatient: Service) -> None:
    with connections(impatient, 1, FORMS["half a head"]) as [client]:
        assert read_answer(client)[0] == 408


@pytest.mark.parametrize("form", ["half a head", "most of a body", "no chunk"])
def test_a_request_that_breaks_off_is_a_400(patient: Service, form: str) -> None:
    with connections(patient, 1, FORMS[form]) as [client]:
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client)[0] == 400


@pytest.mark.parametrize("form", ["nothing", "a last request", "a bad version"])
def test_a_connection_is_closed_even_if_the_client_does_not(impatient: Service, form: str) -> None:
    with connections(impatient, 1, FORMS[form]) as [client]:
        assert is_closed(client)


def test_a_client_that_does_not_take_its_answer_is_given_up(impatient: Service) -> None:
    with connections(impatient, 1, FORMS["requests for large answers"]) as [client]:
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := client.recv(1):  # so slowly that it takes hours
                received += chunk
        assert received


def test_clients_that_leave_early_cost_nothing(patient: Service, jpeg: bytes) -> None:
    for form in ("nothing", "half a head", "most of a body", "requests for large answers"):
        with connections(patient, 50, FORMS[form]):
            pass
    assert is_healthy(patient, jpeg)
