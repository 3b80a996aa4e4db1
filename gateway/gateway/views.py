"""The HTTP API: images in, answers out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from gateway.classifier import Wanted
from gateway.config import read_bool
from gateway.context import current_gateway, identify_client
from gateway.errors import InvalidRequest, ModelFailed, TooManyRequests
from gateway.feedback import NONE
from gateway.preview import data_url
from gateway.problems import problem
from gateway.records import Outcome, current_record
from gateway.request_images import read_images
from gateway.signatures import Prediction

api = Blueprint("api", __name__)


api.before_request(identify_client)


@api.post("/predict")
def predict() -> ResponseReturnValue:
    show_probability = _query_bool("show_probability")
    [outcome] = _classify(allow_batch=False, wanted=Wanted())
    prediction = _prediction(outcome)
    return jsonify(prediction.probabilities if show_probability else prediction.label)


@api.post("/v1/predictions")
def predictions() -> ResponseReturnValue:
    wanted = Wanted(explain=_query_bool("explain"), preview=_query_bool("preview"))
    outcomes = _classify(allow_batch=True, wanted=wanted)
    versions = [outcome.prediction.version for outcome in outcomes if outcome.prediction]
    model = {
        "name": current_gateway().settings.model_name,
        "version": str(versions[0]) if versions else None,
    }
    described = [_describe(outcome, wanted) for outcome in outcomes]
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
    [outcome] = _classify(allow_batch=False, wanted=Wanted(data=True))
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


def _classify(allow_batch: bool, wanted: Wanted) -> list[Outcome]:
    """Read and classify the images of the request; a single image's error is the request's."""
    gateway, record = current_gateway(), current_record()
    with _request_slot():
        found = read_images(request, gateway.settings.max_image_bytes)
        record.headers = gateway.clients.count(record.client, len(found.images))
        if found.is_batch and not allow_batch:
            raise InvalidRequest("Send one image; only /v1/predictions takes several.")
        gateway.metrics.in_flight.inc(len(found.images))
        try:
            outcomes = gateway.classifier.classify(found.images, record, wanted)
        finally:
            gateway.metrics.in_flight.dec(len(found.images))
    if not found.is_batch:
        _prediction(outcomes[0])
    return outcomes


def _prediction(outcome: Outcome) -> Prediction:
    if outcome.prediction is None:
        raise outcome.error or ModelFailed("The model did not answer.")
    return outcome.prediction


def _describe(outcome: Outcome, wanted: Wanted) -> dict[str, Any]:
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
        if wanted.explain:
            answer["heatmap"] = prediction.heatmap
        if wanted.preview and outcome.pixels is not None:
            answer["preview"] = data_url(outcome.pixels)
    if outcome.pixels is not None:
        stages = [*stages, *(stage for stage in record.stages if stage.name == "predict")]
    return {
        **answer,
        "timings_ms": {stage.name: round(1000 * stage.seconds, 1) for stage in stages},
    }


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
