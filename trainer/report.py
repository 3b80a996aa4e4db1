"""The report of an evaluation, as Markdown, and the model card that holds it."""

import re
from pathlib import Path

import numpy as np
import plots
from data import DataError
from predictions import Predictions
from scipy.stats import binomtest
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    roc_curve,
)

BINS = 15
MEASURED = re.compile(r"(<!-- measured -->\n).*(<!-- /measured -->)", re.DOTALL)
PLOTS = "measured.png"


def share(hits: int, count: int) -> str:
    """A share with its 95 % interval after Wilson (1927), as text."""
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return f"{hits / count:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017) in BINS equal bins.

    Args:
        confidence: float [N], the predicted labels' probabilities.
        correct: bool [N], whether the predicted label is correct.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(correct[bins == i].mean() - confidence[bins == i].mean()) * (bins == i).mean()
        for i in np.unique(bins)
    ]
    return float(sum(gaps))


def per_label(predictions: Predictions, classes: np.ndarray) -> str:
    """Precision, recall and F1 of each label and the confusion matrix, as Markdown."""
    numbers = range(len(predictions.labels))
    table = confusion_matrix(classes, predictions.classes, labels=numbers)
    precision, recall, f1, _ = precision_recall_fscore_support(
        classes, predictions.classes, labels=numbers, zero_division=0
    )
    lines = [
        "| correct \\ predicted | "
        + " | ".join(predictions.labels)
        + " | recall | precision | F1 |",
        "| --- |" + " --- |" * (len(predictions.labels) + 3),
    ]
    for i, label in enumerate(predictions.labels):
        counts = " | ".join(map(str, table[i]))
        scores = f"{recall[i]:.1%} | {precision[i]:.1%} | {f1[i]:.3f}"
        lines.append(f"| {label} | {counts} | {scores} |")
    return "\n".join(lines)


def roc_scores(predictions: Predictions, others: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Which images are of the model's sports, 1 or 0 [N + M], and their in_domain [N + M]."""
    sizes = [len(predictions.in_domain), len(others.in_domain)]
    scores = np.concatenate([predictions.in_domain, others.in_domain])
    return np.repeat([1, 0], sizes), scores


def report(predictions: Predictions, classes: np.ndarray) -> str:
    """Accuracy, calibration, rejections and confusions on held-out images, as Markdown.

    Args:
        predictions: for N images.
        classes: int [N], the index of each one's label.
    """
    count = len(classes)
    correct = predictions.classes == classes
    error = calibration_error(predictions.confidence, correct)
    lines = [
        f"- Accuracy on {count} held-out images: **{share(int(correct.sum()), count)}**.",
        f"- Expected calibration error ({BINS} bins): {error:.3f}.",
        f"- Of these images `in_domain` rejects {share(int(predictions.rejected.sum()), count)}.",
        "",
        per_label(predictions, classes),
    ]
    return "\n".join(lines)


def write_card(
    card: Path,
    text: str,
    predictions: Predictions,
    classes: np.ndarray,
    others: Predictions | None,
) -> None:
    """Put text and plots between the marks of a model card.

    Raises:
        DataError: the card has no marks.
    """
    before = card.read_text()
    if not MEASURED.search(before):
        raise DataError(f"{card} has no <!-- measured --> mark")
    roc = None if others is None else roc_curve(*roc_scores(predictions, others))[:2]
    table = confusion_matrix(classes, predictions.classes, labels=range(len(predictions.labels)))
    correct = predictions.classes == classes
    file = card.with_name(PLOTS)
    plots.measured(file, predictions.labels, table, predictions.confidence, correct, roc)
    image = f"![Confusion matrix, reliability diagram and ROC curve]({PLOTS})"
    card.write_text(
        MEASURED.sub(lambda found: f"{found[1]}\n{text}\n\n{image}\n\n{found[2]}", before)
    )
