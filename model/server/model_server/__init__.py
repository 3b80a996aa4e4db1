"""The embedded model server: TensorFlow Serving's gRPC API on TensorFlow's own runtime."""

import os
import sys


def _load_tensorflow() -> None:
    """Import TensorFlow without its libraries' chatter, which no setting silences that early."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # it runs on the processor
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


_load_tensorflow()
