"""Requests for which no slot is free."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from gateway_testing.fake_serving import FakeServing
from gateway_testing.metrics import parse
from gateway_testing.raw_clients import PING, POST, connections, read_answer
from gateway_testing.service import Service, gateway
from gateway_testing.waiting import wait_for

from gateway.client_connection import Phase
from gateway.connection_table import ConnectionTable, Limits
from gateway.request_line import RequestLine

SLOTS, MOST = 2, 3


class Connection:
    """What the line knows of a connection."""

    phase: Phase | None = None
    deadline = 0.0
    held = 0
    request: Any = None
    retry_at = -math.inf


@pytest.fixture
def line() -> RequestLine:
    limits = Limits(10, dict.fromkeys(Phase, 10.0), 10, 10, SLOTS, MOST, 1)
    return RequestLine(ConnectionTable(limits), SLOTS, MOST)


def joined(line: RequestLine, count: int, retry_at: float = -math.inf) -> list[Any]:
    found: list[Any] = [Connection() for _ in range(count)]
    for each in found:
        each.retry_at = retry_at
        assert line.join(each, each)
    return found


def serve(line: RequestLine) -> Any:
    connection = line.next()
    if connection:
        line.serve(connection)
        line._table.enter(connection, Phase.WORKING)
    return connection


def test_first_come_first_served(line: RequestLine) -> None:
    first, second, third = joined(line, 3)
    assert [serve(line), serve(line), serve(line)] == [first, second, None]
    line.leave(first)
    assert serve(line) == third


def test_who_comes_back_too_soon_comes_last(line: RequestLine) -> None:
    [early] = joined(line, 1, retry_at=math.inf)
    [late] = joined(line, 1, retry_at=time.monotonic())
    assert [serve(line), serve(line)] == [late, early]


def test_who_comes_back_too_soon_takes_nobodys_place(line: RequestLine) -> None:
    joined(line, MOST, retry_at=math.inf)
    early: Any = Connection()
    early.retry_at = math.inf
    assert not line.join(early, early)
    joined(line, MOST)
    other: Any = Connection()
    assert not line.join(other, other)


@pytest.fixture(scope="module")
def serving() -> Iterator[FakeServing]:
    serving = FakeServing()
    yield serving
    serving.stop()


@pytest.fixture
def busy(service: Service, serving: FakeServing, post: bytes) -> Iterator[Service]:
    """A service whose only slot is used."""
    serving.requests.clear()
    serving.answering.clear()
    with connections(service, 1, post) as [client]:
        wait_for(lambda: serving.requests)
        yield service
        serving.answering.set()
        assert read_answer(client)[0] == 200


@pytest.fixture(scope="module")
def service(serving: FakeServing) -> Iterator[Service]:
    settings: dict[str, Any] = {"GATEWAY_MAX_IN_FLIGHT": "1", "GATEWAY_REQUEST_TIMEOUT": "200"}
    with gateway(serving.host, **settings) as service:
        yield service


@pytest.fixture
def post(jpeg: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n%s" % (len(jpeg), jpeg)


def test_a_request_waits_for_a_slot(busy: Service, serving: FakeServing, post: bytes) -> None:
    with connections(busy, 1, post) as [client]:
        assert requests.get(f"{busy.url}/healthz", timeout=60).ok
        serving.answering.set()
        assert read_answer(client)[0] == 200


def test_a_request_that_has_waited_in_vain_is_refused(busy: Service, post: bytes) -> None:
    with connections(busy, 1, post) as [client]:
        status, headers, body = read_answer(client)
        assert (status, headers["retry-after"]) == (429, "1")
        assert b"too-many-requests" in body
        client.sendall(PING)
        assert read_answer(client)[2] == b"pong"
    metrics = parse(requests.get(f"{busy.url}/metrics", timeout=60).text)
    assert metrics['gateway_requests_total{endpoint="none",status="429"}'] >= 1
