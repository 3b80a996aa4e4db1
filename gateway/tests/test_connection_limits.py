"""More connections than there are files; more bodies and answers than there is memory for."""

import contextlib
import json
import math
import resource
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import run_local
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer, drip
from gateway_testing.raw_clients import (
    PING,
    POST,
    connections,
    is_closed,
    is_healthy,
    read_answer,
    receive,
)
from gateway_testing.service import Service, starting_gateway

from gateway.client_connection import Phase
from gateway.connection_table import SMALL, ConnectionTable, Limits

FILES = 400  # of them 256 are not for clients
IDLE = 600
MEGABYTE = 1_000_000
LARGE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"  # 1.5 MB

pytestmark = pytest.mark.timeout(240)


@contextlib.contextmanager
def service_with(image_server: ImageServer, request_timeout: str = "200") -> Iterator[Service]:
    """One worker with few files, and 32 MB for requests and answers."""
    serving = FakeServing()
    settings: dict[str, Any] = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
        "GATEWAY_MAX_IN_FLIGHT": "4",
        "GATEWAY_FETCH_TIMEOUT": "4",
        "GATEWAY_REQUEST_TIMEOUT": request_timeout,
    }
    with starting_gateway(serving.host, **settings) as service:
        master = psutil.Process(service.process.pid)
        master.rlimit(psutil.RLIMIT_NOFILE, (FILES // 2, FILES))
        run_local.wait_until_ready(service.url, {"gateway": service.process})
        yield service
    serving.stop()


def worker(service: Service) -> psutil.Process:
    [process] = psutil.Process(service.process.pid).children()
    return process


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[0] < IDLE + 200, reason="needs more open files"
)
def test_more_connections_than_files_end_no_worker(image_server: ImageServer, jpeg: bytes) -> None:
    image_server.routes["/slow"] = drip
    body = json.dumps({"url": image_server.url("/slow")}).encode()
    with service_with(image_server) as service:
        pid = worker(service).pid
        head = POST.replace(b"image/jpeg", b"application/json")
        sent = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        with connections(service, 2, sent) as working, connections(service, IDLE, b"GET") as idle:
            assert is_healthy(service, jpeg)
            assert {read_answer(client)[0] for client in working} == {504}
            assert is_closed(idle[0])
        assert worker(service).pid == pid


def test_large_bodies_share_the_memory(image_server: ImageServer, jpeg: bytes) -> None:
    """The oldest are given up, so that the newest can be sent."""
    half = POST + b"Content-Length: 4000000\r\n\r\n" + bytes(2 * MEGABYTE)
    with service_with(image_server) as service:
        before = worker(service).memory_info().rss
        with connections(service, 40, half) as clients:
            status, headers, _ = read_answer(clients[0])
            assert (status, headers["retry-after"]) == (429, "1")
            assert is_healthy(service, jpeg)
            clients[-1].sendall(bytes(2 * MEGABYTE))
            assert read_answer(clients[-1])[0] == 415
            assert worker(service).memory_info().rss < before + 100 * MEGABYTE


def test_large_answers_share_the_memory(image_server: ImageServer, jpeg: bytes) -> None:
    with service_with(image_server) as service:
        before = worker(service).memory_info().rss
        with connections(service, 100, LARGE) as clients:
            assert is_healthy(service, jpeg)
            assert is_closed(clients[0])
            assert worker(service).memory_info().rss < before + 100 * MEGABYTE


def test_slow_clients_do_not_delay_the_end(image_server: ImageServer) -> None:
    with (
        service_with(image_server, request_timeout="5") as service,
        contextlib.ExitStack() as stack,
    ):
        for sent in (b"", b"GET", POST + b"Content-Length: 5\r\n\r\n", LARGE * 5):
            stack.enter_context(connections(service, 20, sent))
        [kept] = stack.enter_context(connections(service, 1, PING))
        receive(kept, b"pong")
        service.process.terminate()
        assert service.process.wait(60) == 0
        assert is_closed(kept)


class Connection:
    """What the table knows of a connection."""

    phase: Phase | None = None
    deadline = 0.0
    held = 0


@pytest.fixture
def table() -> ConnectionTable:
    seconds = {phase: math.inf if phase is Phase.WORKING else 10.0 for phase in Phase}
    return ConnectionTable(Limits(10, seconds, 10 * SMALL, MEGABYTE, 4, 5, 1))


def entered(table: ConnectionTable, phase: Phase, count: int, held: int = 0) -> list[Any]:
    connections: list[Any] = [Connection() for _ in range(count)]
    for each in connections:
        table.enter(each, phase)
        table.hold(each, held)
    return connections


def test_the_oldest_of_the_commonest_phase_makes_room(table: ConnectionTable) -> None:
    entered(table, Phase.BODY, 2)
    heads = entered(table, Phase.HEAD, 3)
    entered(table, Phase.WORKING, 5)
    assert table.dispensable() == heads[0]
    table.enter(heads[0], Phase.WORKING)
    assert table.dispensable() is not heads[0]


def test_no_connection_that_is_worked_on_makes_room(table: ConnectionTable) -> None:
    entered(table, Phase.WORKING, 5)
    assert table.dispensable() is None


def test_the_oldest_large_body_or_answer_makes_room(table: ConnectionTable) -> None:
    entered(table, Phase.BODY, 20, SMALL // 10)
    bodies = entered(table, Phase.BODY, 2, 3 * SMALL)
    assert table.too_large() is None
    answers = entered(table, Phase.SENDING, 2, 4 * SMALL)
    assert table.too_large() == answers[0]
    table.remove(answers[0])
    assert table.too_large() == bodies[0]
    table.remove(bodies[0])
    assert table.too_large() is None


def test_small_bodies_never_make_room(table: ConnectionTable) -> None:
    entered(table, Phase.BODY, 20, SMALL)
    assert table.too_large() is None


def test_phases_end_in_their_order(table: ConnectionTable) -> None:
    first, second = entered(table, Phase.HEAD, 2)
    entered(table, Phase.WORKING, 1)
    table.enter(first, Phase.HEAD)
    expired = []
    for each in table.expired(first.deadline):
        expired.append(each)
        table.remove(each)
    assert expired == [second, first]
    assert len(table) == 1
