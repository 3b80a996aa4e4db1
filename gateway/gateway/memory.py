"""What glibc does with freed memory; with another C library, nothing."""

import ctypes
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGE = 8 << 20  # bytes; what smaller pictures take is kept for the next one, until `trim`


def _libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, lambda *_: 0)


def configure() -> None:
    """Give a large picture's memory back as soon as it is freed, whichever thread decoded it."""
    _libc("mallopt")(M_MMAP_THRESHOLD, LARGE)
    _libc("mallopt")(M_TRIM_THRESHOLD, 2 * LARGE)
    _libc("mallopt")(M_ARENA_MAX, 2)


def trim() -> None:
    """Give back what small objects have left free between them."""
    _libc("malloc_trim")(0)
