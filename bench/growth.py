"""The service under growing load, and its speed relative to that of its engine alone."""

import contextlib
import os
from dataclasses import dataclass, field
from statistics import median

import psutil
import services
from image_source import ImageSource
from load import Load, closed_loop, open_loop
from model_alone import BATCHES, Variant
from model_alone import started as engine_started
from processes import Running, processor_seconds, started
from tables import median_and_range, table

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARES = (0.7, 1.5)  # of saturation, for the open loop
SATURATED = 32  # clients
WORKERS = 2
WAIT = 0.5  # seconds that a request may wait when the request slots are sized to the engine
ENGINES = ("auto", "fp32")


@dataclass
class EngineShare:
    """One engine in the service, and alone.

    Attributes:
        ratios: the service's answers a second to the engine's images a second, for each round.
        processor: share of the processors' time that each part used under load.
    """

    ratios: list[float]
    processor: dict[str, float]


@dataclass
class GrowthResult:
    """What was measured.

    Attributes:
        by_clients: closed loops by the number of clients, with the default settings.
        slots: GATEWAY_MAX_IN_FLIGHT with which a request waits for WAIT at most.
        by_share: open loops by the share of saturation, with that many slots.
        engines: by name.
    """

    by_clients: dict[int, Load] = field(default_factory=dict)
    slots: int = 0
    by_share: dict[float, Load] = field(default_factory=dict)
    engines: dict[str, EngineShare] = field(default_factory=dict)


def measure(source: ImageSource, seconds: float, rounds: int) -> GrowthResult:
    result = GrowthResult()
    for name in ENGINES:
        result.engines[name] = _engine_share(source, name, seconds, rounds)
    with contextlib.ExitStack() as stack:
        service = services.ours("ours", "auto")
        running = stack.enter_context(started(service, source.small[0]))
        for clients in CLIENTS:
            load = closed_loop(running.url, source.small, clients, seconds)
            result.by_clients[clients] = load
        result.slots = max(2, round(result.by_clients[SATURATED].rate * WAIT / WORKERS))
        sized = services.ours("ours, sized", "auto", {"GATEWAY_MAX_IN_FLIGHT": str(result.slots)})
        sized_running = stack.enter_context(started(sized, source.small[0]))
        closed_loop(sized_running.url, source.small, 8, 2)  # warm-up
        result.by_share = dict.fromkeys(SHARES, Load())
        for seed in range(rounds):
            saturation = closed_loop(running.url, source.small, SATURATED, seconds).rate
            for share in SHARES:
                rate = share * saturation
                load = open_loop(sized_running.url, source.small, rate, 4 * seconds, seed)
                result.by_share[share] += load
    return result


def _engine_share(source: ImageSource, name: str, seconds: float, rounds: int) -> EngineShare:
    """Measure the engine alone and the service alternately."""
    service = services.ours(f"ours, {name}", name, services.SLOTS_FOR_ALL)
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(started(service, source.small[0]))
        engine = stack.enter_context(engine_started(Variant(name, f"model_server {name}")))
        closed_loop(running.url, source.small, 8, 2)  # warm-up
        total, ratios = Load(), []
        used = dict.fromkeys(_processor_seconds(running, source), 0.0)
        for _ in range(rounds):
            alone = max(engine.rate(batch, seconds / 2) for batch in BATCHES)
            before = _processor_seconds(running, source)
            load = closed_loop(running.url, source.small, SATURATED, seconds)
            for part, after in _processor_seconds(running, source).items():
                used[part] += after - before[part]
            total += load
            ratios.append(load.rate / alone)
    available = total.seconds * (os.cpu_count() or 1)
    return EngineShare(ratios, {part: seconds / available for part, seconds in used.items()})


def _processor_seconds(running: Running, source: ImageSource) -> dict[str, float]:
    """Processor time that each part has used so far."""
    server, gateway = running.processes
    own = psutil.Process().cpu_times()
    return {
        "model server": processor_seconds(server),
        "gateway": processor_seconds(gateway),
        "load generator": own.user + own.system,
        "image source": processor_seconds(psutil.Process(source.pid)),
    }


def report(result: GrowthResult) -> str:
    """Tables in Markdown."""
    head = ("answers/s", "p50 ms", "p95 ms", "p99 ms", "answers", "refused", "refused p99 ms")
    by_clients = [(clients, *_row(load)) for clients, load in result.by_clients.items()]
    by_share = [(f"{share:.0%}", *_row(load)) for share, load in result.by_share.items()]
    engines = [
        (
            name,
            median_and_range(one.ratios, ".0%"),
            *(f"{share:.0%}" for share in one.processor.values()),
        )
        for name, one in result.engines.items()
    ]
    parts = next(iter(result.engines.values())).processor
    return "\n\n".join(
        [
            "## Growth",
            "The service as `make run` starts it, 500 px, with more and more clients. A refused "
            "client waits for `Retry-After` and sends another request.",
            table(("clients", *head), by_clients),
            f"Poisson arrivals with GATEWAY_MAX_IN_FLIGHT={result.slots}: as many request slots as "
            f"the model can serve in {WAIT} s. Saturation is the rate with {SATURATED} clients, "
            "measured before each.",
            table(("share of saturation", *head), by_share),
            f"Answers a second with {SATURATED} clients, relative to the images a second that the "
            "engine alone computes at its best batch size, measured alternately; and the share of "
            "the processors' time that each part used meanwhile:",
            table(("engine", "relative to the engine alone", *parts), engines),
        ]
    )


def _row(load: Load) -> tuple[str, ...]:
    latencies = (f"{load.percentile(percent):.0f}" for percent in (50, 95, 99))
    refused = f"{load.refused_percentile(99):.0f}" if load.refused else ""
    counts = (str(len(load.accepted)), str(len(load.refused)), refused)
    return (f"{load.rate:.1f}", *latencies, *counts)


def summary(result: GrowthResult) -> list[tuple[str, str]]:
    """What the tables say, in a line each."""
    below, above = (result.by_share[share] for share in SHARES)
    tail = below.percentile(99)
    return [
        *(
            (f"service relative to its engine alone, {name}", f"{median(one.ratios):.0%}")
            for name, one in result.engines.items()
        ),
        ("p99 relative to p50 at 70 % of saturation", f"{tail / below.percentile(50):.1f} x"),
        (
            "p99 of accepted requests at 150 %, relative to p99 at 70 %",
            f"{above.percentile(99) / tail:.1f} x",
        ),
        ("p99 of refusals at 150 %", f"{above.refused_percentile(99):.0f} ms"),
    ]
