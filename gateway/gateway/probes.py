"""What machines ask: is the service alive, is it ready, how does it do?"""

import time

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.context import current_gateway, identify_client
from gateway.errors import ModelFailed, ModelUnavailable

READY_TIMEOUT = 1.0  # seconds

probes = Blueprint("probes", __name__)


@probes.get("/ping")
def ping() -> Response:
    return Response("pong", mimetype="text/plain")


@probes.get("/healthz")
def healthz() -> Response:
    return Response("ok", mimetype="text/plain")


@probes.get("/readyz")
def readyz() -> Response:
    try:
        current_gateway().classifier.model.check_available(time.monotonic() + READY_TIMEOUT)
    except ModelFailed as error:  # a readiness probe need not tell the two apart
        raise ModelUnavailable(str(error)) from error
    return Response("ready", mimetype="text/plain")


@probes.get("/metrics")
def metrics() -> Response:
    identify_client()
    return Response(current_gateway().metrics.text(), content_type=CONTENT_TYPE_LATEST)
