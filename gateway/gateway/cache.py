"""A cache of predictions, off by default."""

import threading

from cachetools import TTLCache

from gateway.signatures import Prediction


class Cache:
    """Keeps predictions in memory, in each worker; the least recently used is dropped first.

    Args:
        entries: the most predictions kept.
        seconds: how long each is kept.
    """

    def __init__(self, entries: int, seconds: float) -> None:
        self._predictions: TTLCache[tuple[bytes, int, bool], Prediction]
        self._predictions = TTLCache(entries, seconds)
        self._lock = threading.Lock()  # looking up reorders the entries, too

    def find(self, digest: bytes, version: int, explain: bool) -> Prediction | None:
        """The prediction of this version of the model for the image with this digest."""
        with self._lock:
            return self._predictions.get((digest, version, explain))

    def store(self, digest: bytes, explain: bool, prediction: Prediction) -> None:
        """Keep a prediction, under the version that made it."""
        with self._lock:
            self._predictions[digest, prediction.version, explain] = prediction
