"""What the model said of pictures that were sent before."""

import threading

from cachetools import TTLCache

from gateway.signatures import Prediction


class Cache:
    """Keeps predictions in memory, in each worker; the one unused longest makes way for a new one.

    Args:
        entries: the most predictions kept.
        seconds: how long each is kept.
    """

    def __init__(self, entries: int, seconds: float) -> None:
        self._predictions: TTLCache[tuple[bytes, int, bool], Prediction]
        self._predictions = TTLCache(entries, seconds)
        self._lock = threading.Lock()  # looking up reorders the entries, too

    def find(self, digest: bytes, version: int, explain: bool) -> Prediction | None:
        """What this version of the model said of the picture with this digest."""
        with self._lock:
            return self._predictions.get((digest, version, explain))

    def keep(self, digest: bytes, explain: bool, prediction: Prediction) -> None:
        """Remember a prediction, under the version that made it."""
        with self._lock:
            self._predictions[digest, prediction.version, explain] = prediction
