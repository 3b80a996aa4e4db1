"""The log of a real gunicorn: every line JSON, one of them for each request."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer
from gateway_testing.service import gateway
from structlog.stdlib import ProcessorFormatter

from gateway.answers import refusal
from gateway.logs import FORMAT

IMAGE = {"Content-Type": "image/jpeg"}


def test_each_request_is_one_line(
    serving: FakeServing, image_server: ImageServer, jpeg: bytes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    sources: dict[str, Any] = {
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": str(image_server.port),
    }
    with log.open("wb") as output, gateway(serving.host, output=output, **sources) as service:
        url = f"{service.url}/v1/predictions"
        requests.post(url, jpeg, headers={**IMAGE, "X-Request-ID": "first"}, timeout=60)
        body = {"url": image_server.url("/missing.jpg")}
        requests.post(url, json=body, headers={"X-Request-ID": "second"}, timeout=60)
        requests.get(f"{service.url}/a%0Alevel=forged", timeout=60)
        urls = {"urls": [image_server.url("/image.jpg")] * 3}
        requests.post(url, json=urls, headers={"X-Request-ID": "third"}, timeout=60)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"timestamp", "level", "logger", "message"} <= set(line) for line in lines)
    of_requests = [line for line in lines if line["logger"] == "gateway.requests"]
    first, second, forged, third = [line for line in of_requests if line["path"] != "/readyz"]
    assert first["request_id"] == "first"
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v1/predictions", 200)
    assert first["client"] == "127.0.0.1"
    assert 0 <= first["decode_seconds"] + first["predict_seconds"] <= first["seconds"] + 0.001
    assert first["level"] == "info"
    assert (first["labels"], first["known"], first["version"]) == (["cricket"], [True], 1)
    assert "reason" not in first
    assert (second["status"], second["reason"]) == (422, "source-refused")
    assert (second["level"], second["labels"]) == ("warning", [None])
    assert "404" in second["cause"]
    assert "fetch_seconds" in second
    assert forged["path"] == "/a\nlevel=forged"
    assert (third["status"], third["images"]) == (200, 3)
    assert any("Listening at" in line["message"] for line in lines)


def test_a_defect_is_one_line_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
    client: FlaskClient,
    jpeg: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("gateway.decoders.Decoders.decode", lambda *_: 1 / 0)
    client.post("/predict", data=jpeg, content_type="image/jpeg")
    record, of_request = [record for record in caplog.records if record.levelname == "ERROR"]
    assert of_request.name == "gateway.requests"
    line = ProcessorFormatter(**FORMAT).format(record)
    assert len(line.splitlines()) == 1
    [exception] = json.loads(line)["exception"]
    assert exception["exc_type"] == "ZeroDivisionError"
    assert "locals" not in exception["frames"][0]


def test_what_the_worker_refuses_is_logged_by_its_status(caplog: pytest.LogCaptureFixture) -> None:
    for status in (408, 500):
        refusal(status, "reason", ("127.0.0.1", 1))
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
