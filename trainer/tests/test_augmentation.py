from pathlib import Path

import numpy as np
import pytest
from augmentation import AugmentedImages, chances_of
from data import LabelledImage, labels_of, read_images


def augmented(folder: Path, seed: tuple[int, ...], teacher: object = None) -> AugmentedImages:
    images = read_images(folder)
    chances = chances_of(images, [])
    return AugmentedImages(images, labels_of(images), chances, 3, 40, 4, seed, teacher)


def test_shapes_of_a_batch(folder: Path) -> None:
    batches = augmented(folder, (2, 0))
    assert len(batches) == 3
    pixels, targets = batches[0]
    assert (pixels.shape, pixels.dtype.name) == ((4, 40, 40, 3), "uint8")
    assert (targets.shape, targets.dtype.name) == ((4, 3), "float32")
    assert (targets.sum(1) == 1).all()


def test_targets_are_those_of_the_drawn_images(folder: Path) -> None:
    images = read_images(folder)
    only_tennis = np.array([float(image.label == "tennis") for image in images]) / 7
    batches = AugmentedImages(images, labels_of(images), only_tennis, 1, 40, 4, (1, 0))
    np.testing.assert_array_equal(batches[0][1], [[0, 0, 1]] * 4)


def test_an_epoch_is_reproducible_and_differs_from_the_next(folder: Path) -> None:
    pixels, _ = augmented(folder, (2, 0))[1]
    np.testing.assert_array_equal(augmented(folder, (2, 0))[1][0], pixels)
    assert not np.array_equal(augmented(folder, (2, 1))[1][0], pixels)


def test_a_teacher_changes_the_targets(folder: Path) -> None:
    class Teacher:
        def predict_on_batch(self, pixels: np.ndarray) -> np.ndarray:
            return np.zeros((len(pixels), 3), np.float32)

    _, plain = augmented(folder, (2, 0))[0]
    _, taught = augmented(folder, (2, 0), Teacher())[0]
    np.testing.assert_allclose(taught, 0.3 * plain + 0.7 / 3, atol=1e-6)


def test_chances_of_outliers_and_of_small_labels() -> None:
    images = [LabelledImage(Path(f"{i}"), "large" if i < 80 else "small") for i in range(100)]
    outliers = [LabelledImage(Path(f"{i}"), "other") for i in range(50)]
    chances = chances_of(images, outliers)
    assert chances.sum() == pytest.approx(1)
    assert chances[100:].sum() == pytest.approx(0.4)
    small = chances[80:100].sum() / chances[:100].sum()
    assert small == pytest.approx(20**0.7 / (20**0.7 + 80**0.7))
