"""The parts of the application, and what happens before and after each request."""

import re
import threading
import time
import uuid
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request

from gateway.classifier import Classifier
from gateway.clients import Clients
from gateway.config import Settings
from gateway.feedback import FeedbackStore
from gateway.metrics import Metrics
from gateway.records import RequestRecord, current_record

REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@dataclass(frozen=True)
class Gateway:
    """The parts that the views put together."""

    settings: Settings
    clients: Clients
    classifier: Classifier
    request_slots: threading.BoundedSemaphore
    metrics: Metrics
    feedback: FeedbackStore | None  # none: none is taken


def current_gateway() -> Gateway:
    """The parts of the application that this thread works for."""
    gateway: Gateway = current_app.extensions["gateway"]
    return gateway


def identify_client() -> None:
    """Find out who sends this request.

    Raises:
        Unauthorized: a key is required, and the request has none of ours.
    """
    if request.method != "OPTIONS":  # a browser asks without a key whether it may send one
        current_record().client = current_gateway().clients.admit(request)


def register(app: Flask) -> None:
    """Give every request of `app` a record, from which headers and metrics are made."""

    @app.before_request
    def start_record() -> None:
        sent, now = request.headers.get("X-Request-ID", ""), time.monotonic()
        g.record = RequestRecord(
            request_id=sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex,
            started=now,
            deadline=now + current_gateway().settings.request_timeout,
        )

    @app.after_request
    def finish_record(response: Response) -> Response:
        record, metrics = current_record(), current_gateway().metrics
        response.headers["X-Request-ID"] = record.request_id
        response.headers.update(record.headers)
        endpoint = (request.endpoint or "none").removeprefix("api.").removeprefix("probes.")
        metrics.requests.labels(endpoint, response.status_code).inc()
        metrics.request_seconds.labels(endpoint).observe(time.monotonic() - record.started)
        metrics.record_stages(record.all_stages())
        metrics.record_predictions(filter(None, record.predictions()))
        if record.problem:
            metrics.refusals.labels(record.problem).inc()
        return response
