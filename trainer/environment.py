"""Loads TensorFlow faster and silent: import this before Keras.

On a processor without AVX-512 TensorFlow does not use oneDNN by itself, although training is a
third faster with it. What it reports while it is loaded cannot be switched off, so standard
error is closed meanwhile; its Python exceptions are not affected.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def silence() -> Iterator[None]:
    """Discard what C++ writes to standard error."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


with silence():
    import tensorflow as tf  # noqa: F401
