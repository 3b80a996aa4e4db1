"""A model on several sets of images, side by side, and two models compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from data import DataError
from image_sets import ImageSet
from predictions import Predictions
from report import calibration_error, roc_scores, share
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Judged:
    """A model's predictions for N images of a set.

    Attributes:
        name: the set's.
        predictions: for N images.
        classes: int [N], the correct ones; None for images of other sports.
    """

    name: str
    predictions: Predictions
    classes: np.ndarray | None

    @property
    def right(self) -> np.ndarray:
        """bool [N]: the predicted label is correct; for other sports, the image is rejected."""
        if self.classes is None:
            return self.predictions.rejected
        right: np.ndarray = self.predictions.classes == self.classes
        return right

    def worst(self) -> str:
        """The label with the lowest recall, and the recall."""
        if self.classes is None:
            return ""
        recalls = {
            self.predictions.labels[number]: float(self.right[self.classes == number].mean())
            for number in np.unique(self.classes)
        }
        label = min(recalls, key=lambda name: recalls[name])
        return f"{label} {recalls[label]:.1%}"


def judge(images: ImageSet, predictions: Predictions, name: str = "") -> Judged:
    """What a model predicted for a set.

    Raises:
        DataError: its labels are not those of the images.
    """
    if predictions.labels != images.labels:
        labels = images.labels
        raise DataError(f"the model's labels are {predictions.labels}, the images' are {labels}")
    return Judged(name or images.name, predictions, images.classes)


def summary(judged: Sequence[Judged]) -> str:
    """All sets in one table, as Markdown; those of other sports are the last columns, too."""
    others = [one for one in judged if one.classes is None]
    head = ["images", "number", "accuracy", "worst label", "calibration error", "rejected"]
    head += [f"AUROC against {other.name}" for other in others]
    rows = [head, ["---"] * len(head)]
    for one in judged:
        count, predictions = len(one.predictions.in_domain), one.predictions
        rejected = share(int(predictions.rejected.sum()), count)
        if one.classes is None:
            rows.append([one.name, str(count), "", "", "", rejected, *[""] * len(others)])
            continue
        aurocs = [
            f"{roc_auc_score(*roc_scores(predictions, other.predictions)):.3f}" for other in others
        ]
        right = share(int(one.right.sum()), count)
        error = f"{calibration_error(predictions.confidence, one.right):.3f}"
        rows.append([one.name, str(count), right, one.worst(), error, rejected, *aurocs])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def paired_test(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test of two models on the same N images.

    Args:
        first, second: bool [N], whether each model is right.

    Returns:
        On how many images only the first, and only the second, is right; and the probability
        of a difference at least as large if both were equally good.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    count = only_first + only_second
    chance = float(binomtest(only_second, count).pvalue) if count else 1.0
    return only_first, only_second, chance
