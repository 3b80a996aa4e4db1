"""Freed memory that glibc keeps; with another C library there is nothing to do."""

import ctypes


def trim() -> None:
    """Return the memory that small objects have left free to the system."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim:
        malloc_trim(0)
