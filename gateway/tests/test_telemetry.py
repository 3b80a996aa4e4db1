"""Traces that a collector receives."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from gateway_testing.fake_serving import FakeServing
from gateway_testing.waiting import wait_for
from grpc import StatusCode
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.app import create_app
from gateway.config import Settings

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """What a collector receives."""
    requests: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    yield requests
    server.shutdown()
    server.server_close()


def test_a_request_and_its_stages_are_sent(
    settings: Settings, jpeg: bytes, received: list[ExportTraceServiceRequest]
) -> None:
    app = create_app(settings)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "abc"}
    client = app.test_client()
    assert client.post("/predict", data=jpeg, content_type="image/jpeg", headers=headers).json
    wait_for(lambda: received)
    app.extensions["gateway"].classifier.model.close()
    [resource] = received[0].resource_spans
    names = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert names["service.name"] == "sports-gateway"
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert set(spans) == {"POST /predict", "signature", "fetch", "decode", "predict"}
    whole = spans["POST /predict"]
    assert whole.trace_id.hex() == TRACE
    assert whole.parent_span_id.hex() == PARENT
    for name in ("signature", "fetch", "decode", "predict"):
        assert attributes(spans[name]) == {"outcome": "ok"}
        assert spans[name].parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= spans[name].start_time_unix_nano
        assert spans[name].end_time_unix_nano <= whole.end_time_unix_nano


def test_the_stage_that_failed_is_marked(
    settings: Settings,
    serving: FakeServing,
    jpeg: bytes,
    received: list[ExportTraceServiceRequest],
) -> None:
    app = create_app(settings)
    serving.error = (StatusCode.INTERNAL, "the model is broken")
    app.test_client().post("/predict", data=jpeg, content_type="image/jpeg")
    wait_for(lambda: received)
    app.extensions["gateway"].classifier.model.close()
    [resource] = received[0].resource_spans
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert attributes(spans["signature"]) == {"outcome": "error"}


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def test_nothing_is_loaded_without_an_endpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    create_app(settings)


def test_missing_packages_stop_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        create_app(settings)
