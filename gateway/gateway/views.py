"""The HTTP API: images in, answers out."""

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.classifier import Classifier
from gateway.clients import Clients
from gateway.config import Settings, read_bool
from gateway.errors import InvalidRequest, ModelFailed, ModelUnavailable, TooManyRequests
from gateway.metrics import Metrics
from gateway.problems import problem
from gateway.records import Outcome, RequestRecord, current_record
from gateway.request_images import read_images
from gateway.signatures import Prediction

READY_TIMEOUT = 1.0  # seconds
PROTECTED = {"api.predict", "api.predictions", "api.metrics"}
REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)

api = Blueprint("api", __name__)


@dataclass(frozen=True)
class Gateway:
    """The parts that the views put together."""

    settings: Settings
    clients: Clients
    classifier: Classifier
    request_slots: threading.BoundedSemaphore
    metrics: Metrics


@api.before_app_request
def start_record() -> None:
    sent, now = request.headers.get("X-Request-ID", ""), time.monotonic()
    g.record = RequestRecord(
        request_id=sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex,
        started=now,
        deadline=now + _gateway().settings.request_timeout,
    )


@api.before_request
def identify_client() -> None:
    if request.endpoint in PROTECTED:
        current_record().client = _gateway().clients.admit(request)


@api.after_app_request
def finish_record(response: Response) -> Response:
    record, metrics = current_record(), _gateway().metrics
    response.headers["X-Request-ID"] = record.request_id
    endpoint = (request.endpoint or "none").removeprefix("api.")
    metrics.requests.labels(endpoint, response.status_code).inc()
    metrics.request_seconds.labels(endpoint).observe(time.monotonic() - record.started)
    metrics.record_stages(record.all_stages())
    if record.problem:
        metrics.refusals.labels(record.problem).inc()
    return response


@api.get("/ping")
def ping() -> Response:
    return Response("pong", mimetype="text/plain")


@api.get("/healthz")
def healthz() -> Response:
    return Response("ok", mimetype="text/plain")


@api.get("/readyz")
def readyz() -> Response:
    try:
        _gateway().classifier.model.check_available(time.monotonic() + READY_TIMEOUT)
    except ModelFailed as error:  # a readiness probe need not tell the two apart
        raise ModelUnavailable(str(error)) from error
    return Response("ready", mimetype="text/plain")


@api.get("/metrics")
def metrics() -> Response:
    return Response(_gateway().metrics.text(), content_type=CONTENT_TYPE_LATEST)


@api.post("/predict")
def predict() -> ResponseReturnValue:
    show_probability = _query_bool("show_probability")
    [outcome] = _classify(allow_batch=False)
    prediction = _prediction(outcome)
    return jsonify(prediction.probabilities if show_probability else prediction.label)


@api.post("/v1/predictions")
def predictions() -> ResponseReturnValue:
    explain = _query_bool("explain")
    outcomes = _classify(allow_batch=True, explain=explain)
    versions = [outcome.prediction.version for outcome in outcomes if outcome.prediction]
    model = {
        "name": _gateway().settings.model_name,
        "version": str(versions[0]) if versions else None,
    }
    described = [_describe(outcome, explain) for outcome in outcomes]
    return jsonify({"model": model, "predictions": described})


def _classify(allow_batch: bool, explain: bool = False) -> list[Outcome]:
    """Read and classify the images of the request; a single image's error is the request's."""
    gateway, record = _gateway(), current_record()
    with _request_slot():
        found = read_images(request, gateway.settings.max_image_bytes)
        gateway.clients.count(record.client, len(found.images))
        if found.is_batch and not allow_batch:
            raise InvalidRequest("Send one image; /v1/predictions takes several.")
        gateway.metrics.in_flight.inc(len(found.images))
        try:
            outcomes = gateway.classifier.classify(found.images, record, explain)
        finally:
            gateway.metrics.in_flight.dec(len(found.images))
    if not found.is_batch:
        _prediction(outcomes[0])
    return outcomes


def _prediction(outcome: Outcome) -> Prediction:
    if outcome.prediction is None:
        raise outcome.error or ModelFailed("The model did not answer.")
    return outcome.prediction


def _describe(outcome: Outcome, explain: bool) -> dict[str, Any]:
    """The answer about one image."""
    record = current_record()
    answer: dict[str, Any] = {"source": outcome.image.source}
    prediction, error, stages = outcome.prediction, outcome.error, outcome.stages
    if error is not None:
        _gateway().metrics.refusals.labels(error.slug).inc()
        answer["error"] = problem(error.status, error.title, str(error), record.request_id)
    if prediction is not None:
        answer |= {
            "label": prediction.label,
            "probability": prediction.probabilities[prediction.label],
            "known": prediction.known,
            "in_domain": prediction.in_domain,
            "probabilities": prediction.probabilities,
        }
        if explain:
            answer["heatmap"] = prediction.heatmap
    if outcome.pixels is not None:
        stages = [*stages, *(stage for stage in record.stages if stage.name == "predict")]
    return {
        **answer,
        "timings_ms": {stage.name: round(1000 * stage.seconds, 1) for stage in stages},
    }


def _gateway() -> Gateway:
    gateway: Gateway = current_app.extensions["gateway"]
    return gateway


def _query_bool(name: str) -> bool:
    """Read ?name=true, which may be left out."""
    try:
        return read_bool(request.args.get(name, "false"))
    except ValueError as error:
        raise InvalidRequest(f"`{name}` is either true or false.") from error


@contextmanager
def _request_slot() -> Iterator[None]:
    """Hold one of the slots for requests in flight; if none is free, refuse at once."""
    slots = _gateway().request_slots
    if not slots.acquire(blocking=False):
        raise TooManyRequests("The service is busy; please try again in a moment.")
    try:
        yield
    finally:
        slots.release()
