"""A day's traffic in twenty minutes: does the memory of the workers grow?

    python bench/soak.py [--minutes 20] [--rate 72]

72 requests a second for 20 minutes are as many as one a second for 24 hours. They are drawn at
random: images of several sizes and formats by URL and as a body, sources that redirect, fail, send
slowly or break off, files that are not images, and invalid requests. After each minute all requests
are waited for and the memory of each worker is printed; at the end, its growth since the warm-up.
"""

import argparse
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from gateway_testing import image_server
from gateway_testing.drawings import encode, gradient, png_header
from gateway_testing.fake_serving import FakeServing
from gateway_testing.image_server import ImageServer, Route, answer, redirect
from gateway_testing.service import Service, gateway

PAUSE_SECONDS = 12  # a worker returns memory to the system every ten seconds
IMAGES = {
    "small.jpg": encode(gradient(500, 375)),
    "large.jpg": encode(gradient(4000, 3000)),
    "a.png": encode(gradient(640, 480), "PNG"),
    "a.webp": encode(gradient(900, 600), "WEBP"),
    "a.gif": encode(gradient(320, 240), "GIF"),
    "too-many-pixels.png": png_header(30_000, 30_000),
    "truncated.jpg": encode(gradient())[:3000],
    "html.jpg": b"<!doctype html>",
}
ROUTES: dict[str, Route] = {
    "redirect": redirect("/small.jpg"),
    "redirect-loop": redirect("/redirect-loop"),
    "error": lambda handler: answer(handler, b"", 500),
    "slow": image_server.drip,
    "endless": image_server.flood,
    "broken-off": image_server.broken_off,
}
FREQUENT = ["small.jpg"] * 20 + ["a.png", "a.webp", "large.jpg"] * 3


@dataclass
class Traffic:
    """Random requests to a service at a steady rate, and the statuses of the answers."""

    service: Service
    serving: FakeServing
    source: ImageServer
    rate: float  # requests a second
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    statuses: Counter[int] = field(default_factory=Counter)

    def send(self, seconds: float) -> None:
        """Send requests for that time, and wait for all answers."""
        count, began = 0, time.monotonic()
        with ThreadPoolExecutor(64) as pool:
            while (passed := time.monotonic() - began) < seconds:
                if passed >= count / self.rate:
                    status = pool.submit(self._request())
                    status.add_done_callback(lambda done: self.statuses.update([done.result()]))
                    count += 1
                    self._forget_requests()
                else:
                    time.sleep(0.002)

    def _request(self) -> Callable[[], int]:
        """Draw a request. Calling it sends it and returns the status, or 0 without an answer."""
        name = self.rng.choice([*FREQUENT, *IMAGES, *ROUTES, "missing"])
        route = self.rng.choice(["/predict", "/predict?show_probability=true", "/v1/predictions"])
        url = self.service.url + route
        kind = self.rng.choice(["url"] * 6 + ["body", "form", "invalid"])
        if kind == "body" and name in IMAGES:
            headers = {"Content-Type": "image/jpeg"}
            request = requests.Request("POST", url, data=IMAGES[name], headers=headers)
        elif kind == "form" and name in IMAGES:
            request = requests.Request("POST", url, files={"image": IMAGES[name]})
        elif kind == "invalid":
            request = requests.Request("POST", url, data=self.rng.randbytes(200))
        else:
            request = requests.Request("POST", url, json={"url": self.source.url(f"/{name}")})
        return lambda: _status(request)

    def _forget_requests(self) -> None:
        """The servers record all requests for tests; a long run must not keep them."""
        for record in (
            *(self.source.requests, self.source.local_addresses, self.source.client_addresses),
            *(self.serving.requests, self.serving.metadata),
        ):
            record.clear()


def _status(request: requests.Request) -> int:
    with contextlib.suppress(requests.RequestException), requests.Session() as session:
        return session.send(request.prepare(), timeout=30).status_code
    return 0


def worker_megabytes(service: Service) -> list[float]:
    """Memory of each worker."""
    workers = psutil.Process(service.process.pid).children()
    return [worker.memory_info().rss / 1e6 for worker in workers]


def measure(traffic: Traffic, minutes: float) -> list[list[float]]:
    """Memory of each worker after a warm-up, and after each minute of traffic."""
    sizes = []
    intervals = max(1, round(minutes))
    for _ in range(1 + intervals):
        traffic.send(60 * minutes / intervals)
        time.sleep(PAUSE_SECONDS)
        sizes.append(worker_megabytes(traffic.service))
        shown = "  ".join(f"{size:.1f} MB" for size in sizes[-1])
        print(f"{traffic.statuses.total():6} requests: {shown}", flush=True)
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=72, help="requests a second")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        serving, source = FakeServing(), ImageServer()
        stack.callback(serving.stop)
        stack.callback(source.stop)
        source.routes |= {f"/{name}": route for name, route in {**IMAGES, **ROUTES}.items()}
        settings = {
            "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
            "GATEWAY_ALLOWED_PORTS": str(source.port),
            "GATEWAY_FETCH_TIMEOUT": "2",
        }
        log = stack.enter_context(Path("/dev/null").open("wb"))
        service = stack.enter_context(gateway(serving.host, workers=2, output=log, **settings))
        traffic = Traffic(service, serving, source, options.rate)
        sizes = measure(traffic, options.minutes)
    for before, after in zip(sizes[0], sizes[-1], strict=True):
        print(f"{before:.1f} -> {after:.1f} MB: {100 * (after / before - 1):+.1f} %")
    print("statuses:", dict(sorted(traffic.statuses.items())))


if __name__ == "__main__":
    main()
