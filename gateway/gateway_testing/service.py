"""The whole gateway under gunicorn, in processes of its own."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import requests
import run_local

from gateway_testing.ports import free_port
from gateway_testing.waiting import wait_for

GATEWAY = Path(run_local.__file__).parent
# How long the tests under load last at least, all their phases together.
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "2"))
RATE = 20  # requests a second


@dataclass(frozen=True)
class Service:
    url: str
    port: int
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def gateway(
    host: str, workers: int = 1, output: BinaryIO | None = None, **settings: str
) -> Iterator[Service]:
    """Run the gateway in front of the model server at `host`, and wait until it is ready.

    Args:
        output: where its log goes.
        settings: environment variables.
    """
    with starting_gateway(host, workers, output, **settings) as service:
        run_local.wait_until_ready(service.url, {"gateway": service.process})
        yield service


@contextlib.contextmanager
def starting_gateway(
    host: str, workers: int = 1, output: BinaryIO | None = None, **settings: str
) -> Iterator[Service]:
    """Run the gateway as `gateway` does, without waiting."""
    port = free_port()
    own = {"PORT": str(port), "WEB_CONCURRENCY": str(workers), "TF_SERVING_HOST": host}
    command = [run_local.tool("run", "gunicorn")]
    environ = {**run_local.GLIBC, **os.environ, **own, **settings}
    with run_local.running(command, environ, GATEWAY, output) as process:
        yield Service(f"http://localhost:{port}", port, process)


def predict(service: Service, jpeg: bytes) -> requests.Response:
    return requests.post(
        f"{service.url}/predict", jpeg, headers={"Content-Type": "image/jpeg"}, timeout=60
    )


class Load:
    """Sends RATE requests a second, each over a connection of its own."""

    def __init__(self, service: Service, jpeg: bytes) -> None:
        self._service, self._jpeg = service, jpeg
        self._pool = ThreadPoolExecutor(64)
        self._stop = threading.Event()
        self._answers: list[Future[int]] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(1 / RATE):
            self._answers.append(self._pool.submit(self._send))

    def _send(self) -> int:
        try:
            return predict(self._service, self._jpeg).status_code
        except requests.RequestException:
            return 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()

    def sent(self) -> int:
        """How many requests have been sent, or wait to be, so far."""
        return len(self._answers)

    def answered(self) -> int:
        """How many requests have been answered, or have failed, so far."""
        return sum(answer.done() for answer in self._answers)

    def wait_for_more(self, requests: int = 15) -> None:
        """Go on until so many more requests have been answered, and a quarter of LOAD_SECONDS."""
        goal, until = self.answered() + requests, time.monotonic() + LOAD_SECONDS / 4
        wait_for(lambda: self.answered() >= goal and time.monotonic() >= until, 60 + LOAD_SECONDS)

    def statuses(self) -> list[int]:
        """The status of each request, 0 for one without an answer."""
        return [answer.result() for answer in self._answers]


class Crowd(Load):
    """So many clients at once, each of which sends a request as soon as the last is answered."""

    def __init__(self, service: Service, jpeg: bytes, clients: int) -> None:
        super().__init__(service, jpeg)
        self._waiting = threading.Semaphore(clients)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._waiting.acquire()
            answer = self._pool.submit(self._send)
            answer.add_done_callback(lambda _: self._waiting.release())
            self._answers.append(answer)
