"""The HTTP API: images in, answers out."""

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from gateway.classifier import Classifier
from gateway.clients import Clients
from gateway.config import Settings, read_bool
from gateway.errors import InvalidRequest, ModelFailed, TooManyRequests
from gateway.feedback import NONE, FeedbackStore
from gateway.metrics import Metrics
from gateway.problems import problem
from gateway.records import Outcome, RequestRecord, current_record
from gateway.request_images import read_images
from gateway.signatures import Prediction

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
    feedback: FeedbackStore | None  # none: none is taken


@api.before_app_request
def start_record() -> None:
    sent, now = request.headers.get("X-Request-ID", ""), time.monotonic()
    g.record = RequestRecord(
        request_id=sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex,
        started=now,
        deadline=now + current_gateway().settings.request_timeout,
    )


@api.before_request
def identify_client() -> None:
    current_record().client = current_gateway().clients.admit(request)


@api.after_app_request
def finish_record(response: Response) -> Response:
    record, metrics = current_record(), current_gateway().metrics
    response.headers["X-Request-ID"] = record.request_id
    endpoint = (request.endpoint or "none").removeprefix("api.").removeprefix("probes.")
    metrics.requests.labels(endpoint, response.status_code).inc()
    metrics.request_seconds.labels(endpoint).observe(time.monotonic() - record.started)
    metrics.record_stages(record.all_stages())
    if record.problem:
        metrics.refusals.labels(record.problem).inc()
    return response


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
        "name": current_gateway().settings.model_name,
        "version": str(versions[0]) if versions else None,
    }
    described = [_describe(outcome, explain) for outcome in outcomes]
    return jsonify({"model": model, "predictions": described})


@api.get("/v1/model")
def model() -> ResponseReturnValue:
    gateway, deadline = current_gateway(), current_record().deadline
    labels = gateway.classifier.model.labels(deadline)
    signature = gateway.classifier.model.signature(deadline)
    height, width = signature.size
    return jsonify(
        {
            "name": gateway.settings.model_name,
            "version": str(signature.version) if signature.version else None,
            "labels": labels,
            "input": {"height": height, "width": width},
            "explain": signature.explains,
            "feedback": gateway.feedback is not None,
        }
    )


@api.post("/v1/feedback")
def feedback() -> ResponseReturnValue:
    gateway, record = current_gateway(), current_record()
    if gateway.feedback is None:
        raise NotFound("This service takes no feedback.")
    label, labels = request.args.get("label"), gateway.classifier.model.labels(record.deadline)
    if label is None or label not in (*labels, NONE):
        raise InvalidRequest(f"Send `?label=`, one of {', '.join(labels)}, or {NONE}.")
    [outcome] = _classify(allow_batch=False, keep_data=True)
    prediction = _prediction(outcome)
    answer = {
        "predicted": prediction.label,
        "probability": prediction.probabilities[prediction.label],
        "known": prediction.known,
        "in_domain": prediction.in_domain,
        "model": gateway.settings.model_name,
        "version": prediction.version,
        "date": datetime.now(UTC).date().isoformat(),
    }
    is_none = label not in labels
    digest = gateway.feedback.store(outcome.data, label, is_none, answer, record.deadline)
    gateway.metrics.feedback.labels(label, prediction.label).inc()
    return jsonify({"image": digest}), 202


def _classify(allow_batch: bool, explain: bool = False, keep_data: bool = False) -> list[Outcome]:
    """Read and classify the images of the request; a single image's error is the request's."""
    gateway, record = current_gateway(), current_record()
    with _request_slot():
        found = read_images(request, gateway.settings.max_image_bytes)
        gateway.clients.count(record.client, len(found.images))
        if found.is_batch and not allow_batch:
            raise InvalidRequest("Send one image; only /v1/predictions takes several.")
        gateway.metrics.in_flight.inc(len(found.images))
        try:
            outcomes = gateway.classifier.classify(found.images, record, explain, keep_data)
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
        current_gateway().metrics.refusals.labels(error.slug).inc()
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


def current_gateway() -> Gateway:
    """The parts of the application that this thread works for."""
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
    slots = current_gateway().request_slots
    if not slots.acquire(blocking=False):
        raise TooManyRequests("The service is busy; please try again in a moment.")
    try:
        yield
    finally:
        slots.release()
