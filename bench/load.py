"""Load: requests sent, and what became of them."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

TIMEOUT = aiohttp.ClientTimeout(total=120)


@dataclass
class Load:
    """What became of the requests of one run.

    Attributes:
        seconds: how long requests were sent.
        accepted: latencies of the requests that got an answer, in seconds.
        refused: of those that got 429 or 503.
        errors: how many got anything else.
    """

    seconds: float = 0.0
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.accepted) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this percentage of the accepted was answered."""
        return _percentile(self.accepted, share)

    def refused_percentile(self, share: float) -> float:
        """As `percentile`, of the refused."""
        return _percentile(self.refused, share)

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.seconds + other.seconds,
            self.accepted + other.accepted,
            self.refused + other.refused,
            self.errors + other.errors,
        )


def _percentile(seconds: Sequence[float], share: float) -> float:
    return 1000 * float(np.percentile(seconds, share)) if seconds else float("nan")


def closed(url: str, pictures: Sequence[str], clients: int, seconds: float) -> Load:
    """Clients that each ask again once they are answered, or after a refusal's Retry-After."""
    return asyncio.run(_closed(url, pictures, clients, seconds))


async def _closed(url: str, pictures: Sequence[str], clients: int, seconds: float) -> Load:
    load = Load()
    urls = itertools.cycle(pictures)
    async with _session() as session:
        began = time.perf_counter()

        async def client() -> None:
            while time.perf_counter() - began < seconds:
                wait = await _ask(session, url, next(urls), load, time.perf_counter())
                await asyncio.sleep(wait)

        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds = time.perf_counter() - began
    return load


def opened(url: str, pictures: Sequence[str], rate: float, seconds: float, seed: int = 7) -> Load:
    """Poisson arrivals, whether or not earlier ones are answered.

    Latency counts from when a request was due, so that a service that stalls cannot hide it
    by delaying the load.
    """
    return asyncio.run(_opened(url, pictures, rate, seconds, seed))


async def _opened(
    url: str, pictures: Sequence[str], rate: float, seconds: float, seed: int
) -> Load:
    load = Load(seconds)
    urls = itertools.cycle(pictures)
    async with _session() as session:
        began = time.perf_counter()
        asked = []
        for due in _arrivals(rate, seconds, seed):
            await asyncio.sleep(max(0, began + due - time.perf_counter()))
            asked.append(asyncio.create_task(_ask(session, url, next(urls), load, began + due)))
        await asyncio.gather(*asked)
    return load


def _arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    chance, due = random.Random(seed), 0.0
    while (due := due + chance.expovariate(rate)) < seconds:
        yield due


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=0))


async def _ask(
    session: aiohttp.ClientSession, url: str, picture: str, load: Load, due: float
) -> float:
    """Ask for one picture; the seconds to wait before asking again."""
    try:
        async with session.post(url, json={"url": picture}) as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        load.errors += 1
        return 0.1
    latency = time.perf_counter() - due
    if answer.ok:
        load.accepted.append(latency)
        return 0.0
    if answer.status in (429, 503):
        load.refused.append(latency)
        return float(answer.headers.get("Retry-After", "1"))
    load.errors += 1
    return 0.1
