from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data import DataError, LabelledImage, held_out
from splits import split


def similar_images(series_length: int) -> tuple[list[LabelledImage], np.ndarray, np.ndarray]:
    """Two classes of 140 images, in series of nearly equal features; and each image's series."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(280 // series_length, 64))
    series = np.repeat(np.arange(len(centres)), series_length)
    features = centres[series] + 0.01 * rng.normal(size=(280, 64))
    labels = ["karate"] * 140 + ["tennis"] * 140
    images = [LabelledImage(Path(f"{i}.jpg"), label) for i, label in enumerate(labels)]
    return images, features, series


def test_a_series_is_not_split_up() -> None:
    images, features, series = similar_images(4)
    splits = split(images, features, seed=1)
    for number in set(series):
        assert len({splits[i].split for i in np.flatnonzero(series == number)}) == 1


def test_one_seventh_of_each_class_is_held_out() -> None:
    images, features, _ = similar_images(4)
    validation = held_out(split(images, features, 1))
    assert Counter(image.label for image in validation) == {"karate": 20, "tennis": 20}


def test_the_seed_determines_the_split() -> None:
    images, features, _ = similar_images(4)
    assert split(images, features, 1) == split(images, features, 1)
    assert split(images, features, 1) != split(images, features, 2)


def test_a_class_that_is_too_small_is_an_error() -> None:
    images = [LabelledImage(Path(f"{i}"), "karate" if i < 3 else "tennis") for i in range(20)]
    with pytest.raises(DataError, match="karate has 3 images; at least 7 are needed"):
        split(images, np.eye(20), seed=1)


def test_a_class_that_is_a_single_series_is_split() -> None:
    images, features, _ = similar_images(140)
    validation = held_out(split(images, features, 1))
    assert Counter(image.label for image in validation) == {"karate": 20, "tennis": 20}
