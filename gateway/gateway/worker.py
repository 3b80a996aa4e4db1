"""gunicorn's threaded worker, changed so that no thread waits for a slow client.

gunicorn gives a connection to a thread when its first byte has come, and the thread waits for the
rest. Here the main loop collects a request's head, and its body if that is small; a thread gets
what is complete. pyproject.toml pins gunicorn to the version whose methods are overridden.
"""

import contextlib
import re
import selectors
import socket
import time
import uuid
from collections.abc import MutableMapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from flask import json
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway import memory
from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.problems import problem

HEAD_SECONDS = 10.0
TRIM_SECONDS = 10.0
MAX_HEAD = 32_768
SMALL_BODY = 65_536
CHUNK = 65_536
CONTENT_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,15})[ \t]*\r$")
EXPECT = re.compile(rb"(?im)^expect:")
# gunicorn's errors about a request, and their HTTP statuses; others are a 400.
TITLES = {
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
    errors.UnsupportedTransferCoding: (501, "Not Implemented"),
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Closes connections that do not send a request, or do not receive its answer, in time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = Settings.from_env().request_timeout
        self._trimmed = time.monotonic()
        self._received: MutableMapping[TConn, bytearray] = WeakKeyDictionary()
        self._started: dict[TConn, float] = {}  # requests that a thread works on

    def enqueue_req(self, conn: TConn) -> None:
        """Collect the request of a connection that is new or was kept alive."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        ahead = conn.parser.unreader.take_buffered() if conn.parser else b""
        self._received[conn] = bytearray(ahead)
        if _is_complete(self._received[conn]):
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + HEAD_SECONDS
        self.pending_conns.append(conn)  # murder_pending closes it after that time
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._collect, conn))

    def _collect(self, conn: TConn, client: socket.socket) -> None:
        try:
            chunk = client.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        received = self._received[conn]
        received += chunk
        complete = _is_complete(received)
        too_long = not complete and len(received) > MAX_HEAD + SMALL_BODY
        if chunk and not complete and not too_long:
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if complete:
            super().enqueue_req(conn)
            return
        if too_long:
            error = errors.LimitRequestHeaders(str(len(received)))
            self.handle_error(None, client, conn.client, error)
        self.nr_conns -= 1
        conn.close(graceful=True)

    def handle(self, conn: TConn) -> Any:
        """Handle a collected request, in a thread."""
        self._started[conn] = time.monotonic()
        try:
            if conn in self._received:
                conn.init()
                conn.parser.unreader.unread(bytes(self._received.pop(conn)))
            return super().handle(conn)
        finally:
            del self._started[conn]

    def murder_pending(self) -> None:
        """Called about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, started in list(self._started.items()):
            if now > started + 2 * self._seconds:  # the answer is not being received
                _shut_down(conn.sock, socket.SHUT_RDWR)
            elif now > started + self._seconds:  # the body is not being sent
                _shut_down(conn.sock, socket.SHUT_RD)
        if now > self._trimmed + TRIM_SECONDS:
            memory.trim()
            self._trimmed = now

    def handle_error(self, _: Any, client: socket.socket, __: Any, exc: Exception) -> None:
        """Answer what the parser refuses with a problem object."""
        if isinstance(exc, errors.ParseException):
            status, title = TITLES.get(type(exc), (400, "Bad Request"))
            self.log.info("%s: %s", title, type(exc).__name__)
        else:
            status, title = 500, GatewayError.title
            self.log.exception("a request failed outside the application")
        detail = "The service cannot read this request."
        body = json.dumps(problem(status, title, detail, uuid.uuid4().hex)).encode()
        head = (
            f"HTTP/1.1 {status} {title}\r\nConnection: close\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            client.send(head.encode() + body)


def _is_complete(received: bytearray) -> bool:
    """Whether a thread can work on what has come without waiting for the client."""
    head, end, body = bytes(received).partition(b"\r\n\r\n")
    if not end:
        return False
    length = CONTENT_LENGTH.search(head + b"\r")
    if length is None or EXPECT.search(head):
        return True
    return len(body) >= min(int(length[1]), SMALL_BODY)


def _shut_down(client: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        client.shutdown(how)
