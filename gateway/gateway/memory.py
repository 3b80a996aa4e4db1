"""What glibc does with freed memory; with another C library, nothing."""

import ctypes
from typing import Any

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h
LARGE = 1 << 20  # bytes


def _libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, lambda *_: 0)


def configure() -> None:
    """Give a picture's memory back as soon as it is freed, whichever thread decoded it."""
    _libc("mallopt")(M_MMAP_THRESHOLD, LARGE)
    _libc("mallopt")(M_ARENA_MAX, 2)


def trim() -> None:
    """Give back what small objects have left free between them."""
    _libc("malloc_trim")(0)
