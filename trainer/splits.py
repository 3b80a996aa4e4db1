"""Which images are held out, for validation or in turn."""

from collections import Counter
from collections.abc import Iterator, Sequence
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
    labels = np.array([image.label for image in images])
    _, validation = next(folds(labels, features, FOLDS, seed))
    chosen = set(validation.tolist())
    return [
        replace(image, split="validation" if i in chosen else "train")
        for i, image in enumerate(images)
    ]


def folds(
    labels: np.ndarray, features: np.ndarray, count: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Divide images into folds, with each series in one of them.

    Args:
        labels: N labels.
        features: float [N, F].
        count: how many folds.
        seed: determines the folds.

    Returns:
        For each fold the indexes of all other images, and its own.

    Raises:
        DataError: a label has fewer images than there are folds.
    """
    label, images = min(Counter(labels.tolist()).items(), key=lambda item: item[1])
    if images < count:
        raise DataError(f"{label} has {images} images; at least {count} are needed for a split")
    divided = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    found: Iterator[tuple[np.ndarray, np.ndarray]] = divided.split(
        features, labels, _series(labels, features)
    )
    return found


def _series(classes: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Number the series: int [N]. A series of more than half of its class is split up."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    same_class = classes[:, None] == classes[None, :]
    count, series = connected_components(
        (unit @ unit.T > SERIES_SIMILARITY) & same_class, directed=False
    )
    most = 2 * np.bincount(series)[series] > same_class.sum(axis=1)
    numbers: np.ndarray = np.where(most, count + np.arange(len(series)), series)
    return numbers
