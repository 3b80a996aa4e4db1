"""Serves all of a worker's connections in one thread, which never waits for a single client."""

import errno
import logging
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from gunicorn.config import Config
from gunicorn.http.errors import ParseException

from gateway.answers import STATUSES, TITLES, refusal
from gateway.client_connection import ClientConnection, Part, Phase
from gateway.connection_table import ConnectionTable, Limits
from gateway.request_reader import IncomingRequest, RequestReader

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SEND_BUFFER = 131_072  # the kernel's, for each connection
RECEIVE = 65_536
ACCEPT = 8  # connections at a time
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger(__name__)


class ConnectionLoop:
    """Collects whole requests, and sends what clients do not take of an answer at once.

    Args:
        pipe: descriptors that do not block; what is written to the second wakes the loop.
        config: gunicorn's, for its parser.
        start: called with each complete request; hands the connection to a thread, which sends
            the answer and calls `answered`.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        pipe: tuple[int, int],
        limits: Limits,
        config: Config,
        start: Callable[[ClientConnection, IncomingRequest], None],
    ) -> None:
        self._listeners = listeners
        self._pipe = pipe
        self._table = ConnectionTable(limits)
        self._limits = limits
        self._config = config
        self._start = start
        self._answered: deque[tuple[ClientConnection, bool]] = deque()
        self._early: deque[ClientConnection] = deque()  # have sent something ahead
        self._ahead: set[ClientConnection] = set()  # of these, those that are worked on
        self._is_woken = self._is_listening = self._is_stopped = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe[0], READ, self._drain_pipe)
        for listener in listeners:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # inherited
        self.listen()

    def __len__(self) -> int:
        return len(self._table)

    def turn(self, seconds: float) -> None:
        """Do what can be done now; if there is nothing, wait so long for it."""
        for key, _ in self._selector.select(seconds):
            key.data()
        while self._answered:
            connection, is_open = self._answered.popleft()
            self._ahead.discard(connection)
            self._guard(connection, self._follow_up if is_open else self._close)
        while self._early and len(self._ahead) < self._limits.ahead:
            self._guard(self._early.popleft(), self._read_early)

    def expire(self) -> None:
        """Give up the connections whose time is over."""
        for connection in self._table.expired(time.monotonic()):
            self._guard(connection, self._expire)
        self.listen()

    def answered(self, connection: ClientConnection, is_open: bool) -> None:
        """Take a connection back from its thread, with what `send` returned."""
        self._answered.append((connection, is_open))
        if not self._is_woken:
            self._is_woken = True
            os.write(self._pipe[1], b".")

    def listen(self) -> None:
        """Accept connections; it stops by itself when there is no room for them."""
        if not (self._is_listening or self._is_stopped):
            self._is_listening = True
            for listener in self._listeners:
                self._selector.register(listener, READ, partial(self._accept, listener))

    def stop(self, seconds: float) -> None:
        """Accept no more connections; those without a request have so long to send one."""
        self._pause()
        self._is_stopped = True
        self._table.seconds[Phase.IDLE] = seconds
        unused = [each for each in self._table.within(Phase.HEAD) if not each.reader.size]
        for connection in [*self._table.within(Phase.IDLE), *unused]:
            self._table.enter(connection, Phase.IDLE)

    def _drain_pipe(self) -> None:
        os.read(self._pipe[0], 4096)
        self._is_woken = False

    def _pause(self) -> None:
        if self._is_listening:
            self._is_listening = False
            for listener in self._listeners:
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT):
            try:
                client_socket, client = listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM and not self._make_room():
                    self._pause()
                return
            if len(self._table) >= self._limits.connections and not self._make_room():
                self._pause()
            reader = RequestReader(self._config, client, self._limits.body_bytes)
            connection = ClientConnection(
                client_socket, client, listener.getsockname(), reader, self._selector
            )
            connection.on_ready = partial(self._guard, connection, self._on_ready)
            self._table.enter(connection, Phase.HEAD)
            connection.watch(READ)

    def _make_room(self) -> bool:
        """Close the connection that can best be spared; whether there is one."""
        connection = self._table.dispensable()
        if connection:
            self._close(connection, reset=True)
        return connection is not None

    def _guard(
        self, connection: ClientConnection, action: Callable[[ClientConnection], None]
    ) -> None:
        """Do something with a connection; a defect ends this connection, and not the worker."""
        if connection.phase is None:  # closed since the selector saw its event
            return
        try:
            action(connection)
            while large := self._table.too_large():
                if large.phase is Phase.BODY:
                    self._refuse(large, 429, "no memory is left for the body")
                else:
                    self._close(large, reset=True)
        except Exception:
            log.exception("a connection failed")
            self._close(connection)

    def _on_ready(self, connection: ClientConnection) -> None:
        if connection.phase is Phase.WORKING:
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
            self._table.enter(connection, Phase.WORKING)
            self._table.hold(connection, request.body.getbuffer().nbytes + reader.size)
            self._start(connection, request)
            return
        phase = Phase.BODY if reader.has_head else Phase.HEAD
        if phase is not connection.phase:
            self._table.enter(connection, phase)
        self._table.hold(connection, connection.size)
        connection.watch(READ)
        if reader.must_continue() and not connection.send([CONTINUE]):
            self._close(connection)

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

    def _refuse(self, connection: ClientConnection, status: int, reason: str) -> None:
        log.info("%s: %s", TITLES[status], reason)
        connection.reader.clear()
        connection.keep = False
        self._send(connection, [refusal(status)])

    def _expire(self, connection: ClientConnection) -> None:
        if connection.phase is Phase.BODY or connection.reader.size:
            self._refuse(connection, 408, "the client is too slow")
        else:
            self._close(connection, reset=connection.phase is Phase.SENDING)

    def _close(self, connection: ClientConnection, reset: bool = False) -> None:
        self._table.remove(connection)
        connection.close(reset)
        self.listen()
