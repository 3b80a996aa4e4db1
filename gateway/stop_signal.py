"""A signal that asks the process to stop, seen at the next wait and never lost."""

import select
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")


class Stopped(Exception):
    """The process has been asked to stop."""


class StopSignal:
    """Notes signals in a socket, through signal.set_wakeup_fd, until they are looked at.

    Unlike a KeyboardInterrupt, which may be raised anywhere and is lost in a finalizer, a note
    is never lost; and unlike an Event it is made whichever thread the signal is delivered to.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno())
        for number in numbers:  # replaces SIG_IGN, too: a shell's background job ignores SIGINT
            signal.signal(number, lambda *_: None)

    def sleep(self, seconds: float) -> None:
        """Wait, and raise Stopped as soon as one of the signals has come."""
        if select.select([self._receiver], [], [], seconds)[0]:
            raise Stopped

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function in another thread, and raise Stopped instead of waiting for its end."""
        pool = ThreadPoolExecutor(1)
        future = pool.submit(function)
        pool.shutdown(wait=False)
        while not wait([future], timeout=0).done:
            self.sleep(0.02)
        return future.result()
