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
            self._dispatch(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + HEAD_SECONDS
        self.pending_conns.append(conn)
        readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, readable)

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        try:
            chunk = client.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        received = self._received[conn]
        received += chunk
        complete = _is_complete(received)
        endless = not complete and len(received) > MAX_HEAD + SMALL_BODY
        if chunk and not complete and not endless:
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if complete:
            self._dispatch(conn)
            return
        if endless:
            too_large = errors.LimitRequestHeaders(str(len(received)))
            self.handle_error(None, client, conn.client, too_large)
        self.nr_conns -= 1
        conn.close(graceful=True)

    def _dispatch(self, conn: TConn) -> None:
        self._started[conn] = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        if conn in self._received:
            conn.init()
            conn.parser.unreader.unread(bytes(self._received.pop(conn)))
        return super().handle(conn)

    def finish_request(self, conn: TConn, fs: Any) -> None:
        self._started.pop(conn, None)
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Called about once a second."""
        super().murder_pending()
        now = time.monotonic()
        self._close_overdue(now)
        if now > self._trimmed + TRIM_SECONDS:
            memory.trim()
            self._trimmed = now

    def _close_overdue(self, now: float) -> None:
        """Stop waiting for an overdue body, and later for a client to receive its answer."""
        for conn, started in self._started.items():
            for limit, end in ((1, socket.SHUT_RD), (2, socket.SHUT_RDWR)):
                if now > started + limit * self._seconds:
                    with contextlib.suppress(OSError):
                        conn.sock.shutdown(end)

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
