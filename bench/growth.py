"""How the service behaves as more is asked of it, and how near its engine's own speed it comes."""

import contextlib
import os
from dataclasses import dataclass, field
from statistics import median

import psutil
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
        opened: loads by the share of saturation, which is measured before each, with these places.
        shares: the service's answers a second to its engine's own images a second, by engine.
        spent: shares of all processors' time that each part took meanwhile, by engine.
    """

    closed: dict[int, Load] = field(default_factory=dict)
    places: int = 0
    opened: dict[float, Load] = field(default_factory=dict)
    shares: dict[str, list[float]] = field(default_factory=dict)
    spent: dict[str, dict[str, float]] = field(default_factory=dict)


def measure(source: Source, seconds: float, rounds: int) -> Growth:
    pictures = source.urls["500 px"]
    growth = Growth()
    for engine in ENGINES:
        _saturate(growth, source, engine, seconds, rounds)
    with contextlib.ExitStack() as stack:
        whole = services.ours("", "auto")
        running = stack.enter_context(services.started(whole, pictures[0]))
        for clients in CLIENTS:
            growth.closed[clients] = closed(running.url, pictures, clients, seconds)
        growth.places = max(2, round(growth.closed[SATURATED].rate * WAIT / WORKERS))
        sized = services.ours("", "auto", GATEWAY_MAX_IN_FLIGHT=str(growth.places))
        narrow = stack.enter_context(services.started(sized, pictures[0]))
        closed(narrow.url, pictures, 8, 2)  # warms up
        growth.opened = dict.fromkeys(SHARES, Load())
        for seed in range(rounds):
            saturation = closed(running.url, pictures, SATURATED, seconds).rate
            for share in SHARES:
                arrivals = opened(narrow.url, pictures, share * saturation, 4 * seconds, seed)
                growth.opened[share] += arrivals
    return growth


def _saturate(growth: Growth, source: Source, name: str, seconds: float, rounds: int) -> None:
    """Service and bare engine in turns."""
    pictures = source.urls["500 px"]
    service = services.ours("", name, **services.WIDE)
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(services.started(service, pictures[0]))
        engine = stack.enter_context(started(Way(name, f"engine {name}")))
        closed(running.url, pictures, 8, 2)  # warms up
        loads, shares, spent = Load(), [], dict.fromkeys(_spent(running, source), 0.0)
        for _ in range(rounds):
            best = max(engine.rate(batch, seconds / 2) for batch in BATCHES)
            before = _spent(running, source)
            load = closed(running.url, pictures, SATURATED, seconds)
            for part, after in _spent(running, source).items():
                spent[part] += after - before[part]
            loads += load
            shares.append(load.rate / best)
    growth.shares[name] = shares
    whole = loads.seconds * (os.cpu_count() or 1)
    growth.spent[name] = {part: seconds / whole for part, seconds in spent.items()}


def _spent(running: services.Running, source: Source) -> dict[str, float]:
    """Seconds of processor time that each part has taken so far."""
    server, gateway = running.processes
    own = psutil.Process().cpu_times()
    return {
        "model server": services.processor_seconds(server),
        "gateway": services.processor_seconds(gateway),
        "load generator": own.user + own.system,
        "pictures' server": services.processor_seconds(psutil.Process(source.pid)),
    }


def text(growth: Growth) -> str:
    """Tables in Markdown."""
    head = ("", "answers/s", "p50 ms", "p95 ms", "p99 ms", "answers", "refused", "refused p99 ms")
    rows = [(clients, *_row(load)) for clients, load in growth.closed.items()]
    arrivals = [(f"{share:.0%}", *_row(load)) for share, load in growth.opened.items()]
    shares = [
        (
            engine,
            f"{median(each):.0%} ({min(each):.0%} to {max(each):.0%})",
            *(f"{spent:.0%}" for spent in growth.spent[engine].values()),
        )
        for engine, each in growth.shares.items()
    ]
    parts = next(iter(growth.spent.values()))
    return "\n\n".join(
        [
            "## Growth",
            "The service as `make run` starts it, 500 px, more and more clients at once. Whoever "
            "is refused waits for `Retry-After` and asks again.",
            table(("clients", *head[1:]), rows),
            f"Poisson arrivals, GATEWAY_MAX_IN_FLIGHT={growth.places}: as many places as the model "
            f"can serve in {WAIT} s. Saturation is what {SATURATED} clients get, measured before "
            "each.",
            table(("of saturation", *head[1:]), arrivals),
            f"Answers a second with {SATURATED} clients, to the images a second that the engine "
            "alone computes at its best batch size, in turns; and who had the processors' time "
            "meanwhile:",
            table(("engine", "share", *parts), shares),
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
