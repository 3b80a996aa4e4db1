"""The plots and the contact sheet that evaluate.py makes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from data import LabelledImage, classes_of
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
    confidence: np.ndarray,
    correct: np.ndarray,
    roc: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Confusion matrix, reliability diagram and, with other sports, ROC curve.

    Args:
        file: where the PNG goes.
        labels: C names.
        table: int [C, C], rows by correct label, columns by predicted label.
        confidence: float [N], the predicted labels' probabilities.
        correct: bool [N], whether the predicted labels are correct.
        roc: shares of accepted images among those of other sports and among the model's own.
    """
    figure, axes = plt.subplots(1, 3 if roc else 2, figsize=(15 if roc else 10, 4.6), dpi=80)
    _confusion(axes[0], labels, table)
    _reliability(axes[1], confidence, correct)
    if roc:
        axes[2].plot(*roc, color=BLUE)
        axes[2].plot([0, 1], [0, 1], color=GREY, linestyle=":")
        axes[2].set(title="Other sports", xlabel="others accepted", ylabel="own sports accepted")
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


def _confusion(axis: plt.Axes, labels: Sequence[str], table: np.ndarray) -> None:
    axis.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues")
    numbers = range(len(labels))
    axis.set_xticks(numbers, labels, rotation=45, ha="right")
    axis.set_yticks(numbers, labels)
    axis.set(title="Confusion matrix", xlabel="predicted", ylabel="correct")
    for row in numbers:
        for column in numbers:
            if count := int(table[row, column]):
                colour = "white" if row == column else "black"
                axis.text(column, row, str(count), ha="center", va="center", color=colour)


def _reliability(axis: plt.Axes, confidence: np.ndarray, correct: np.ndarray) -> None:
    bins = np.minimum(np.digitize(confidence, BINS) - 1, len(BINS) - 2)
    filled = np.unique(bins)
    heights = [correct[bins == i].mean() for i in filled]
    axis.bar(BINS[filled], heights, width=0.1, align="edge", color=BLUE, edgecolor="white")
    for i, height in zip(filled, heights, strict=True):
        axis.text(BINS[i] + 0.05, height + 0.01, str((bins == i).sum()), ha="center", fontsize=8)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axis.set(title="Reliability", xlabel="confidence", ylabel="accuracy", ylim=(0, 1.08))


def contact_sheet(
    file: Path, images: Sequence[LabelledImage], labels: Sequence[str], probabilities: np.ndarray
) -> None:
    """Show the worst mistakes: those where the correct label has the lowest probability.

    Each caption reads: correct label > predicted label, its probability, file name.
    """
    classes = classes_of(images, labels)
    of_correct = probabilities[np.arange(len(classes)), classes]
    predicted = probabilities.argmax(1)
    wrong = [i for i in np.argsort(of_correct) if predicted[i] != classes[i]][:WORST]
    rows = -(-len(wrong) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, max(1, rows) * (TILE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for position, i in enumerate(wrong):
        x, y = position % COLUMNS * TILE, position // COLUMNS * (TILE + CAPTION)
        with Image.open(images[i].path) as image:
            sheet.paste(image.convert("RGB").resize((TILE - 4, TILE - 4)), (x, y + CAPTION))
        draw.text((x, y + 2), f"{labels[classes[i]]} > {labels[predicted[i]]}", fill="black")
        draw.text((x, y + 16), f"{probabilities[i].max():.2f} {images[i].path.name}", fill="grey")
    sheet.save(file)
