"""The gateway alone, in front of a model server that answers at once: processor time per image.

    python bench/gateway_alone.py [--seconds 4] [--rounds 3] [--against FOLDER]

--against compares this checkout's gateway with that of another checkout, for example of an older
commit: both run with the same environment and are measured alternately, A, B, A, B.
"""

import argparse
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil
import requests
import services
from image_source import SIZES, ImageSource, image_source
from load import Load, closed_loop
from processes import Running, processor_seconds, started
from prometheus_client.parser import text_string_to_metric_families
from tables import median_and_range, table

STAGES = ("fetch", "decode", "predict")
CLIENTS = (1, 8, 32)
WORKERS = (1, 2)
CLIENTS_OF_SIZES = 8
IDLE_SECONDS = 12  # a worker returns memory to the system every ten


@dataclass(frozen=True)
class Cost:
    """What an answer costs.

    Attributes:
        rate: answers a second.
        milliseconds: of processor time per answer, all workers and their master together.
        stages: mean wall-clock milliseconds of an image in each stage.
    """

    rate: float
    milliseconds: float
    stages: dict[str, float]


@dataclass
class GatewayResult:
    """Costs by image size, and by workers and clients; megabytes of an idle worker."""

    sizes: dict[str, list[Cost]] = field(default_factory=dict)
    growth: dict[tuple[int, int], list[Cost]] = field(default_factory=dict)
    megabytes: float = 0.0


def measure(source: ImageSource, seconds: float, rounds: int) -> GatewayResult:
    result = GatewayResult()
    with contextlib.ExitStack() as stack:
        running = {
            workers: stack.enter_context(started(services.gateway_alone(workers), source.small[0]))
            for workers in WORKERS
        }
        for each in running.values():
            closed_loop(each.url, source.small, 8, 2)  # warm-up
        for _ in range(rounds):
            for size in SIZES:
                cost = _cost(running[1], source.urls_of_size(size), CLIENTS_OF_SIZES, seconds)
                result.sizes.setdefault(size, []).append(cost)
            for workers, each in running.items():
                for clients in CLIENTS:
                    cost = _cost(each, source.small, clients, seconds / 2)
                    result.growth.setdefault((workers, clients), []).append(cost)
        time.sleep(IDLE_SECONDS)
        result.megabytes = worker(running[1]).memory_info().rss / 1e6
    return result


def worker(running: Running) -> psutil.Process:
    """The first worker of a running gateway."""
    return running.processes[-1].children()[0]


def _cost(running: Running, images: list[str], clients: int, seconds: float) -> Cost:
    before = _stage_seconds(running)
    load, milliseconds = _processor_milliseconds(running, images, clients, seconds)
    after, count = _stage_seconds(running), len(load.accepted)
    stages = {name: 1000 * (after[name] - before[name]) / count for name in STAGES}
    return Cost(load.rate, milliseconds, stages)


def _processor_milliseconds(
    running: Running, images: list[str], clients: int, seconds: float
) -> tuple[Load, float]:
    """The load, and the gateway's processor time per answer."""
    master = running.processes[-1]
    before = processor_seconds(master)
    load = closed_loop(running.url, images, clients, seconds)
    after = processor_seconds(master)
    if load.errors or load.refused:
        raise RuntimeError(f"{load.errors} errors, {len(load.refused)} refused")
    return load, 1000 * (after - before) / len(load.accepted)


def _stage_seconds(running: Running) -> dict[str, float]:
    """Total seconds in each stage so far."""
    text = requests.get(running.url.replace("/predict", "/metrics"), timeout=10).text
    sums = dict.fromkeys(STAGES, 0.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "gateway_stage_seconds_sum" and sample.labels["stage"] in sums:
                sums[sample.labels["stage"]] += sample.value
    return sums


def report(result: GatewayResult) -> str:
    """Tables in Markdown."""
    head = ("processor, ms", "answers/s", "answers/s per core", *(f"{s}, ms" for s in STAGES))
    sizes = [(size, *_row(costs)) for size, costs in result.sizes.items()]
    growth = [(*key, *_row(costs)) for key, costs in result.growth.items()]
    return "\n\n".join(
        [
            "## The gateway alone",
            "In front of a model server that answers at once; images by URL. Processor time is "
            "that of the workers and their master; stage times are wall-clock times, waiting "
            f"included. A worker that is idle after all this takes {result.megabytes:.0f} MB.",
            f"One worker, {CLIENTS_OF_SIZES} clients:",
            table(("", *head), sizes),
            "500 px:",
            table(("workers", "clients", *head), growth),
        ]
    )


def _row(costs: list[Cost]) -> tuple[str, ...]:
    milliseconds = median(cost.milliseconds for cost in costs)
    stages = (median(cost.stages[name] for cost in costs) for name in STAGES)
    rate = median(cost.rate for cost in costs)
    return (
        *(f"{milliseconds:.2f}", f"{rate:.0f}", f"{1000 / milliseconds:.0f}"),
        *(f"{stage:.1f}" for stage in stages),
    )


def summary(result: GatewayResult) -> list[tuple[str, str]]:
    """What the tables say, in a line each."""
    rows = [
        (
            f"gateway alone, processor time per {size} image",
            f"{median(cost.milliseconds for cost in costs):.1f} ms",
        )
        for size, costs in result.sizes.items()
    ]
    return [*rows, ("memory of an idle worker", f"{result.megabytes:.0f} MB")]


def compare(source: ImageSource, other: Path, seconds: float, rounds: int) -> str:
    """Processor time per request of this checkout's gateway and of another's."""
    with contextlib.ExitStack() as stack:
        pair = [
            stack.enter_context(started(services.gateway_alone(1, checkout), source.small[0]))
            for checkout in (services.ROOT, other)
        ]
        for each in pair:
            closed_loop(each.url, source.small, CLIENTS_OF_SIZES, 2)  # warm-up
        times = [
            [
                _processor_milliseconds(each, source.small, CLIENTS_OF_SIZES, seconds)[1]
                for each in pair
            ]
            for _ in range(rounds)
        ]
    rows = [(f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.3f}") for ours, theirs in times]
    medians = [f"{median(column):.2f}" for column in zip(*times, strict=True)]
    ratios = median_and_range([ours / theirs for ours, theirs in times], ".3f")
    head = ("round", "this checkout, ms", f"{other}, ms", "ratio")
    numbered = [(number, *row) for number, row in enumerate(rows, 1)]
    return table(head, [*numbered, ("median", *medians, ratios)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="FOLDER", type=Path, help="another checkout")
    options = parser.parse_args()
    with image_source() as source:
        if options.against:
            other = options.against.resolve()
            print(compare(source, other, options.seconds, options.rounds))
        else:
            print(report(measure(source, options.seconds, options.rounds)))


if __name__ == "__main__":
    main()
