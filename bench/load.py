"""Send requests, and record how each was answered."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

TIMEOUT = aiohttp.ClientTimeout(total=120)
PAUSE_AFTER_ERROR = 0.1  # seconds


@dataclass
class Load:
    """How the requests of one run were answered.

    Attributes:
        seconds: how long requests were sent.
        accepted: latencies of the requests that were answered, in seconds.
        refused: latencies of those that were answered with 429 or 503.
        errors: the number of all others.
    """

    seconds: float = 0.0
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.accepted) / self.seconds

    def percentile(self, percent: float) -> float:
        """Percentile of the latency of accepted requests, in milliseconds."""
        return _percentile(self.accepted, percent)

    def refused_percentile(self, percent: float) -> float:
        """Percentile of the latency of refused requests, in milliseconds."""
        return _percentile(self.refused, percent)

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.seconds + other.seconds,
            self.accepted + other.accepted,
            self.refused + other.refused,
            self.errors + other.errors,
        )


def _percentile(seconds: Sequence[float], percent: float) -> float:
    return 1000 * float(np.percentile(seconds, percent)) if seconds else float("nan")


def closed_loop(
    url: str, images: Sequence[str], clients: int, seconds: float, patient: bool = True
) -> Load:
    """Clients that send their next request after an answer.

    Args:
        url: of the service.
        images: URLs of the images, sent one after another.
        patient: after a refusal they wait as its Retry-After says; others ask again at once.
    """
    return asyncio.run(_closed_loop(url, images, clients, seconds, patient))


async def _closed_loop(
    url: str, images: Sequence[str], clients: int, seconds: float, patient: bool
) -> Load:
    load = Load()
    image = itertools.cycle(images)
    async with _session() as session:
        began = time.perf_counter()

        async def client() -> None:
            while time.perf_counter() - began < seconds:
                pause = await _send(session, url, next(image), load, time.perf_counter())
                await asyncio.sleep(pause if patient else 0)

        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds = time.perf_counter() - began
    return load


def open_loop(url: str, images: Sequence[str], rate: float, seconds: float, seed: int = 7) -> Load:
    """Poisson arrivals, independent of the answers.

    Latency is counted from the time at which a request was due, so that a service that stalls
    cannot hide it by delaying the load.

    Args:
        url: of the service.
        images: URLs of the images, sent one after another.
        rate: requests a second.
    """
    return asyncio.run(_open_loop(url, images, rate, seconds, seed))


async def _open_loop(
    url: str, images: Sequence[str], rate: float, seconds: float, seed: int
) -> Load:
    load = Load(seconds)
    image = itertools.cycle(images)
    async with _session() as session:
        began = time.perf_counter()
        requests = []
        for due in _arrivals(rate, seconds, seed):
            await asyncio.sleep(max(0, began + due - time.perf_counter()))
            request = _send(session, url, next(image), load, began + due)
            requests.append(asyncio.create_task(request))
        await asyncio.gather(*requests)
    return load


def _arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    rng, due = random.Random(seed), 0.0
    while (due := due + rng.expovariate(rate)) < seconds:
        yield due


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=0))


async def _send(
    session: aiohttp.ClientSession, url: str, image: str, load: Load, due: float
) -> float:
    """Send one request, record how it was answered, and return the seconds to pause after it."""
    try:
        async with session.post(url, json={"url": image}) as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        load.errors += 1
        return PAUSE_AFTER_ERROR
    latency = time.perf_counter() - due
    if answer.ok:
        load.accepted.append(latency)
        return 0.0
    if answer.status in (429, 503):
        load.refused.append(latency)
        return float(answer.headers.get("Retry-After", "1"))
    load.errors += 1
    return PAUSE_AFTER_ERROR
