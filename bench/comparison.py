"""The service beside its peers: same weights, same images, same load, measured alternately.

While one is measured, the others are suspended: some take processor time as long as they wait.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import services
from image_source import ImageSource
from load import Load, closed_loop, open_loop
from processes import Running, Service, started
from tables import median_and_range, table

CLIENTS = (1, 8, 32)
LARGE = ("2 Mpx", "12 Mpx")
SHARE = 0.7  # of each service's own saturation, for the open loop
REFERENCE = "reference"
AUTO, FP32 = "**ours**", "**ours**, fp32"
OPEN_LOOP = "open loop"
WARM_UP_SECONDS = 1  # before each load
IDLE_SECONDS = 2
TITLES = {
    "1": "One client, 500 px",
    "8": "8 clients, 500 px",
    "32": "32 clients, 500 px",
    "2 Mpx": "8 clients, 2 Mpx",
    "12 Mpx": "8 clients, 12 Mpx",
    OPEN_LOOP: f"Open loop: Poisson arrivals at {SHARE:.0%} of each service's rate with 32 clients",
}


@dataclass
class ServiceResult:
    """What was measured of one service.

    Attributes:
        ready: seconds from its start to its first answer.
        megabytes: its memory after all loads.
        idle: share of a processor that it uses without requests.
        loads: by the names in TITLES, one for each round.
    """

    service: Service
    ready: float = 0.0
    megabytes: float = 0.0
    idle: float = 0.0
    loads: dict[str, list[Load]] = field(default_factory=dict)

    def add(self, name: str, load: Load) -> None:
        self.loads.setdefault(name, []).append(load)

    def load(self, name: str) -> Load:
        return sum(self.loads[name], Load())

    def ratios(self, other: "ServiceResult", name: str) -> list[float]:
        """Answers a second relative to the other's, for each round."""
        pairs = zip(self.loads[name], other.loads[name], strict=True)
        return [ours.rate / theirs.rate for ours, theirs in pairs]


def candidates() -> list[Service]:
    return [
        services.ours(AUTO, "auto", services.PATIENT),
        services.ours(FP32, "fp32", services.PATIENT),
        *services.peers(),
    ]


def measure(source: ImageSource, seconds: float, rounds: int) -> dict[str, ServiceResult]:
    """Start all services, then load one after the other; a load lasts `seconds`."""
    services.make_plain_export()
    results: dict[str, ServiceResult] = {}
    with contextlib.ExitStack() as stack:
        running: dict[str, Running] = {}
        for service in candidates():
            one = stack.enter_context(started(service, source.small[0]))
            closed_loop(one.url, source.small, 8, 2)  # warm-up
            one.suspend()
            running[service.name] = one
            results[service.name] = ServiceResult(service, one.ready)
            print(f"{service.name}: ready after {one.ready:.1f} s", flush=True)
        for _ in range(rounds):
            _closed_loops(results, running, source, seconds)
        for name, result in results.items():
            rate = SHARE * result.load("32").rate
            with _alone(running[name], source) as url:
                result.add(OPEN_LOOP, open_loop(url, source.small, rate, 2 * seconds))
                result.megabytes = running[name].megabytes()
                result.idle = _idle_share(running[name])
            print(f"{name}: {result.load('32').rate:.1f} a second at 32 clients", flush=True)
    return results


def _closed_loops(
    results: dict[str, ServiceResult],
    running: dict[str, Running],
    source: ImageSource,
    seconds: float,
) -> None:
    """One round: every load on every service."""
    loads = [(str(clients), source.small, clients, seconds) for clients in CLIENTS]
    loads += [(size, source.urls_of_size(size), 8, seconds / 2) for size in LARGE]
    for load, images, clients, duration in loads:
        for name, result in results.items():
            with _alone(running[name], source) as url:
                result.add(load, closed_loop(url, images, clients, duration))


@contextlib.contextmanager
def _alone(running: Running, source: ImageSource) -> Iterator[str]:
    """Resume one of the suspended services and warm it up; yields its URL."""
    running.resume()
    closed_loop(running.url, source.small, 8, WARM_UP_SECONDS)
    yield running.url
    running.suspend()


def _idle_share(running: Running) -> float:
    before = running.processor_seconds()
    time.sleep(IDLE_SECONDS)
    return (running.processor_seconds() - before) / IDLE_SECONDS


def report(results: dict[str, ServiceResult]) -> str:
    """Tables in Markdown."""
    versions = [f"- {name}: {result.service.versions()}" for name, result in results.items()]
    sections = ["## Beside its peers", "\n".join(versions)]
    for name, title in TITLES.items():
        sections += [f"### {title}", _load_table(results, name)]
    head = ("", "memory, MB", "seconds to the first answer", "idle, % of a processor")
    rows = [
        (name, f"{one.megabytes:.0f}", f"{one.ready:.1f}", f"{100 * one.idle:.0f}")
        for name, one in results.items()
    ]
    return "\n\n".join([*sections, "### Without requests", table(head, rows)])


def _load_table(results: dict[str, ServiceResult], name: str) -> str:
    head = (
        *("", "answers/s", "relative to the reference", "p50 ms", "p95 ms", "p99 ms"),
        *("answers", "refused", "errors"),
    )
    rows = []
    for service, result in results.items():
        load, ratios = result.load(name), result.ratios(results[REFERENCE], name)
        rows.append(
            (
                *(service, f"{load.rate:.1f}", median_and_range(ratios)),
                *(f"{load.percentile(percent):.0f}" for percent in (50, 95, 99)),
                *(len(load.accepted), len(load.refused), load.errors),
            )
        )
    return table(head, rows)


def summary(results: dict[str, ServiceResult]) -> list[tuple[str, str]]:
    """What the tables say, in a line each."""
    peers = {name: one for name, one in results.items() if not name.startswith("**ours**")}
    others = {name: one for name, one in peers.items() if name != REFERENCE}
    best = max(others, key=lambda name: others[name].load("32").rate)
    rows = []
    for ours in (AUTO, FP32):
        for peer in (REFERENCE, best):
            ratio = median(results[ours].ratios(results[peer], "32"))
            rows.append((f"{ours} relative to {peer}, answers/s, 32 clients", f"{ratio:.2f} x"))
    for name, percent in (("1", 50), ("8", 99), ("32", 99)):
        fastest = min(peers, key=lambda peer: peers[peer].load(name).percentile(percent))
        pair = [results[each].load(name).percentile(percent) for each in (AUTO, fastest)]
        label = f"p{percent} of {AUTO} and of the fastest peer ({fastest}): {TITLES[name]}"
        rows.append((label, f"{pair[0]:.0f} and {pair[1]:.0f} ms"))
    return rows
