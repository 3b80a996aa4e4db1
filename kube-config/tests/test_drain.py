"""A gateway that is told to stop answers the requests in flight, then ends."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import requests
from gateway_testing.drawings import encode, gradient
from gateway_testing.fake_serving import FakeServing
from gateway_testing.service import gateway, predict
from gateway_testing.waiting import wait_for
from manifests import rendered

from tf_serving import api_pb2 as tf

REQUESTS = 4


class HoldingServing(FakeServing):
    """Answers only after `release` is set."""

    def __init__(self) -> None:
        self.held = threading.Semaphore(0)
        self.release = threading.Event()
        super().__init__()

    def predict(
        self, request: tf.PredictRequest, context: grpc.ServicerContext
    ) -> tf.PredictResponse:
        self.held.release()
        self.release.wait()
        return super().predict(request, context)


@pytest.fixture
def serving() -> Iterator[HoldingServing]:
    fake = HoldingServing()
    yield fake
    fake.release.set()
    fake.stop()


def test_requests_in_flight_are_answered(serving: HoldingServing) -> None:
    environment = rendered("eks").environment("gateway")
    del environment["TF_SERVING_HOST"], environment["PROMETHEUS_MULTIPROC_DIR"]
    workers = int(environment.pop("WEB_CONCURRENCY"))
    image = encode(gradient())
    with (
        gateway(serving.host, workers, None, **environment) as service,
        ThreadPoolExecutor(REQUESTS) as clients,
    ):
        answers = [clients.submit(predict, service, image) for _ in range(REQUESTS)]
        for _ in range(REQUESTS):
            assert serving.held.acquire(timeout=60)
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not accepts_requests(service.url))
        serving.release.set()
        assert [answer.result().status_code for answer in answers] == [200] * REQUESTS
        assert service.process.wait(60) == 0


def accepts_requests(url: str) -> bool:
    try:
        requests.get(f"{url}/ping", timeout=1)
    except (requests.ConnectionError, requests.Timeout):  # new connections wait until the end
        return False
    return True
