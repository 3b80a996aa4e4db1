"""A limit that many requests share: downloads from one address, pixels decoded at once."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from gateway.errors import TooManyRequests


class Shares:
    """Hands out at most `limit` under each key; who comes first is served first.

    Args:
        refusal: what whoever waits in vain is told.
    """

    def __init__(self, limit: int, refusal: str) -> None:
        self._limit = limit
        self._refusal = refusal
        self._taken: dict[Hashable, int] = defaultdict(int)
        self._lines: dict[Hashable, deque[object]] = defaultdict(deque)
        self._changed = threading.Condition()

    @contextmanager
    def take(self, amount: int, deadline: float, key: Hashable = None) -> Iterator[None]:
        """Hold a share for as long as the block runs.

        Args:
            amount: from 1 to the limit.
            deadline: when to give up, on time.monotonic's clock.

        Raises:
            TooManyRequests: there was not enough before the deadline.
        """
        with self._changed:
            self._wait(amount, deadline, key)
        try:
            yield
        finally:
            with self._changed:
                self._taken[key] -= amount
                self._tidy(key)

    def _wait(self, amount: int, deadline: float, key: Hashable) -> None:
        ticket, line = object(), self._lines[key]
        line.append(ticket)

        def is_turn() -> bool:
            return line[0] is ticket and self._taken[key] + amount <= self._limit

        try:
            if not self._changed.wait_for(is_turn, deadline - time.monotonic()):
                raise TooManyRequests(self._refusal)
            self._taken[key] += amount
        finally:
            line.remove(ticket)
            self._tidy(key)

    def _tidy(self, key: Hashable) -> None:
        """Wake who waits, and forget a key that nobody uses: strangers choose the keys."""
        if not self._lines[key] and not self._taken[key]:
            del self._lines[key], self._taken[key]
        self._changed.notify_all()
