"""What a caller gets when something dies, freezes or fills up: docs/reliability.md's table."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import run_local
from gateway_testing.fake_serving import FakeServing, sports_outputs
from gateway_testing.service import LOAD_SECONDS, RATE, Load, Service, gateway, predict

BUDGET = 3.0  # seconds a request may take
SETTINGS = {"GATEWAY_REQUEST_TIMEOUT": str(BUDGET), "GATEWAY_FETCH_TIMEOUT": "2"}


class ModelProcess:
    """A model server that can be killed and frozen."""

    def __init__(self, delay: float = 0.0) -> None:
        self._address = f"127.0.0.1:{run_local.free_port()}"
        self._delay = delay
        self.start()

    @property
    def host(self) -> str:
        return self._address

    def start(self) -> None:
        module = "gateway_testing.fake_serving"
        command = [sys.executable, "-m", module, self._address, str(self._delay)]
        self.process = subprocess.Popen(command)

    def listens(self) -> bool:
        host, port = self.host.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def model_process(delay: float = 0.0) -> Iterator[ModelProcess]:
    model = ModelProcess(delay)
    try:
        yield model
    finally:
        model.kill()


def until_answered(service: Service, jpeg: bytes) -> float:
    """Seconds until the first success."""
    began = time.monotonic()
    while predict(service, jpeg).status_code != 200:
        assert time.monotonic() < began + 20
    return time.monotonic() - began


def workers(service: Service) -> list[int]:
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("needs Linux' /proc")
    return [int(child) for child in children.read_text().split()]


def report(capsys: pytest.CaptureFixture, text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")


def test_the_model_server_is_killed_with_requests_in_flight(
    jpeg: bytes, wait_for, capsys: pytest.CaptureFixture
) -> None:
    with model_process(delay=1.0) as model, gateway(model.host, **SETTINGS) as service:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(predict, service, jpeg) for _ in range(8)]
            time.sleep(0.5)
            model.kill()
            answers = [one.result() for one in asked]
        assert {answer.status_code for answer in answers} <= {503, 504}
        assert {answer.json()["title"] for answer in answers} <= {
            "Model unavailable",
            "Model timeout",
        }
        assert predict(service, jpeg).status_code == 503
        model._delay = 0.0
        model.start()
        wait_for(model.listens)
        seconds = until_answered(service, jpeg)
        report(capsys, f"first answer {seconds:.2f} s after the model server's return")


def test_the_model_server_freezes_and_goes_on(jpeg: bytes) -> None:
    with model_process() as model, gateway(model.host, **SETTINGS) as service:
        assert predict(service, jpeg).json() == "cricket"
        model.send(signal.SIGSTOP)
        answer = predict(service, jpeg)
        assert (answer.status_code, answer.json()["title"]) == (504, "Model timeout")
        assert requests.get(f"{service.url}/readyz", timeout=5).status_code in (503, 504)
        assert requests.get(f"{service.url}/healthz", timeout=5).status_code == 200
        model.send(signal.SIGCONT)
        until_answered(service, jpeg)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"probabilities": np.zeros((1, 7), np.float32)},
        {**sports_outputs(), "probabilities": np.full((1, 7), np.nan, np.float32)},
        {**sports_outputs(), "probabilities": np.full((1, 6), 1 / 6, np.float32)},
        {**sports_outputs(), "probabilities": np.full((2, 7), 1 / 7, np.float32)},
        {**sports_outputs(), "probabilities": np.full((1, 7), 5, np.float32)},
        {**sports_outputs(), "in_domain": np.full(3, 0.5, np.float32)},
        {**sports_outputs(), "in_domain": np.full(1, np.inf, np.float32)},
        {**sports_outputs(), "labels": np.array([["a"]])},
    ],
    ids=["missing", "no labels", "nan", "six", "two", "five", "domains", "infinite", "labels"],
)
def test_the_model_server_answers_nonsense(client, serving: FakeServing, jpeg, outputs) -> None:
    serving.outputs = outputs or {"other": np.zeros((1, 7), np.float32)}
    response = client.post("/predict", data=jpeg, content_type="image/jpeg")
    assert (response.status_code, response.json["title"]) == (502, "Model failed")
    serving.outputs = None
    assert client.post("/predict", data=jpeg, content_type="image/jpeg").json == "cricket"


def test_a_new_version_under_load(serving: FakeServing, jpeg: bytes) -> None:
    roomy = {"GATEWAY_MAX_IN_FLIGHT": "64"}
    with gateway(serving.host, workers=2, **roomy) as service, Load(service, jpeg) as load:
        for version in (2, 3, 4):
            time.sleep(LOAD_SECONDS / 4)
            serving.version = version
        time.sleep(LOAD_SECONDS / 4)
    assert set(load.statuses()) == {200}


def test_a_worker_is_killed(serving: FakeServing, jpeg: bytes, wait_for) -> None:
    with gateway(serving.host, workers=2, **SETTINGS) as service:
        wait_for(lambda: len(workers(service)) == 2)
        with Load(service, jpeg) as load:
            time.sleep(1)
            os.kill(workers(service)[0], signal.SIGKILL)
            time.sleep(3)
        lost = [status for status in load.statuses() if status != 200]
        assert len(lost) <= RATE * BUDGET / 2  # at most what it was working on
        wait_for(lambda: len(workers(service)) == 2)
        assert predict(service, jpeg).json() == "cricket"


def test_workers_are_replaced_one_after_another(
    serving: FakeServing, jpeg: bytes, wait_for, capsys: pytest.CaptureFixture
) -> None:
    serving.delay = 0.1
    roomy = {"GATEWAY_MAX_IN_FLIGHT": "64"}  # on a slow machine none shall be refused
    with gateway(serving.host, workers=2, **roomy) as service, Load(service, jpeg) as load:
        before = workers(service)
        for _ in range(3):
            time.sleep(LOAD_SECONDS / 4)
            service.process.send_signal(signal.SIGHUP)
        time.sleep(LOAD_SECONDS / 4)
        wait_for(lambda: not set(before) & set(workers(service)))
    statuses = load.statuses()
    report(capsys, f"{len(statuses)} requests over three restarts of all workers")
    assert set(statuses) == {200}


def test_what_is_in_flight_is_answered_before_the_end(serving: FakeServing, jpeg: bytes) -> None:
    serving.delay = 1.0
    with gateway(serving.host, workers=2) as service, ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(predict, service, jpeg) for _ in range(6)]
        time.sleep(0.5)
        service.process.terminate()
        assert [one.result().status_code for one in asked] == [200] * 6
        assert service.process.wait(20) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
def test_the_disk_for_logs_is_full(serving: FakeServing, jpeg: bytes) -> None:
    with Path("/dev/full").open("wb") as full, gateway(serving.host, output=full) as service:
        for _ in range(5):
            assert predict(service, jpeg).json() == "cricket"
        assert predict(service, b"nonsense").status_code == 415


# For everything written in Python; gRPC hands what it reads to its core, whose clock stays.
JUMPING_CLOCK = """
import os, sys, time
real = time.time
def jumped():
    ours = not sys._getframe(1).f_globals["__name__"].startswith("grpc")
    return real() + ours * float(open(os.environ["CLOCK_JUMP"]).read())
time.time = jumped
"""


@pytest.mark.parametrize("seconds", [10_000, -10_000])
def test_the_clock_jumps(serving: FakeServing, jpeg: bytes, tmp_path: Path, seconds: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPING_CLOCK)
    jump = tmp_path / "jump"
    jump.write_text("0")
    clock = {"PYTHONPATH": str(tmp_path), "CLOCK_JUMP": str(jump)}
    with gateway(serving.host, **clock, **SETTINGS) as service:
        before = workers(service)
        assert predict(service, jpeg).json() == "cricket"
        jump.write_text(str(seconds))
        with Load(service, jpeg) as load:
            time.sleep(2)
        assert set(load.statuses()) == {200}
        assert workers(service) == before
