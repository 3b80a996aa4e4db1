"""The HTTP API: a picture in, an answer out."""

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.clients import Clients
from gateway.config import Settings
from gateway.errors import InvalidRequest, ModelFailed, ModelUnavailable, TooManyRequests
from gateway.fetcher import Fetcher
from gateway.images import preprocess
from gateway.metrics import Metrics
from gateway.pictures import Picture, read_picture
from gateway.serving import Model
from gateway.shares import Shares
from gateway.signatures import Prediction, Signature

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
    fetcher: Fetcher
    model: Model
    clients: Clients
    places: threading.BoundedSemaphore  # one for each request in flight
    pixels: Shares  # decoded at once
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
        _gateway().model.available(time.monotonic() + READY_TIMEOUT)
    except ModelFailed as error:  # whoever waits for readiness need not tell the two apart
        raise ModelUnavailable(str(error)) from error
    return Response("ready", mimetype="text/plain")


@api.get("/metrics")
def metrics() -> Response:
    return Response(_gateway().metrics.text(), content_type=CONTENT_TYPE_LATEST)


@api.post("/predict")
def predict() -> ResponseReturnValue:
    show_probability = _switch("show_probability")
    _gateway().clients.count(g.client, 1)
    with _place():
        prediction = _classify(_picture(), {})
    return jsonify(prediction.probabilities if show_probability else prediction.label)


@api.post("/v1/predictions")
def predictions() -> ResponseReturnValue:
    explain = _switch("explain")
    timings_ms: dict[str, float] = {}
    _gateway().clients.count(g.client, 1)
    with _place():
        picture = _picture()
        prediction = _classify(picture, timings_ms, explain)
    answer = {
        "source": picture.source,
        "label": prediction.label,
        "probability": prediction.probabilities[prediction.label],
        "known": None if prediction.in_domain is None else prediction.in_domain >= KNOWN_FROM,
        "in_domain": prediction.in_domain,
        "probabilities": prediction.probabilities,
        "timings_ms": timings_ms,
    }
    if explain:
        answer["heatmap"] = prediction.heatmap
    model = {"name": _gateway().settings.model_name, "version": str(prediction.version)}
    return jsonify({"model": model, "predictions": [answer]})


def _classify(picture: Picture, timings_ms: dict[str, float], explain: bool = False) -> Prediction:
    """Say what a picture shows; `timings_ms` receives what each step took."""
    gateway = _gateway()
    data = picture.data
    with _timed(timings_ms, "fetch"):
        if data is None:
            data = gateway.fetcher.download(picture.source, g.deadline)
    gateway.metrics.received_bytes.inc(len(data))
    signature = gateway.model.signature(g.deadline)
    try:
        return _ask(signature, data, timings_ms, explain)
    except ModelFailed:  # was the model swapped for one that takes something else?
        fresh = gateway.model.signature(g.deadline)
        if fresh == signature:
            raise
        return _ask(fresh, data, timings_ms, explain)


def _ask(
    signature: Signature, data: bytes, timings_ms: dict[str, float], explain: bool
) -> Prediction:
    if explain and not signature.explains:
        raise InvalidRequest("This model cannot explain its answers.")
    gateway = _gateway()
    with _timed(timings_ms, "decode"):
        reserve = partial(gateway.pixels.take, deadline=g.deadline)
        image = preprocess(data, signature.size, gateway.settings.max_image_pixels, reserve)
    with _timed(timings_ms, "predict"):
        [prediction] = gateway.model.predict(
            image[None], signature, g.deadline, explain=explain, request_id=g.request_id
        )
    gateway.metrics.answered_by(gateway.settings.model_name, prediction.version)
    return prediction


def _gateway() -> Gateway:
    gateway: Gateway = current_app.extensions["gateway"]
    return gateway


def _picture() -> Picture:
    return read_picture(request, _gateway().settings.max_image_bytes)


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


@contextmanager
def _timed(timings_ms: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds = time.perf_counter() - began
    timings_ms[step] = round(1000 * seconds, 1)
    _gateway().metrics.stage_seconds.labels(step).observe(seconds)
