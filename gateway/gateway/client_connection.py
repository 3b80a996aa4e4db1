"""A client's connection."""

import contextlib
import math
import selectors
import socket
import struct
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from gateway.request_reader import IncomingRequest, RequestReader

Part = bytes | bytearray | memoryview  # of an answer
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()  # the next request
    HEAD = auto()
    BODY = auto()
    WAITING = auto()  # a slot for its request
    RETURNED = auto()  # the same, but the client has come back sooner than it was asked to
    WORKING = auto()  # the application; a thread has the connection
    SENDING = auto()  # the client, which has to take the answer
    LINGERING = auto()  # the client, which has to close


IN_LINE = (Phase.WAITING, Phase.RETURNED)  # the first ones before the second


class ClientConnection:
    """A connection that never blocks.

    Attributes:
        client: the client's address.
        server: the address at which it was accepted.
        on_ready: the selector's data: what to call when the socket is ready.
        request: what waits for a slot.
        retry_at: when the client may come back after a refusal, on time.monotonic's clock.
        unsent: the rest of the answer.
        keep: whether another request may follow the answer.
        phase: the table's; None while it is not in the table.
        deadline: the table's; the end of the phase, on time.monotonic's clock.
        held: the table's; bytes of memory that it has counted.
    """

    on_ready: Callable[[], None]

    def __init__(
        self,
        client_socket: socket.socket,
        client: Any,
        server: Any,
        reader: RequestReader,
        selector: selectors.BaseSelector,
    ) -> None:
        client_socket.setblocking(False)
        self._socket = client_socket
        self._selector = selector
        self._watched = 0
        self.client = client
        self.server = server
        self.reader = reader
        self.request: IncomingRequest | None = None
        self.retry_at = -math.inf
        self.unsent: list[memoryview] = []
        self.keep = True
        self.phase: Phase | None = None
        self.deadline = math.inf
        self.held = 0

    @property
    def size(self) -> int:
        """Bytes of memory that what was received and what is unsent take."""
        return self.reader.size + sum(map(len, self.unsent))

    def watch(self, events: int) -> None:
        """Let the selector watch for these events, or for none."""
        if events == self._watched:
            return
        if not events:
            self._selector.unregister(self._socket)
        elif self._watched:
            self._selector.modify(self._socket, events, self.on_ready)
        else:
            self._selector.register(self._socket, events, self.on_ready)
        self._watched = events

    def receive(self, size: int) -> bytes:
        """What has come, b"" after the end.

        Raises:
            BlockingIOError: nothing has come yet.
            OSError: the connection is broken.
        """
        return self._socket.recv(size)

    def send(self, parts: Sequence[Part]) -> bool:
        """Send what the client takes at once, and keep the rest; whether the client is there."""
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        self.unsent = []
        for part in parts:
            rest = memoryview(part)[sent:]
            sent = max(0, sent - len(part))
            if rest:
                self.unsent.append(rest)
        return True

    def end(self) -> bool:
        """Tell the client that nothing more will come; whether the client is there."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def close(self, reset: bool) -> None:
        """Close it; with `reset`, the kernel forgets at once what the client has not taken."""
        self.watch(0)
        with contextlib.suppress(OSError):
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._socket.shutdown(socket.SHUT_RDWR)  # a forked child may have the socket, too
        self._socket.close()
