"""The HTTP API: pictures in, answers out."""

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

from gateway.classifier import Classifier, Outcome
from gateway.clients import Clients
from gateway.config import Settings
from gateway.errors import (
    InvalidRequest,
    ModelFailed,
    ModelUnavailable,
    TooManyRequests,
    problem,
    slug,
)
from gateway.metrics import Metrics
from gateway.pictures import Batch, read_pictures
from gateway.signatures import Prediction

READY_TIMEOUT = 1.0  # seconds
GUARDED = {"api.predict", "api.predictions", "api.metrics"}
KNOWN_FROM = 0.5  # the boundary of in_domain
REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
SWITCHES = {"true": True, "1": True, "false": False, "0": False}

api = Blueprint("api", __name__)


@dataclass(frozen=True)
class Gateway:
    """The parts that the views put together."""

    settings: Settings
    clients: Clients
    classifier: Classifier
    places: threading.BoundedSemaphore  # one for each request in flight
    metrics: Metrics


@api.before_app_request
def start() -> None:
    sent = request.headers.get("X-Request-ID", "")
    g.request_id = sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    g.began = time.monotonic()
    g.deadline = g.began + _gateway().settings.request_timeout


@api.before_request
def admit() -> None:
    if request.endpoint in GUARDED:
        g.client = _gateway().clients.admit(request)


@api.after_app_request
def finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    metrics = _gateway().metrics
    endpoint = (request.endpoint or "none").removeprefix("api.")
    metrics.requests.labels(endpoint, response.status_code).inc()
    metrics.request_seconds.labels(endpoint).observe(time.monotonic() - g.began)
    if "reason" in g:
        metrics.refusals.labels(g.reason).inc()
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
        _gateway().classifier.model.available(time.monotonic() + READY_TIMEOUT)
    except ModelFailed as error:  # whoever waits for readiness need not tell the two apart
        raise ModelUnavailable(str(error)) from error
    return Response("ready", mimetype="text/plain")


@api.get("/metrics")
def metrics() -> Response:
    return Response(_gateway().metrics.text(), content_type=CONTENT_TYPE_LATEST)


@api.post("/predict")
def predict() -> ResponseReturnValue:
    show_probability = _switch("show_probability")
    with _place():
        batch = _read_pictures()
        if batch.several:
            raise InvalidRequest("Send one picture; /v1/predictions takes several.")
        prediction = _prediction(_classify(batch)[0])
    return jsonify(prediction.probabilities if show_probability else prediction.label)


@api.post("/v1/predictions")
def predictions() -> ResponseReturnValue:
    explain = _switch("explain")
    with _place():
        batch = _read_pictures()
        outcomes = _classify(batch, explain)
    if not batch.several:
        _prediction(outcomes[0])  # the request fails as its only picture does
    versions = [outcome.prediction.version for outcome in outcomes if outcome.prediction]
    model = {
        "name": _gateway().settings.model_name,
        "version": str(versions[0]) if versions else None,
    }
    return jsonify(
        {"model": model, "predictions": [_describe(outcome, explain) for outcome in outcomes]}
    )


def _read_pictures() -> Batch:
    gateway = _gateway()
    batch = read_pictures(request, gateway.settings.max_image_bytes)
    gateway.clients.count(g.client, len(batch.pictures))
    return batch


def _classify(batch: Batch, explain: bool = False) -> list[Outcome]:
    classifier = _gateway().classifier
    g.outcomes = classifier.classify(batch.pictures, g.deadline, explain, g.request_id)
    outcomes: list[Outcome] = g.outcomes
    return outcomes


def _prediction(outcome: Outcome) -> Prediction:
    if outcome.prediction is None:
        raise outcome.error or ModelFailed("The model did not answer.")
    return outcome.prediction


def _describe(outcome: Outcome, explain: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"source": outcome.picture.source}
    prediction, error = outcome.prediction, outcome.error
    if error is not None:
        _gateway().metrics.refusals.labels(slug(error.title)).inc()
        answer["error"] = problem(error.status, error.title, str(error), g.request_id)
    if prediction is not None:
        answer |= {
            "label": prediction.label,
            "probability": prediction.probabilities[prediction.label],
            "known": None if prediction.in_domain is None else prediction.in_domain >= KNOWN_FROM,
            "in_domain": prediction.in_domain,
            "probabilities": prediction.probabilities,
        }
        if explain:
            answer["heatmap"] = prediction.heatmap
    timings = {stage.name: round(1000 * stage.seconds, 1) for stage in outcome.stages}
    return {**answer, "timings_ms": timings}


def _gateway() -> Gateway:
    gateway: Gateway = current_app.extensions["gateway"]
    return gateway


def _switch(name: str) -> bool:
    """Read ?name=true, which may be left out."""
    value = request.args.get(name, "false").lower()
    if value not in SWITCHES:
        raise InvalidRequest(f"`{name}` is either true or false.")
    return SWITCHES[value]


@contextmanager
def _place() -> Iterator[None]:
    """Hold one of the places for requests in flight; when all are taken, say so at once."""
    places = _gateway().places
    if not places.acquire(blocking=False):
        raise TooManyRequests("All places are taken; please come back in a moment.")
    in_flight = _gateway().metrics.in_flight
    in_flight.inc()
    try:
        yield
    finally:
        in_flight.dec()
        places.release()
