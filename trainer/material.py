"""What a tower learns from: images of the sports, of other sports, and held-out ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from batches import chances_of
from data import LabelledImage, classes_of, held_out, labels_of, read_images, read_outliers
from pixels import decoded


@dataclass(frozen=True)
class Material:
    """N images to train on and M held-out ones.

    Attributes:
        images: the N images, other sports' after those of the sports.
        labels: the C names of the classes, other sports' after the sports.
        sports: how many of the labels are sports.
        pixels: uint8 [N + M, side, side, 3], the held-out images being the last.
        classes: int [N + M].
        chances: the probability of drawing each of the N images, float [N].
    """

    images: list[LabelledImage]
    labels: list[str]
    sports: int
    pixels: np.ndarray
    classes: np.ndarray
    chances: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """One-hot float32 [N, C]."""
        chosen: np.ndarray = np.eye(len(self.labels), dtype=np.float32)[
            self.classes[: len(self.images)]
        ]
        return chosen


def read_material(
    data: Path,
    manifest: Path | None,
    outliers: Sequence[Path],
    left_out: Sequence[str],
    file: Path,
) -> Material:
    """Read and decode images.

    Outliers keep their own labels: distinguishing them teaches a tower more about sports than
    a single label for all of them would.

    Args:
        data: a folder of images of the sports.
        manifest: the table of dataset/prepare.py; without one, no image is held out.
        outliers: folders of images of other sports or things.
        left_out: labels of other sports that are not used.
        file: where to keep the decoded pixels.

    Raises:
        DataError: an image or a label is missing.
    """
    every, others = read_images(data, manifest), read_outliers(outliers, left_out)
    sports, validation = [image for image in every if image.split != "validation"], held_out(every)
    labels = labels_of(sports) + labels_of(others)
    images = sports + others
    return Material(
        images,
        labels,
        len(labels_of(sports)),
        decoded(images + validation, file),
        classes_of(images + validation, labels),
        chances_of(sports, others),
    )
