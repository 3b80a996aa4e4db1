"""What a caller gets when the model server is killed or freezes."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from gateway_testing.ports import free_port
from gateway_testing.service import Service, gateway, predict
from gateway_testing.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

SETTINGS: dict[str, Any] = {"GATEWAY_REQUEST_TIMEOUT": "2", "GATEWAY_FETCH_TIMEOUT": "1"}


class ModelProcess:
    """A model server that can be killed and frozen."""

    def __init__(self) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "gateway_testing.fake_serving", self.host, "0"]
        self._process = subprocess.Popen(command)

    def wait_until_it_listens(self) -> None:
        host, port = self.host.split(":")

        def connects() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0

        wait_for(connects)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelProcess]:
    model = ModelProcess()
    try:
        model.wait_until_it_listens()
        yield model
    finally:
        model.kill()


@pytest.fixture(scope="module")
def service(model: ModelProcess) -> Iterator[Service]:
    with gateway(model.host, **SETTINGS) as service:
        yield service


def wait_until_answered(service: Service, jpeg: bytes) -> None:
    wait_for(lambda: predict(service, jpeg).status_code == 200)


def title(answer: requests.Response) -> str:
    return str(answer.json()["title"])


def test_requests_end_when_the_model_server_is_killed(
    model: ModelProcess, service: Service, jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_until_answered(service, jpeg)
    model.freeze()  # so that it is killed with the requests in flight
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(predict, service, jpeg) for _ in range(8)]
        wait_for(lambda: in_flight(service) == 8 or all(future.done() for future in futures))
        model.kill()
        answers = [future.result() for future in futures]
    assert {answer.status_code for answer in answers} <= {503, 504}
    assert {title(answer) for answer in answers} <= {"Model unavailable", "Model timeout"}
    assert predict(service, jpeg).status_code == 503
    model.start()
    model.wait_until_it_listens()
    returned = time.monotonic()
    wait_until_answered(service, jpeg)
    with capsys.disabled():
        seconds = time.monotonic() - returned
        print(f"\nfirst answer {seconds:.2f} s after the model server's return")


def in_flight(service: Service) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=60).text
    [line] = [line for line in text.splitlines() if line.startswith("gateway_in_flight")]
    return float(line.split()[-1])


def test_requests_time_out_while_the_model_server_is_frozen(
    model: ModelProcess, service: Service, jpeg: bytes
) -> None:
    wait_until_answered(service, jpeg)
    model.freeze()
    with contextlib.ExitStack() as stack:
        stack.callback(model.thaw)
        answer = predict(service, jpeg)
        assert (answer.status_code, title(answer)) == (504, "Model timeout")
        assert requests.get(f"{service.url}/readyz", timeout=60).status_code in (503, 504)
        assert requests.get(f"{service.url}/healthz", timeout=60).status_code == 200
    wait_until_answered(service, jpeg)
