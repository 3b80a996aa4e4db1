"""Sets of images that a model is judged on: of its sports, and of other sports."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import (
    DataError,
    LabelledImage,
    classes_of,
    held_out,
    image_files,
    labels_of,
    read_images,
)


@dataclass(frozen=True)
class ImageSet:
    """Images to judge a model on.

    Attributes:
        name: what reports call it.
        files: N image files.
        labels: the names of the classes.
        classes: int [N], the indices of the correct labels; None for images of other sports.
    """

    name: str
    files: list[Path]
    labels: list[str]
    classes: np.ndarray | None

    def contents(self) -> list[bytes]:
        return [file.read_bytes() for file in self.files]


def of_sports(name: str, images: Sequence[LabelledImage], labels: list[str]) -> ImageSet:
    """Images of the sports.

    Raises:
        DataError: there are none, or an image has a label that is not one of `labels`.
    """
    unknown = set(labels_of(images)) - set(labels)
    if unknown or not images:
        raise DataError(f"{name}: {min(unknown, default='no image')} is none of {labels}")
    return ImageSet(name, [image.path for image in images], labels, classes_of(images, labels))


def of_other_sports(folder: Path, labels: list[str]) -> ImageSet:
    """All images below a folder.

    Raises:
        DataError: there are none.
    """
    files = image_files(folder)
    if not files:
        raise DataError(f"there is no image in {folder}")
    return ImageSet(folder.name, files, labels, None)


def read_image_sets(
    data: Path, manifest: Path, further: Sequence[Path], others: Sequence[Path]
) -> list[ImageSet]:
    """The held-out images, then further folders, then folders of other sports.

    Args:
        data: a folder of images.
        manifest: the run folder's, which lists the held-out ones.
        further: folders of images of the same sports.
        others: folders of images of other sports.

    Raises:
        DataError: a set has no image, or a label that the held-out images lack.
    """
    images = held_out(read_images(data, manifest))
    labels = labels_of(images)
    return [
        of_sports("held out", images, labels),
        *(of_sports(folder.name, read_images(folder), labels) for folder in further),
        *(of_other_sports(folder, labels) for folder in others),
    ]
