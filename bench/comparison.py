"""The service beside its peers: same weights, same pictures, same load, in turns."""

import contextlib
import time
from dataclasses import dataclass, field
from statistics import median

import services
from load import Load, closed, opened
from pictures import Source
from services import Running, Service
from tables import table

CLIENTS = (1, 8, 32)
LARGE = ("2 Mpx", "12 Mpx")
SHARE = 0.7  # of a service's own saturation, for the open loop
REFERENCE = "reference"
AUTO, INT8, TENSORFLOW = "**ours**", "**ours**, int8", "**ours**, TensorFlow"
OPEN_LOOP = "open loop"
IDLE_SECONDS = 2
TITLES = {
    "1": "One client, 500 px",
    "8": "8 clients, 500 px",
    "32": "32 clients, 500 px",
    "2 Mpx": "8 clients, 2 Mpx",
    "12 Mpx": "8 clients, 12 Mpx",
    OPEN_LOOP: f"Open loop: Poisson arrivals at {SHARE:.0%} of each one's rate with 32 clients",
}


@dataclass
class Measured:
    """What was measured of one service."""

    service: Service
    ready: float = 0.0  # seconds
    megabytes: float = 0.0
    idle: float = 0.0  # share of a processor that it takes when nobody asks
    loads: dict[str, list[Load]] = field(default_factory=dict)

    def add(self, name: str, load: Load) -> None:
        self.loads.setdefault(name, []).append(load)

    def load(self, name: str) -> Load:
        return sum(self.loads[name], Load())

    def ratios(self, other: "Measured", name: str) -> list[float]:
        """Answers a second to the other's, round by round."""
        pairs = zip(self.loads[name], other.loads[name], strict=True)
        return [ours.rate / theirs.rate for ours, theirs in pairs]


def candidates() -> list[Service]:
    return [
        services.ours(AUTO, "auto", **services.WIDE),
        services.ours(TENSORFLOW, "tensorflow", **services.WIDE),
        services.ours(INT8, "openvino-int8", **services.WIDE),
        *services.peers(),
    ]


def measure(source: Source, seconds: float, rounds: int) -> dict[str, Measured]:
    """Start all, then load one after the other; `seconds` is how long a load lasts."""
    small = source.urls["500 px"]
    measured: dict[str, Measured] = {}
    with contextlib.ExitStack() as stack:
        running: dict[str, Running] = {}
        for service in candidates():
            started = stack.enter_context(services.started(service, small[0]))
            running[service.name] = started
            measured[service.name] = Measured(service, started.ready)
            closed(started.url, small, 8, 2)  # warms up
            print(f"{service.name}: ready after {started.ready:.1f} s", flush=True)
        for _ in range(rounds):
            for clients in CLIENTS:
                for name, one in measured.items():
                    one.add(str(clients), closed(running[name].url, small, clients, seconds))
            for size in LARGE:
                for name, one in measured.items():
                    one.add(size, closed(running[name].url, source.urls[size], 8, seconds / 2))
        for name, one in measured.items():
            rate = SHARE * one.load("32").rate
            one.add(OPEN_LOOP, opened(running[name].url, small, rate, 2 * seconds))
            one.megabytes = running[name].megabytes()
            before = running[name].processor_seconds()
            time.sleep(IDLE_SECONDS)
            one.idle = (running[name].processor_seconds() - before) / IDLE_SECONDS
            print(f"{name}: {one.load('32').rate:.1f} a second at 32 clients", flush=True)
    return measured


def text(measured: dict[str, Measured]) -> str:
    """Tables in Markdown."""
    versions = [f"- {name}: {services.versions(one.service)}" for name, one in measured.items()]
    sections = ["## Beside its peers", "\n".join(versions)]
    for name, title in TITLES.items():
        sections += [f"### {title}", _loads(measured, name)]
    head = ("", "memory, MB", "seconds to the first answer", "idle, % of a processor")
    rows = [
        (name, f"{one.megabytes:.0f}", f"{one.ready:.1f}", f"{100 * one.idle:.0f}")
        for name, one in measured.items()
    ]
    return "\n\n".join([*sections, "### At rest", table(head, rows)])


def _loads(measured: dict[str, Measured], name: str) -> str:
    head = (
        *("", "answers/s", "to the reference", "p50 ms", "p95 ms", "p99 ms"),
        *("answers", "refused", "errors"),
    )
    rows = []
    for service, one in measured.items():
        load, ratios = one.load(name), one.ratios(measured[REFERENCE], name)
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
        rows.append(
            (
                *(service, f"{load.rate:.1f}", f"{median(ratios):.2f}{spread}"),
                *(f"{load.percentile(share):.0f}" for share in (50, 95, 99)),
                *(len(load.accepted), len(load.refused), load.errors),
            )
        )
    return table(head, rows)


def summary(measured: dict[str, Measured]) -> list[tuple[str, str]]:
    """What the tables say, in a line each."""
    peers = {name: one for name, one in measured.items() if not name.startswith("**ours**")}
    others = {name: one for name, one in peers.items() if name != REFERENCE}
    best = max(others, key=lambda name: others[name].load("32").rate)
    rows = []
    for ours in (AUTO, TENSORFLOW, INT8):
        for peer in (REFERENCE, best):
            ratio = median(measured[ours].ratios(measured[peer], "32"))
            rows.append((f"{ours} to {peer}, answers/s at 32 clients", f"{ratio:.2f} x"))
    for name, share in (("1", 50), ("8", 99), ("32", 99)):
        quickest = min(peers, key=lambda peer: peers[peer].load(name).percentile(share))
        pair = [measured[each].load(name).percentile(share) for each in (AUTO, quickest)]
        label = f"p{share} at {name} clients, {AUTO} and the quickest peer ({quickest})"
        rows.append((label, f"{pair[0]:.0f} and {pair[1]:.0f} ms"))
    return rows
