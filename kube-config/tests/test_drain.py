"""A gateway that is told to stop finishes what it has begun, within its pod's grace period."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import run_local
from drawings import encode, gradient
from fake_serving import FakeServing
from machine import ROOT
from manifests import rendered
from test_manifests import environment, times

REQUESTS = 4  # a worker's places
Gateway = tuple["subprocess.Popen[bytes]", str]  # and its URL


@pytest.fixture
def serving() -> Iterator[FakeServing]:
    fake = FakeServing()
    yield fake
    fake.stop()


@pytest.fixture
def gateway(serving: FakeServing, tmp_path: Path) -> Iterator[Gateway]:
    port = str(run_local.free_port())
    environ = {**os.environ, **environment(rendered("eks").container("gateway"))}
    environ |= {"PORT": port, "TF_SERVING_HOST": serving.host}
    environ |= {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [str(Path(sys.executable).with_name("gunicorn"))]
    with run_local.running(command, environ, ROOT / "gateway") as process:
        url = f"http://localhost:{port}"
        run_local.wait_until_ready(url, {"gateway": process})
        yield process, url


def test_requests_in_flight_are_answered(gateway: Gateway, serving: FakeServing) -> None:
    process, url = gateway
    picture, headers = encode(gradient()), {"Content-Type": "image/jpeg"}
    serving.delay = 2.0

    def ask() -> int:
        return requests.post(f"{url}/predict", picture, headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(REQUESTS) as clients:
        answers = [clients.submit(ask) for _ in range(REQUESTS)]
        while len(serving.requests) < REQUESTS:
            assert not any(answer.done() for answer in answers)
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert [answer.result() for answer in answers] == [200] * REQUESTS
    pre_stop, grace = times(rendered("eks"), "gateway")
    assert process.wait(grace - pre_stop) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/ping", timeout=5)
