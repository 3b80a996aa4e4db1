"""All of a worker's connections: whose time is over, and who has to make room."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.client_connection import IN_LINE, ClientConnection, Phase

SMALL = 65_536  # bytes that a connection may always hold


@dataclass(frozen=True)
class Limits:
    """What clients may do.

    Attributes:
        connections: how many may be open; for one more another is closed.
        seconds: how long a phase may last.
        memory: bytes that requests and answers may take together, beyond small ones.
        body_bytes: of a longer body nothing is kept.
        slots: how many requests that need a slot may be worked on at once.
        line: how many may wait for one, of clients that come back too soon and of others.
        ahead: how many requests may be worked on at once that were sent before their connection's
            last answer.
    """

    connections: int
    seconds: dict[Phase, float]
    memory: int
    body_bytes: int
    slots: int
    line: int
    ahead: int


class ConnectionTable:
    """All open connections, with their deadlines and the memory that they hold.

    The connections of a phase are in the order of their deadlines.

    Attributes:
        seconds: how long a phase may last that begins now.
    """

    def __init__(self, limits: Limits) -> None:
        self.seconds = dict(limits.seconds)
        self._memory = limits.memory
        self._held = 0
        self._phases: dict[Phase, dict[ClientConnection, None]] = {phase: {} for phase in Phase}

    def __len__(self) -> int:
        return sum(map(len, self._phases.values()))

    def within(self, phase: Phase) -> list[ClientConnection]:
        return list(self._phases[phase])

    def count(self, phase: Phase) -> int:
        return len(self._phases[phase])

    def first(self, *phases: Phase) -> ClientConnection | None:
        """Of the first of these phases that has any, the one that has entered it first."""
        return next((each for phase in phases for each in self._phases[phase]), None)

    def enter(self, connection: ClientConnection, phase: Phase) -> None:
        """Begin a phase, or begin it again."""
        self._leave(connection)
        connection.phase = phase
        connection.deadline = time.monotonic() + self.seconds[phase]
        self._phases[phase][connection] = None

    def remove(self, connection: ClientConnection) -> None:
        self._leave(connection)
        connection.phase = None
        self.hold(connection, 0)

    def hold(self, connection: ClientConnection, size: int) -> None:
        """Count the bytes of memory that the connection holds now."""
        self._held += size - connection.held
        connection.held = size

    def expired(self, now: float) -> Iterator[ClientConnection]:
        """Connections whose phase is over; each has to leave it before the next is asked for."""
        for connections in self._phases.values():
            while (first := next(iter(connections), None)) and first.deadline <= now:
                yield first

    def dispensable(self) -> ClientConnection | None:
        """The oldest one in the phase in which most wait for their clients.

        So the many connections of an attack make room, and the few of others stay.
        """
        waiting = [self._phases[each] for each in Phase if each not in (*IN_LINE, Phase.WORKING)]
        most = max(waiting, key=lambda connections: len(connections))
        return next(iter(most), None)

    def too_large(self) -> ClientConnection | None:
        """If there is too little memory: the oldest large body or answer, of what takes more."""
        if self._held <= self._memory:
            return None
        phase = max(Phase.BODY, *IN_LINE, Phase.SENDING, key=self._held_within)
        return next((each for each in self._phases[phase] if each.held > SMALL), None)

    def _held_within(self, phase: Phase) -> int:
        return sum(connection.held for connection in self._phases[phase])

    def _leave(self, connection: ClientConnection) -> None:
        if connection.phase:
            del self._phases[connection.phase][connection]
