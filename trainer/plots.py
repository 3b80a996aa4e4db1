"""The pictures that evaluate.py makes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from data import Picture
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw

mpl.use("agg")

BINS = np.linspace(0, 1, 11)
BLUE, GREY = "#1f5fa8", "#9aa0a6"
WORST = 24
COLUMNS, TILE, CAPTION = 6, 220, 34  # pixels


def measured(
    file: Path,
    labels: Sequence[str],
    table: np.ndarray,
    top: np.ndarray,
    hits: np.ndarray,
    roc: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Confusion matrix, reliability diagram and, with other sports, ROC curve.

    Args:
        file: where the PNG goes.
        labels: C names.
        table: int [C, C], row by right label, column by given label.
        top: float [N], the given labels' probabilities.
        hits: bool [N], whether they are right.
        roc: shares of others kept and of real pictures kept.
    """
    figure, axes = plt.subplots(1, 3 if roc else 2, figsize=(15 if roc else 10, 4.6), dpi=80)
    _confusion(axes[0], labels, table)
    _reliability(axes[1], top, hits)
    if roc:
        axes[2].plot(*roc, color=BLUE)
        axes[2].plot([0, 1], [0, 1], color=GREY, linestyle=":")
        axes[2].set(title="Other sports", xlabel="others kept", ylabel="real pictures kept")
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


def _confusion(axis: plt.Axes, labels: Sequence[str], table: np.ndarray) -> None:
    axis.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues")
    numbers = range(len(labels))
    axis.set_xticks(numbers, labels, rotation=45, ha="right")
    axis.set_yticks(numbers, labels)
    axis.set(title="Confusion matrix", xlabel="given", ylabel="right")
    for row in numbers:
        for column in numbers:
            if count := int(table[row, column]):
                colour = "white" if row == column else "black"
                axis.text(column, row, str(count), ha="center", va="center", color=colour)


def _reliability(axis: plt.Axes, top: np.ndarray, hits: np.ndarray) -> None:
    bins = np.minimum(np.digitize(top, BINS) - 1, len(BINS) - 2)
    filled = np.unique(bins)
    heights = [hits[bins == i].mean() for i in filled]
    axis.bar(BINS[filled], heights, width=0.1, align="edge", color=BLUE, edgecolor="white")
    for i, height in zip(filled, heights, strict=True):
        axis.text(BINS[i] + 0.05, height + 0.01, str((bins == i).sum()), ha="center", fontsize=8)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axis.set(title="Reliability", xlabel="probability given", ylabel="share right", ylim=(0, 1.08))


def contact_sheet(
    file: Path, pictures: Sequence[Picture], labels: Sequence[str], probabilities: np.ndarray
) -> None:
    """The worst mistakes, where the right label got least: right > given (probability)."""
    right = [list(labels).index(picture.label) for picture in pictures]
    of_right = probabilities[np.arange(len(right)), right]
    wrong = [i for i in np.argsort(of_right) if probabilities[i].argmax() != right[i]][:WORST]
    rows = -(-len(wrong) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, max(1, rows) * (TILE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, i in enumerate(wrong):
        x, y = place % COLUMNS * TILE, place // COLUMNS * (TILE + CAPTION)
        with Image.open(pictures[i].path) as image:
            sheet.paste(image.convert("RGB").resize((TILE - 4, TILE - 4)), (x, y + CAPTION))
        given = int(probabilities[i].argmax())
        draw.text((x, y + 2), f"{labels[right[i]]} > {labels[given]}", fill="black")
        draw.text((x, y + 16), f"{probabilities[i].max():.2f} {pictures[i].path.name}", fill="grey")
    sheet.save(file)
