"""Requests whose right answers are known, sent at a steady rate while faults are caused."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests
from gateway_testing.image_server import ImageServer

SPORTS = ("badminton", "cricket", "soccer", "swimming", "tennis")  # drawings the model is sure of
FOLDER = Path(__file__).resolve().parent.parent / "dataset/samples"
SAMPLES = {sport: (FOLDER / f"{sport}.jpg").read_bytes() for sport in SPORTS}
# What openapi.yaml documents for requests like these.
DOCUMENTED = {200, 413, 415, 422, 429, 502, 503, 504}
RATE = 4  # requests a second


@dataclass(frozen=True)
class Answer:
    """A request's times on time.monotonic's clock, its status (0: none), and the label."""

    sample: str
    started: float
    ended: float
    status: int
    label: str


@dataclass
class Traffic:
    """Sends RATE requests a second until it is stopped."""

    url: str
    source: ImageServer
    answers: list[Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        rng, names = random.Random(0), itertools.cycle(SAMPLES)
        with ThreadPoolExecutor(64) as pool:
            while not self._stop.wait(1 / RATE):
                pool.submit(self._send, next(names), rng.random() < 0.5)

    def _send(self, name: str, by_url: bool) -> None:
        body = {"url": self.source.url(f"/{name}")} if by_url else None
        files = None if by_url else {"image": SAMPLES[name]}
        started, status, label = time.monotonic(), 0, ""
        with contextlib.suppress(requests.RequestException):
            response = requests.post(f"{self.url}/predict", json=body, files=files, timeout=60)
            status = response.status_code
            label = str(response.json()) if response.ok else ""
        self.answers.append(Answer(name, started, time.monotonic(), status, label))

    def first_success_after(self, moment: float, seconds: float = 60) -> float:
        """When the first request that was sent after this moment was answered with 200."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            done = [a.ended for a in list(self.answers) if a.started >= moment and a.status == 200]
            if done:
                return min(done)
            time.sleep(0.05)
        raise RuntimeError(f"no request succeeded within {seconds} s")

    @contextlib.contextmanager
    def running(self) -> Iterator["Traffic"]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()


def judge(answers: list[Answer], windows: list[tuple[float, float]]) -> dict[str, int]:
    """Count what must not be."""

    def is_inside(answer: Answer) -> bool:
        return any(answer.started < end and answer.ended > start for start, end in windows)

    return {
        "wrong answers": sum(a.status == 200 and a.label != a.sample for a in answers),
        "undocumented statuses": sum(
            a.status not in DOCUMENTED and not (a.status == 0 and is_inside(a)) for a in answers
        ),
        "lost outside of faults": sum(a.status != 200 and not is_inside(a) for a in answers),
    }
