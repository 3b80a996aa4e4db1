"""The warm-up requests that are stored with a version, in TensorFlow Serving's format."""

import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from tf_serving import api_pb2 as tf

FILE = Path("assets.extra/tf_serving_warmup_requests")
MAX_REQUESTS = 1000  # TensorFlow Serving's limit


def read_requests(folder: Path) -> list[tf.PredictRequest]:
    """The requests in a version's folder; none if it has no file of them.

    Raises:
        ValueError: the file cannot be parsed, or has too many requests.
    """
    file = folder / FILE
    if not file.exists():
        return []
    try:
        logs = [tf.PredictionLog.FromString(record) for record in _records(file.read_bytes())]
    except (DecodeError, struct.error) as error:
        raise ValueError(f"{file} has no warm-up requests: {error}") from None
    if len(logs) > MAX_REQUESTS:
        raise ValueError(f"{file} has more than {MAX_REQUESTS} warm-up requests")
    return [log.predict_log.request for log in logs if log.HasField("predict_log")]


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file: each has its length and a checksum before it, one after."""
    position = 0
    while position < len(data):
        size, _ = struct.unpack_from("<QI", data, position)
        record, _ = struct.unpack_from(f"<{size}sI", data, position + 12)
        yield record
        position += size + 16
