"""Limits on what is done at once: downloads from one address, images in memory, decoding."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from gateway.errors import TooManyRequests


class ConcurrencyLimit:
    """A fair semaphore for each key.

    Args:
        limit: the most slots that may be held at once under one key.
        refusal: the text of the error when the wait is over.
    """

    def __init__(self, limit: int, refusal: str) -> None:
        self._limit = limit
        self._refusal = refusal
        self._held: dict[Hashable, int] = defaultdict(int)
        self._waiting: dict[Hashable, deque[object]] = defaultdict(deque)
        self._changed = threading.Condition()

    @contextmanager
    def acquire(self, deadline: float, key: Hashable = None) -> Iterator[None]:
        """Hold a slot while the block runs; waiters are served in their order.

        Args:
            deadline: when to give up, on time.monotonic's clock.

        Raises:
            TooManyRequests: no slot was free before the deadline.
        """
        with self._changed:
            self._wait(deadline, key)
        try:
            yield
        finally:
            with self._changed:
                self._held[key] -= 1
                self._notify(key)

    def _wait(self, deadline: float, key: Hashable) -> None:
        ticket, queue = object(), self._waiting[key]
        queue.append(ticket)

        def is_free() -> bool:
            return queue[0] is ticket and self._held[key] < self._limit

        try:
            if not self._changed.wait_for(is_free, deadline - time.monotonic()):
                raise TooManyRequests(self._refusal)
            self._held[key] += 1
        finally:
            queue.remove(ticket)
            self._notify(key)

    def _notify(self, key: Hashable) -> None:
        """Wake the waiters, and drop an unused key: strangers choose the keys."""
        if not self._waiting[key] and not self._held[key]:
            del self._waiting[key], self._held[key]
        self._changed.notify_all()


class FairLimit:
    """A limit on what is done at once, for which clients take turns.

    Args:
        limit: the most that is done at once.
        waiting: the most that may wait, half of it for one client.
        refusal: the text of the error.
    """

    def __init__(self, limit: int, waiting: int, refusal: str) -> None:
        self._free = limit
        self._most = waiting
        self._refusal = refusal
        self._queues: dict[Hashable, deque[object]] = {}  # of each client; the first is next
        self._changed = threading.Condition()

    @contextmanager
    def acquire(self, client: Hashable, deadline: float) -> Iterator[None]:
        """Hold a slot while the block runs.

        Args:
            deadline: when to give up, on time.monotonic's clock.

        Raises:
            TooManyRequests: too many wait already, or no slot was free before the deadline.
        """
        with self._changed:
            self._wait(client, deadline)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _wait(self, client: Hashable, deadline: float) -> None:
        ticket, queue = object(), self._queues.setdefault(client, deque())
        queue.append(ticket)

        def is_next() -> bool:
            return self._free > 0 and next(iter(self._queues.values()))[0] is ticket

        try:
            if not is_next() and self._is_full(client):
                raise TooManyRequests(self._refusal)
            if not self._changed.wait_for(is_next, deadline - time.monotonic()):
                raise TooManyRequests(self._refusal)
            self._free -= 1
        finally:
            queue.remove(ticket)
            del self._queues[client]
            if queue:
                self._queues[client] = queue  # behind the other clients
            self._changed.notify_all()

    def _is_full(self, client: Hashable) -> bool:
        waiting = sum(map(len, self._queues.values()))
        return waiting > self._most or 2 * len(self._queues[client]) > self._most + 1
