"""Which images are held out for validation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from data import DataError, LabelledImage
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

SERIES_SIMILARITY = 0.97  # cosine; images of one event in one hall are above it
FOLDS = 7  # one of them is held out


def split(images: Sequence[LabelledImage], features: np.ndarray, seed: int) -> list[LabelledImage]:
    """Hold out one seventh of each class, keeping each series on one side.

    Args:
        images: N images.
        features: float [N, F]; images of one class whose features have a cosine
            similarity above SERIES_SIMILARITY, directly or through others, are one series.
        seed: determines the split.

    Returns:
        The images in their order, each with its split.

    Raises:
        DataError: a class is too small.
    """
    classes = np.array([image.label for image in images])
    label, count = min(Counter(classes.tolist()).items(), key=lambda item: item[1])
    if count < FOLDS:
        raise DataError(f"{label} has {count} images; at least {FOLDS} are needed for a split")
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    _, validation = next(folds.split(features, classes, series(classes, features)))
    chosen = set(validation.tolist())
    return [
        replace(image, split="validation" if i in chosen else "train")
        for i, image in enumerate(images)
    ]


def series(classes: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Number the series: int [N]. A series of more than half of its class is split up."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    same_class = classes[:, None] == classes[None, :]
    count, found = connected_components(
        (unit @ unit.T > SERIES_SIMILARITY) & same_class, directed=False
    )
    most = 2 * np.bincount(found)[found] > same_class.sum(axis=1)
    numbers: np.ndarray = np.where(most, count + np.arange(len(found)), found)
    return numbers
