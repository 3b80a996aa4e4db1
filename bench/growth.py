"""How the service behaves as more is asked of it, and how near its engine's own speed it comes."""

import contextlib
from dataclasses import dataclass, field
from statistics import median

import services
from alone import BATCHES, Way, started
from load import Load, closed, opened
from pictures import Source
from tables import table

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARES = (0.7, 1.5)  # of saturation, for the open loop
SATURATED = 32  # clients
WORKERS = 2
WAIT = 0.5  # seconds that a picture may wait for its turn when the places are sized to the engine
ENGINES = ("auto", "openvino-int8")


@dataclass
class Growth:
    """What was measured.

    Attributes:
        closed: loads by the number of clients, with the settings' defaults.
        places: GATEWAY_MAX_IN_FLIGHT that lets a picture wait for WAIT.
        opened: loads by the share of saturation, with these places.
        shares: the service's answers a second to its engine's own images a second, by engine.
    """

    closed: dict[int, Load] = field(default_factory=dict)
    places: int = 0
    opened: dict[float, Load] = field(default_factory=dict)
    shares: dict[str, list[float]] = field(default_factory=dict)


def measure(source: Source, seconds: float, rounds: int) -> Growth:
    pictures = source.urls["500 px"]
    growth = Growth()
    for engine in ENGINES:
        growth.shares[engine] = _shares(pictures, engine, seconds, rounds)
    with services.started(services.ours("", "auto"), pictures[0]) as running:
        for clients in CLIENTS:
            growth.closed[clients] = closed(running.url, pictures, clients, seconds)
    saturation = max(load.rate for load in growth.closed.values())
    growth.places = max(2, round(saturation * WAIT / WORKERS))
    sized = services.ours("", "auto", GATEWAY_MAX_IN_FLIGHT=str(growth.places))
    with services.started(sized, pictures[0]) as running:
        closed(running.url, pictures, 8, 2)  # warms up
        for share in SHARES:
            growth.opened[share] = opened(running.url, pictures, share * saturation, 8 * seconds)
    return growth


def _shares(pictures: list[str], name: str, seconds: float, rounds: int) -> list[float]:
    """Service and bare engine in turns."""
    service = services.ours("", name, **services.WIDE)
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(services.started(service, pictures[0]))
        engine = stack.enter_context(started(Way(name, f"engine {name}")))
        closed(running.url, pictures, 8, 2)  # warms up
        shares = []
        for _ in range(rounds):
            best = max(engine.rate(batch, seconds / 2) for batch in BATCHES)
            shares.append(closed(running.url, pictures, SATURATED, seconds).rate / best)
    return shares


def text(growth: Growth) -> str:
    """Tables in Markdown."""
    head = ("", "answers/s", "p50 ms", "p95 ms", "p99 ms", "answers", "refused", "refused p99 ms")
    rows = [(clients, *_row(load)) for clients, load in growth.closed.items()]
    arrivals = [(f"{share:.0%}", *_row(load)) for share, load in growth.opened.items()]
    shares = [
        (engine, f"{median(each):.0%} ({min(each):.0%} to {max(each):.0%})")
        for engine, each in growth.shares.items()
    ]
    return "\n\n".join(
        [
            "## Growth",
            "The service as `make run` starts it, 500 px, more and more clients at once. Whoever "
            "is refused waits for `Retry-After` and asks again.",
            table(("clients", *head[1:]), rows),
            f"Poisson arrivals, GATEWAY_MAX_IN_FLIGHT={growth.places}: as many places as the model "
            f"can serve in {WAIT} s.",
            table(("of saturation", *head[1:]), arrivals),
            f"Answers a second with {SATURATED} clients, to the images a second that the engine "
            "alone computes at its best batch size, in turns:",
            table(("engine", "share"), shares),
        ]
    )


def _row(load: Load) -> tuple[str, ...]:
    times = (f"{load.percentile(share):.0f}" for share in (50, 95, 99))
    slowest = f"{load.refused_percentile(99):.0f}" if load.refused else ""
    counts = (str(len(load.accepted)), str(len(load.refused)), slowest)
    return (f"{load.rate:.1f}", *times, *counts)


def summary(growth: Growth) -> list[tuple[str, str]]:
    """What the tables say, in a line each."""
    calm, flood = (growth.opened[share] for share in SHARES)
    return [
        *(
            (f"share of the engine's own speed, {engine}", f"{median(each):.0%}")
            for engine, each in growth.shares.items()
        ),
        ("p99 to p50 at 70 % of saturation", f"{calm.percentile(99) / calm.percentile(50):.1f} x"),
        (
            "p99 of the accepted at 150 %, to p99 at 70 %",
            f"{flood.percentile(99) / calm.percentile(99):.1f} x",
        ),
        ("99 % of the refused are told within", f"{flood.refused_percentile(99):.0f} ms"),
    ]
