"""What Prometheus is told, summed over gunicorn's workers."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the workers' numbers meet; prometheus-client's
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """The gateway's counters; one object for each app."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.requests = Counter(
            "gateway_requests_total", "Requests answered", ["endpoint", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "gateway_request_seconds",
            "From accept to answer",
            ["endpoint"],
            buckets=SECONDS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "gateway_stage_seconds",
            "What a picture's fetch, decode and predict took",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "gateway_in_flight",
            "Pictures worked on now",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.refusals = Counter(
            "gateway_refusals_total", "Problems answered, by type", ["reason"], registry=registry
        )
        self.received_bytes = Counter(
            "gateway_received_bytes_total", "Pictures fetched or sent", registry=registry
        )
        self.cache = Counter(
            "gateway_cache_total", "Pictures looked up in the cache", ["result"], registry=registry
        )
        self._model_info = Gauge(
            "gateway_model_info",
            "1 for the version that answered last",
            ["name", "version"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._model: tuple[str, str] | None = None
        self._registry = registry

    def answered_by(self, name: str, version: int) -> None:
        """Note which model gave an answer."""
        model = (name, str(version))
        if model != self._model:
            if self._model is not None:
                self._model_info.labels(*self._model).set(0)
            self._model_info.labels(*model).set(1)
            self._model = model

    def text(self) -> bytes:
        """All numbers in Prometheus' text format."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
