"""Clients that speak HTTP byte by byte, and need not keep to it."""

import contextlib
import socket
from collections.abc import Iterator

import requests

from gateway_testing.service import Service, predict

PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


@contextlib.contextmanager
def connections(service: Service, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Clients that send this and then nothing, and whose system takes little of an answer."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.settimeout(60)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", service.port))
            client.sendall(sent)
            clients.append(client)
        yield clients


def exchange(service: Service, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in lower case, and body of the answer."""
    with connections(service, 1, sent) as [client]:
        return read_answer(client)


def read_answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    with client.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, file.read(int(headers["content-length"]))


def receive(client: socket.socket, text: bytes, times: int = 1) -> bytes:
    """Read until the text has come that often."""
    received = b""
    while received.count(text) < times:
        chunk = client.recv(65_536)
        assert chunk, received
        received += chunk
    return received


def is_closed(client: socket.socket) -> bool:
    """Wait until the service closes the connection; False if it does not."""
    with contextlib.suppress(ConnectionError):
        try:
            while client.recv(65_536):
                pass
        except TimeoutError:
            return False
    return True


def is_healthy(service: Service, jpeg: bytes) -> bool:
    """Whether a health check and an image are answered."""
    health = requests.get(f"{service.url}/healthz", timeout=60)
    answer = predict(service, jpeg)
    return health.status_code == 200 and answer.status_code == 200 and answer.json() == "cricket"
