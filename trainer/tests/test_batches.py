from pathlib import Path

import numpy as np
import pytest
from batches import AugmentedImages, chances_of, mix
from data import LabelledImage

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 3)).astype(np.uint8)
TARGETS = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
EQUAL = np.full(6, 1 / 6)


def batches(seed: tuple[int, ...], teacher: object = None) -> AugmentedImages:
    return AugmentedImages(PIXELS, TARGETS, EQUAL, 3, 40, 4, seed, teacher)


def test_shapes_of_a_batch() -> None:
    assert len(batches((2, 0))) == 3
    pixels, targets = batches((2, 0))[0]
    assert (pixels.shape, pixels.dtype.name) == ((4, 40, 40, 3), "uint8")
    assert (targets.shape, targets.dtype.name) == ((4, 3), "float32")
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)


def test_targets_are_those_of_the_drawn_images() -> None:
    only_last = np.array([0, 0, 0, 0, 0, 1.0])
    drawn = AugmentedImages(PIXELS, TARGETS, only_last, 9, 40, 4, (1, 0))
    for i in range(9):
        np.testing.assert_allclose(drawn[i][1], [[0, 0, 1]] * 4, rtol=1e-6)


def test_an_epoch_is_reproducible_and_differs_from_the_next() -> None:
    pixels, _ = batches((2, 0))[1]
    np.testing.assert_array_equal(batches((2, 0))[1][0], pixels)
    assert not np.array_equal(batches((2, 1))[1][0], pixels)


def test_a_teacher_changes_the_targets() -> None:
    class Teacher:
        def predict_on_batch(self, pixels: np.ndarray) -> np.ndarray:
            return np.zeros((len(pixels), 3), np.float32)

    _, plain = batches((2, 0))[0]
    _, taught = batches((2, 0), Teacher())[0]
    np.testing.assert_allclose(taught, 0.3 * plain + 0.7 / 3, atol=1e-6)


def test_mixtures_keep_pixels_and_targets_in_proportion() -> None:
    """With a white and a black image, the share of white pixels is the share of the target."""
    pixels = np.stack([np.full((40, 40, 3), value, np.uint8) for value in (0, 255)])
    targets = np.eye(2, dtype=np.float32)
    shares = []
    for seed in range(60):
        mixed, given = mix(pixels, targets, np.random.default_rng(seed))
        np.testing.assert_allclose(mixed.mean((1, 2, 3)) / 255, given[:, 1], atol=0.003)
        shares.append(float(given[0, 1]))
    assert shares.count(0) > 10  # some batches are left alone
    assert sum(0 < share < 1 for share in shares) > 10
    assert set(pixels.ravel()) == {0, 255}  # the images themselves are unchanged


def test_chances_of_outliers_and_of_small_labels() -> None:
    images = [LabelledImage(Path(f"{i}"), "large" if i < 80 else "small") for i in range(100)]
    outliers = [LabelledImage(Path(f"{i}"), "other") for i in range(50)]
    chances = chances_of(images, outliers)
    assert chances.sum() == pytest.approx(1)
    assert chances[100:].sum() == pytest.approx(0.4)
    small = chances[80:100].sum() / chances[:100].sum()
    assert small == pytest.approx(20**0.7 / (20**0.7 + 80**0.7))
