"""Ctrl-C, also where Python ignores the exception that it raises, such as in a finalizer."""

import signal
import threading
from types import FrameType

_interrupted = threading.Event()


def prepare() -> None:
    """Remember Ctrl-C from now on, unless it is ignored, as in a shell's background jobs."""
    _interrupted.clear()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def check() -> None:
    """Raise what was ignored.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt
