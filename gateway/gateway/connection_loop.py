"""Serves all of a worker's connections in one thread, which never waits for a single client."""

import logging
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gunicorn.config import Config
from gunicorn.http.errors import ParseException

from gateway.answers import STATUSES, refusal
from gateway.client_connection import IN_LINE, ClientConnection, Part, Phase
from gateway.connection_table import ConnectionTable, Limits
from gateway.errors import TooManyRequests
from gateway.listeners import Listeners
from gateway.request_line import RequestLine
from gateway.request_reader import IncomingRequest, RequestReader

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
RECEIVE = 65_536
Action = Callable[[ClientConnection], None]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger(__name__)


class ConnectionLoop:
    """Collects whole requests, and sends what clients do not take of an answer at once.

    Args:
        pipe: descriptors that do not block; what is written to the second wakes the loop.
        config: gunicorn's, for its parser.
        start: called with each complete request; hands the connection to a thread, which sends
            the answer and calls `answered`.
        refused: called with the status of each request that is refused here.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        pipe: tuple[int, int],
        limits: Limits,
        config: Config,
        start: Callable[[ClientConnection, IncomingRequest], None],
        refused: Callable[[int], None],
    ) -> None:
        self._pipe = pipe
        self._table = ConnectionTable(limits)
        self._limits = limits
        self._config = config
        self._start, self._refused = start, refused
        self._answered: deque[tuple[ClientConnection, bool]] = deque()
        self._early: deque[ClientConnection] = deque()  # have sent something ahead
        self._ahead: set[ClientConnection] = set()  # of these, those that are worked on
        self._line = RequestLine(self._table, limits.slots, limits.line)
        self._is_woken = self._is_stopped = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe[0], READ, self._drain_pipe)
        self._listeners = Listeners(listeners, self._selector, self._accept, self._make_room)

    def __len__(self) -> int:
        return len(self._table)

    def turn(self, seconds: float) -> None:
        """Do what can be done now; if there is nothing, wait so long for it."""
        for key, _ in self._selector.select(seconds):
            key.data()
        while self._answered:
            connection, is_open = self._answered.popleft()
            self._ahead.discard(connection)
            self._line.leave(connection)
            self._guard(connection, self._follow_up if is_open else self._close)
        while self._early and len(self._ahead) < self._limits.ahead:
            self._guard(self._early.popleft(), self._read_early)
        while waiting := self._line.next():
            self._guard(waiting, lambda first: self._work(first, self._line.serve(first)))
        for connection in self._table.expired(time.monotonic()):
            self._guard(connection, self._expire)

    def answered(self, connection: ClientConnection, is_open: bool) -> None:
        """Take a connection back from its thread, with what `send` returned."""
        self._answered.append((connection, is_open))
        if not self._is_woken:
            self._is_woken = True
            os.write(self._pipe[1], b".")

    def listen(self) -> None:
        """Accept connections again, if there was no room for them."""
        self._listeners.listen()

    def stop(self, seconds: float) -> None:
        """Accept no more connections; those without a request have so long to send one."""
        self._listeners.stop()
        self._is_stopped = True
        self._table.seconds[Phase.IDLE] = seconds
        unused = [each for each in self._table.within(Phase.HEAD) if not each.reader.size]
        for connection in [*self._table.within(Phase.IDLE), *unused]:
            self._table.enter(connection, Phase.IDLE)

    def _drain_pipe(self) -> None:
        os.read(self._pipe[0], 4096)
        self._is_woken = False

    def _accept(self, client_socket: socket.socket, client: Any, server: Any) -> None:
        if len(self._table) >= self._limits.connections and not self._make_room():
            self._listeners.pause()
        reader = RequestReader(self._config, client, self._limits.body_bytes)
        connection = ClientConnection(client_socket, client, server, reader, self._selector)
        connection.on_ready = partial(self._guard, connection, self._on_ready)
        self._table.enter(connection, Phase.HEAD)
        connection.watch(READ)

    def _make_room(self) -> bool:
        """Close the connection that can best be spared; whether there is one."""
        connection = self._table.dispensable()
        if connection:
            self._close(connection, reset=True)
        return connection is not None

    def _guard(self, connection: ClientConnection, action: Action) -> None:
        """Do something with a connection; a defect ends this connection, and not the worker."""
        if connection.phase is None:  # closed since the selector saw its event
            return
        try:
            action(connection)
            while large := self._table.too_large():
                if large.phase is Phase.SENDING:
                    self._close(large, reset=True)
                else:
                    self._refuse(large, 429, "no memory is left for the body")
        except Exception:
            log.exception("a connection failed")
            self._close(connection)

    def _on_ready(self, connection: ClientConnection) -> None:
        if connection.phase in (*IN_LINE, Phase.WORKING):
            connection.watch(0)  # what comes now waits for the end of the answer
        elif connection.phase is Phase.SENDING:
            self._send(connection, connection.unsent)
        else:
            self._receive(connection)

    def _receive(self, connection: ClientConnection) -> None:
        try:
            data = connection.receive(RECEIVE)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self._close(connection)
            return
        if data and connection.phase is not Phase.LINGERING:
            self._read(connection, data)
        elif not data and (connection.phase is Phase.BODY or connection.reader.size):
            self._refuse(connection, 400, "the request is incomplete")
        elif not data:
            self._close(connection)

    def _read_early(self, connection: ClientConnection) -> None:
        if connection.phase is Phase.IDLE:
            self._read(connection, b"")
        if connection.phase is Phase.WORKING:
            self._ahead.add(connection)

    def _read(self, connection: ClientConnection, data: bytes) -> None:
        reader = connection.reader
        try:
            request = reader.receive(data)
        except ParseException as error:
            self._refuse(connection, STATUSES.get(type(error), 400), type(error).__name__)
            return
        if request:
            self._table.hold(connection, request.body.getbuffer().nbytes + reader.size)
            if request.head.method != "POST":  # only those need a slot
                self._work(connection, request)
            elif not self._line.join(connection, request):
                self._refuse_busy(connection, request)
            return
        phase = Phase.BODY if reader.has_head else Phase.HEAD
        if phase is not connection.phase:
            self._table.enter(connection, phase)
        self._table.hold(connection, connection.size)
        connection.watch(READ)
        if reader.must_continue() and not connection.send([CONTINUE]):
            self._close(connection)

    def _work(self, connection: ClientConnection, request: IncomingRequest) -> None:
        self._table.enter(connection, Phase.WORKING)
        self._start(connection, request)

    def _follow_up(self, connection: ClientConnection) -> None:
        """Go on after the client has taken an answer, or a part of it."""
        self._table.hold(connection, connection.size)
        if connection.unsent:
            if connection.phase is not Phase.SENDING:
                self._table.enter(connection, Phase.SENDING)
            connection.watch(WRITE)
        elif connection.keep:
            self._table.enter(connection, Phase.IDLE)
            if connection.reader.size:
                connection.watch(0)
                self._early.append(connection)
            else:
                connection.watch(READ)
        elif connection.end():
            connection.reader.clear()
            self._table.enter(connection, Phase.LINGERING)
            connection.watch(READ)
        else:
            self._close(connection)

    def _send(self, connection: ClientConnection, parts: Sequence[Part]) -> None:
        if connection.send(parts):
            self._follow_up(connection)
        else:
            self._close(connection)

    def _refuse(
        self, connection: ClientConnection, status: int, reason: str, keep: bool = False
    ) -> None:
        self._refused(status)
        connection.request = None
        connection.keep = keep
        if not keep:
            connection.reader.clear()
        self._send(connection, [refusal(status, reason, connection.client, keep)])

    def _refuse_busy(self, connection: ClientConnection, request: IncomingRequest) -> None:
        connection.retry_at = time.monotonic() + TooManyRequests.retry_after
        keep = not (self._is_stopped or request.head.should_close())
        self._refuse(connection, 429, "no slot is free", keep)

    def _expire(self, connection: ClientConnection) -> None:
        if connection.request:
            self._refuse_busy(connection, connection.request)
        elif connection.phase is Phase.BODY or connection.reader.size:
            self._refuse(connection, 408, "the client is too slow")
        else:
            self._close(connection, reset=connection.phase is Phase.SENDING)

    def _close(self, connection: ClientConnection, reset: bool = False) -> None:
        self._line.leave(connection)
        self._table.remove(connection)
        connection.close(reset)
        self._listeners.listen()
