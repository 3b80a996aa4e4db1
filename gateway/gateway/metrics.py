"""Prometheus metrics, summed over gunicorn's workers."""

import os
from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.records import Stage
from gateway.signatures import Prediction

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # shared by the workers; prometheus-client's variable
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Metrics:
    """The gateway's metrics; one object for each app."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._model: tuple[str, str] | None = None
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry, buckets=SECONDS)
        self.requests = counter("gateway_requests_total", "Requests", ["endpoint", "status"])
        self.request_seconds = histogram("gateway_request_seconds", "Request time", ["endpoint"])
        self.stage_seconds = histogram(
            "gateway_stage_seconds", "Time of a stage of the work on images", ["stage", "outcome"]
        )
        self.in_flight = gauge(
            "gateway_in_flight", "Images being worked on", multiprocess_mode="livesum"
        )
        self.refusals = counter("gateway_refusals_total", "Problems answered, by type", ["reason"])
        self.received_bytes = counter("gateway_received_bytes_total", "Bytes of images received")
        self.decoders_ended = counter(
            "gateway_decoders_ended_total", "Decoders that an image has ended", ["reason"]
        )
        self.feedback = counter(
            "gateway_feedback_total",
            "Feedback stored, by the label that the person and the model gave",
            ["given", "predicted"],
        )
        self.predictions = counter(
            "gateway_predictions_total",
            "Images classified, by label and by whether they probably show it",
            ["label", "known"],
        )
        shares = partial(histogram, buckets=SHARES)
        self.in_domain = shares("gateway_in_domain", "in_domain of the images classified")
        self.probability = shares("gateway_probability", "Probability of the images' labels")
        self.cache = counter("gateway_cache_total", "Images looked up in the cache", ["result"])
        self._model_info = gauge(
            "gateway_model_info",
            "1 for the version that answered last",
            ["name", "version"],
            multiprocess_mode="livemax",
        )

    def set_model(self, name: str, version: int) -> None:
        """Show which version of the model answered last."""
        model = (name, str(version))
        if model != self._model:
            if self._model is not None:
                self._model_info.labels(*self._model).set(0)
            self._model_info.labels(*model).set(1)
            self._model = model

    def record_stages(self, stages: Iterable[Stage]) -> None:
        for stage in stages:
            self.stage_seconds.labels(stage.name, stage.outcome).observe(stage.seconds)

    def record_predictions(self, predictions: Iterable[Prediction]) -> None:
        for prediction in predictions:
            label = prediction.label
            self.predictions.labels(label, str(prediction.known).lower()).inc()
            self.probability.observe(prediction.probabilities[label])
            if prediction.in_domain is not None:
                self.in_domain.observe(prediction.in_domain)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
