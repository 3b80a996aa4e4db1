"""Requests that wait for one of the slots in which requests are worked on.

A refusal at once would only be sent for again: waiting for a moment costs nobody anything.
"""

import time

from gateway.client_connection import IN_LINE, ClientConnection, Phase
from gateway.connection_table import ConnectionTable
from gateway.request_reader import IncomingRequest


class RequestLine:
    """First come, first served; but after all others who comes back sooner than it was asked to.

    Args:
        table: where those in line are; it knows how long they may wait.
        slots: how many requests are worked on at once.
        most: how many may wait, of those that come back too soon and of the others.
    """

    def __init__(self, table: ConnectionTable, slots: int, most: int) -> None:
        self._table = table
        self._slots = slots
        self._most = most
        self._served: set[ClientConnection] = set()

    def join(self, connection: ClientConnection, request: IncomingRequest) -> bool:
        """Whether there is room for it in the line."""
        connection.request = request
        too_soon = time.monotonic() < connection.retry_at
        phase = Phase.RETURNED if too_soon else Phase.WAITING
        if self._table.count(phase) >= self._most:
            return False
        self._table.enter(connection, phase)
        return True

    def next(self) -> ClientConnection | None:
        """Whose turn it is, if a slot is free."""
        return self._table.first(*IN_LINE) if len(self._served) < self._slots else None

    def serve(self, connection: ClientConnection) -> IncomingRequest:
        """Give its request a slot, until it leaves."""
        request, connection.request = connection.request, None
        assert request
        self._served.add(connection)
        return request

    def leave(self, connection: ClientConnection) -> None:
        """Free its slot, if it has one."""
        self._served.discard(connection)
