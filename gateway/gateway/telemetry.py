"""A trace of each request, sent with OpenTelemetry's protocol when somebody collects them."""

import os
import time
from typing import Any

from flask import Flask, Response, g, request

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
INSTALL = "install the extra: pip install 'sports-gateway[telemetry]'"


def register(app: Flask) -> None:
    """If an endpoint is set, send it a span of each request of `app` and of its pictures' stages.

    OpenTelemetry's own variables (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS, ...) apply.

    Raises:
        ValueError: an endpoint is set, but the packages are not there.
    """
    if not os.environ.get(ENDPOINT):
        return
    try:
        tracer, extract = _connect()
    except ImportError as error:
        raise ValueError(f"{ENDPOINT} is set, but {error.name} is missing; {INSTALL}") from error
    from opentelemetry.trace import SpanKind, set_span_in_context

    @app.after_request
    def trace(response: Response) -> Response:
        now = time.monotonic()
        clock = time.time_ns() - int(1e9 * now)  # what takes a monotonic time to the wall clock's
        span = tracer.start_span(
            f"{request.method} {request.url_rule or 'unknown'}",
            context=extract({name.lower(): value for name, value in request.headers}),
            kind=SpanKind.SERVER,
            start_time=clock + int(1e9 * g.began),
            attributes={
                "http.request.method": request.method,
                "url.path": request.path,
                "http.response.status_code": response.status_code,
                "request_id": g.request_id,
            },
        )
        inside = set_span_in_context(span)
        for outcome in g.get("outcomes", []):
            for stage in outcome.stages:
                began = clock + int(1e9 * stage.began)
                part = tracer.start_span(stage.name, context=inside, start_time=began)
                part.end(began + int(1e9 * stage.seconds))
        span.end(clock + int(1e9 * now))
        return response


def _connect() -> tuple[Any, Any]:
    """The tracer, and what reads a caller's trace from headers."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    name = os.environ.get("OTEL_SERVICE_NAME", "sports-gateway")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("gateway"), TraceContextTextMapPropagator().extract
