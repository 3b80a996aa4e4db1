"""The pictures in RESULTS.md."""

from pathlib import Path

import matplotlib.pyplot as plt
from comparison import CLIENTS, Measured
from growth import Growth

OURS, PEER = "#1a6faf", "#9aa5b1"


def draw(peers: dict[str, Measured], growth: Growth, folder: Path) -> None:
    """Write peers.png and growth.png."""
    _peers(peers, folder / "peers.png")
    _growth(growth, folder / "growth.png")


def _peers(peers: dict[str, Measured], file: Path) -> None:
    names = [name.replace("*", "") for name in reversed(peers)]
    colors = [OURS if name.startswith("ours") else PEER for name in names]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True, layout="constrained")
    loads = [one.load(str(CLIENTS[-1])) for one in reversed(peers.values())]
    for axes, values, title in (
        (left, [load.rate for load in loads], "answers a second"),
        (right, [load.percentile(99) for load in loads], "p99, ms"),
    ):
        bars = axes.barh(names, values, color=colors)
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.set_title(f"{title}, {CLIENTS[-1]} clients")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _growth(growth: Growth, file: Path) -> None:
    clients = list(growth.closed)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    for each, values, title in zip(
        axes,
        (
            [load.rate for load in growth.closed.values()],
            [load.percentile(99) for load in growth.closed.values()],
        ),
        ("answers a second", "p99 of the answers, ms"),
        strict=True,
    ):
        each.plot(clients, values, "o-", color=OURS)
        each.set_xscale("log", base=2)
        each.set_xticks(clients, [str(count) for count in clients])
        each.set_ylim(bottom=0)
        each.set_xlabel("clients")
        each.set_title(title)
        each.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)
    plt.close(figure)
