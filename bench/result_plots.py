"""The plots in RESULTS.md."""

from pathlib import Path

import matplotlib.pyplot as plt
from comparison import CLIENTS, ServiceResult
from growth import GrowthResult
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, PEER = "#1a6faf", "#9aa5b1"


def draw(peers: dict[str, ServiceResult], growth: GrowthResult, folder: Path) -> None:
    """Write peers.png and growth.png."""
    _draw_peers(peers, folder / "peers.png")
    _draw_growth(growth, folder / "growth.png")


def _draw_peers(peers: dict[str, ServiceResult], file: Path) -> None:
    names = [name.replace("*", "") for name in reversed(peers)]
    colors = [OURS if name.startswith("ours") else PEER for name in names]
    loads = [one.load(str(CLIENTS[-1])) for one in reversed(peers.values())]
    figure, (left, right) = _figure(sharey=True)
    for axes, values, title in (
        (left, [load.rate for load in loads], "answers a second"),
        (right, [load.percentile(99) for load in loads], "p99, ms"),
    ):
        bars = axes.barh(names, values, color=colors)
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.set_title(f"{title}, {CLIENTS[-1]} clients")
        axes.margins(x=0.12)
    _save(figure, file)


def _draw_growth(growth: GrowthResult, file: Path) -> None:
    clients, loads = list(growth.by_clients), growth.by_clients.values()
    figure, (left, right) = _figure()
    for axes, values, title in (
        (left, [load.rate for load in loads], "answers a second"),
        (right, [load.percentile(99) for load in loads], "p99 of the answers, ms"),
    ):
        axes.plot(clients, values, "o-", color=OURS)
        axes.set_xscale("log", base=2)
        axes.set_xticks(clients, [str(count) for count in clients])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("clients")
        axes.set_title(title)
    _save(figure, file)


def _figure(sharey: bool = False) -> tuple[Figure, tuple[Axes, Axes]]:
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.2), sharey=sharey, layout="constrained"
    )
    return figure, (left, right)


def _save(figure: Figure, file: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)
    plt.close(figure)
