import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer
from gateway_testing.metrics import parse
from gateway_testing.ports import free_port
from run_local import wait_until_ready

GATEWAY = Path(__file__).parents[1]


def scrape(client: FlaskClient) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.content_type.startswith("text/plain; version=")
    return parse(response.text)


def test_an_answer_is_counted_with_its_stages(
    client: FlaskClient, image_server: ImageServer, jpeg: bytes
) -> None:
    response = client.post("/v1/predictions", json={"url": image_server.url("/image.jpg")})
    assert response.status_code == 200
    found = scrape(client)
    assert found['gateway_requests_total{endpoint="predictions",status="200"}'] == 1
    assert found['gateway_request_seconds_count{endpoint="predictions"}'] == 1
    for stage in ("signature", "fetch", "decode", "predict"):
        assert found[f'gateway_stage_seconds_count{{outcome="ok",stage="{stage}"}}'] == 1
    assert found["gateway_received_bytes_total"] == len(jpeg)
    assert found["gateway_in_flight"] == 0
    assert any(name.startswith("gateway_model_info{") for name in found)


def test_what_the_model_says_is_counted(
    client: FlaskClient, image_server: ImageServer, jpeg: bytes
) -> None:
    before = scrape(client)
    assert before["gateway_in_domain_count"] == 0  # an alert compares it with later values
    urls = [image_server.url("/image.jpg"), image_server.url("/missing.jpg")]
    client.post("/v1/predictions", json={"urls": urls})
    found = scrape(client)
    assert found['gateway_predictions_total{known="true",label="cricket"}'] == 1
    assert found['gateway_probability_bucket{le="0.8"}'] == 0
    assert found['gateway_probability_bucket{le="0.9"}'] == 1
    assert found["gateway_in_domain_count"] == 1


def test_hits_and_misses_of_the_cache_are_counted(
    new_client: Callable[..., FlaskClient], client: FlaskClient, jpeg: bytes
) -> None:
    with_cache = new_client(cache_entries=10)
    for each in (with_cache, client):
        for _ in range(3):
            each.post("/predict", data=jpeg, content_type="image/jpeg")
    found = scrape(with_cache)
    assert found['gateway_cache_total{result="miss"}'] == 1
    assert found['gateway_cache_total{result="hit"}'] == 2
    assert not any(name.startswith("gateway_cache") for name in scrape(client))


def test_problems_are_counted_by_type(client: FlaskClient) -> None:
    client.post("/predict", json={})
    client.get("/nowhere")
    urls = ["ftp://example.com/", "http://example.com:22/"]
    client.post("/v1/predictions", json={"urls": urls})
    found = scrape(client)
    assert found['gateway_refusals_total{reason="invalid-request"}'] == 1
    assert found['gateway_refusals_total{reason="source-refused"}'] == 2
    assert found['gateway_requests_total{endpoint="predict",status="400"}'] == 1
    assert found['gateway_requests_total{endpoint="none",status="404"}'] == 1


def test_only_the_latest_version_is_shown(client: FlaskClient) -> None:
    metrics = client.application.extensions["gateway"].metrics
    for version in (1, 2):
        metrics.set_model("sports", version)
    found = scrape(client)
    assert found['gateway_model_info{name="sports",version="1"}'] == 0
    assert found['gateway_model_info{name="sports",version="2"}'] == 1


@pytest.mark.parametrize("given", [True, False], ids=["a folder given", "a folder of its own"])
def test_workers_share_their_metrics(serving: FakeServing, tmp_path: Path, given: bool) -> None:
    stale = tmp_path / "counter_1.db"
    stale.write_bytes(b"what a former container left")
    port = free_port()
    environ = {
        **{name: value for name, value in os.environ.items() if "PROMETHEUS" not in name},
        **({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if given else {}),
        "TMPDIR": str(tmp_path),
        "TF_SERVING_HOST": serving.host,
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"], cwd=GATEWAY, env=environ, stdout=subprocess.DEVNULL
    )
    address = f"http://localhost:{port}"
    try:
        wait_until_ready(address, {"gateway": gunicorn})
        for _ in range(30):
            requests.get(f"{address}/ping", timeout=60)
        texts = [requests.get(f"{address}/metrics", timeout=60).text for _ in range(6)]
    finally:
        gunicorn.terminate()
        gunicorn.wait(60)
    name = 'gateway_requests_total{endpoint="ping",status="200"}'
    assert [parse(text)[name] for text in texts] == [30] * 6
    assert stale.exists() is not given
    own = [folder for folder in tmp_path.iterdir() if re.match("gateway-metrics", folder.name)]
    assert own == []
