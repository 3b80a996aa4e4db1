"""The gateway alone, in front of a model that costs nothing: processor time for each picture.

    python bench/gateway_alone.py [--seconds 4] [--rounds 3] [--flame FILE.svg]

--flame draws where a worker's time goes while it answers 500 px pictures, with py-spy.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import psutil
import requests
import services
from load import closed
from pictures import SIZES, Source, source
from prometheus_client.parser import text_string_to_metric_families
from services import ROOT, Command, Running, Service
from tables import table

STAGES = ("fetch", "decode", "predict")
CLIENTS = (1, 8, 32)
WORKERS = (1, 2)
CLIENTS_OF_SIZES = 8
REST_SECONDS = 12  # a worker gives memory back every ten


@dataclass(frozen=True)
class Cost:
    """What answering has cost.

    Attributes:
        rate: answers a second.
        milliseconds: of processor time for an answer, all workers and their master together.
        stages: milliseconds that passed in each stage of a picture, on average.
    """

    rate: float
    milliseconds: float
    stages: dict[str, float]


@dataclass
class Measured:
    """Costs by size of the pictures, and by workers and clients; megabytes of a worker."""

    sizes: dict[str, list[Cost]] = field(default_factory=dict)
    growth: dict[tuple[int, int], list[Cost]] = field(default_factory=dict)
    megabytes: float = 0.0


def gateway(workers: int) -> Service:
    """The service with a model server that answers at once."""
    fake = Command(
        (services.python("dev"), "fake_serving.py", "127.0.0.1:{model_port}", "0"),
        ROOT / "gateway/tests",
    )
    ours = services.ours("gateway alone", "auto", **services.WIDE, WEB_CONCURRENCY=str(workers))
    return Service(ours.name, ours.environment, (fake, ours.commands[-1]), ours.environ)


def measure(source: Source, seconds: float, rounds: int) -> Measured:
    measured = Measured()
    small = source.urls["500 px"]
    with contextlib.ExitStack() as stack:
        running = {
            workers: stack.enter_context(services.started(gateway(workers), small[0]))
            for workers in WORKERS
        }
        for each in running.values():
            closed(each.url, small, 8, 2)  # warms up
        for _ in range(rounds):
            for size in SIZES:
                cost = _cost(running[1], source.urls[size], CLIENTS_OF_SIZES, seconds)
                measured.sizes.setdefault(size, []).append(cost)
            for workers, each in running.items():
                for clients in CLIENTS:
                    cost = _cost(each, small, clients, seconds / 2)
                    measured.growth.setdefault((workers, clients), []).append(cost)
        time.sleep(REST_SECONDS)
        measured.megabytes = _worker(running[1]).memory_info().rss / 1e6
    return measured


def _cost(running: Running, pictures: list[str], clients: int, seconds: float) -> Cost:
    master = running.processes[-1]
    before, stages_before = services.processor_seconds(master), _stages(running)
    load = closed(running.url, pictures, clients, seconds)
    after, stages_after = services.processor_seconds(master), _stages(running)
    if load.errors or load.refused:
        raise RuntimeError(f"{load.errors} errors, {len(load.refused)} refused")
    count = len(load.accepted)
    stages = {name: 1000 * (stages_after[name] - stages_before[name]) / count for name in STAGES}
    return Cost(load.rate, 1000 * (after - before) / count, stages)


def _stages(running: Running) -> dict[str, float]:
    """Seconds that have passed in each stage so far."""
    text = requests.get(running.url.replace("/predict", "/metrics"), timeout=10).text
    sums = dict.fromkeys(STAGES, 0.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "gateway_stage_seconds_sum":
                sums[sample.labels["stage"]] = sample.value
    return sums


def _worker(running: Running) -> psutil.Process:
    return running.processes[-1].children()[0]


def text(measured: Measured) -> str:
    """Tables in Markdown."""
    head = (
        "",
        "ms of processor",
        "answers/s",
        "answers/s of a core",
        *(f"{s}, ms" for s in STAGES),
    )
    sizes = [(size, *_row(costs)) for size, costs in measured.sizes.items()]
    growth = [
        (workers, clients, *_row(costs)) for (workers, clients), costs in measured.growth.items()
    ]
    return "\n\n".join(
        [
            "## The gateway alone",
            "In front of a model that costs nothing, pictures by URL. Processor time is the "
            "workers' and their master's; stages are times that passed, waiting included. After "
            f"all this a worker at rest takes {measured.megabytes:.0f} MB.",
            f"One worker, {CLIENTS_OF_SIZES} clients:",
            table(head, sizes),
            "500 px:",
            table(("workers", "clients", *head[1:]), growth),
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


def summary(measured: Measured) -> list[tuple[str, str]]:
    """What the tables say, in a line each."""
    rows = [
        (
            f"gateway alone, processor time for a {size} picture",
            f"{median(cost.milliseconds for cost in costs):.1f} ms",
        )
        for size, costs in measured.sizes.items()
    ]
    return [*rows, ("memory of a worker at rest", f"{measured.megabytes:.0f} MB")]


@contextlib.contextmanager
def recorded(worker: psutil.Process, file: str) -> Iterator[None]:
    """Draw a flame graph of what the worker does in the meantime."""
    tool = shutil.which("py-spy") or str(ROOT / ".venv/dev/bin/py-spy")
    command = [tool, "record", "--pid", str(worker.pid), "--output", file, "--rate", "500"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield
    process.send_signal(2)
    process.wait()


def flame(file: str, seconds: float) -> None:
    with (
        source() as pictures,
        services.started(gateway(1), pictures.urls["500 px"][0]) as running,
        recorded(_worker(running), file),
    ):
        closed(running.url, pictures.urls["500 px"], 8, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flame", metavar="FILE.svg")
    options = parser.parse_args()
    if options.flame:
        sys.exit(flame(options.flame, options.seconds))
    with source() as pictures:
        print(text(measure(pictures, options.seconds, options.rounds)))


if __name__ == "__main__":
    main()
