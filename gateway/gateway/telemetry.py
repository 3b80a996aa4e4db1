"""Traces of requests, sent with OpenTelemetry's protocol if an endpoint is set."""

import os
import time
from typing import Any

from flask import Flask, Response, request

from gateway.records import current_record

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
INSTALL = "install the extra: pip install 'sports-gateway[telemetry]'"


def register(app: Flask) -> None:
    """Send a span for each request of `app` and each stage of its work, if an endpoint is set.

    OpenTelemetry's own variables (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS, ...) apply.

    Raises:
        ValueError: an endpoint is set, but the packages are missing.
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
        record, now = current_record(), time.monotonic()
        clock = time.time_ns() - int(1e9 * now)  # from monotonic to wall clock time
        span = tracer.start_span(
            f"{request.method} {request.url_rule or 'unknown'}",
            context=extract({name.lower(): value for name, value in request.headers}),
            kind=SpanKind.SERVER,
            start_time=clock + int(1e9 * record.started),
            attributes={
                "http.request.method": request.method,
                "url.path": request.path,
                "http.response.status_code": response.status_code,
                "request_id": record.request_id,
            },
        )
        inside = set_span_in_context(span)
        for stage in record.all_stages():
            started = clock + int(1e9 * stage.started)
            child = tracer.start_span(stage.name, context=inside, start_time=started)
            child.set_attribute("outcome", stage.outcome)
            child.end(started + int(1e9 * stage.seconds))
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
