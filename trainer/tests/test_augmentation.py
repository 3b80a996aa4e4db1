import numpy as np
import pytest
from augmentation import CHANGE, augment, crop_box, degrade
from kaggle_folder import blots
from PIL import Image


def test_a_crop_has_the_size_and_depends_on_the_seed_only() -> None:
    pixels = np.asarray(blots(1))
    first, again, other = (augment(pixels, 40, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype.name) == ((40, 40, 3), "uint8")
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_share_of_the_crops_is_grey() -> None:
    pixels, rng = np.asarray(blots(1)), np.random.default_rng(0)
    crops = [augment(pixels, 24, rng).astype(int) for _ in range(100)]
    grey = sum((crop.max(-1) == crop.min(-1)).all() for crop in crops)
    assert 8 <= grey <= 35  # of 100, 20 expected


@pytest.mark.parametrize("number", range(len(CHANGE)))
def test_each_change_gets_stronger(number: int) -> None:
    noise = np.random.default_rng(0).integers(40, 200, (48, 48, 3)).astype(np.uint8)
    image = Image.fromarray(noise).resize((96, 96))

    def difference(strength: float) -> float:
        changed = CHANGE[number](image, strength)
        assert (changed.size, changed.mode) == (image.size, "RGB")
        return float(np.abs(np.asarray(changed).astype(int) - np.asarray(image)).mean())

    assert difference(0.0) < 1
    assert difference(0.1) <= difference(1.0) > 1


def test_degrading_loses_detail_and_keeps_the_size() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8))
    degraded = [degrade(noise, np.random.default_rng(seed)) for seed in range(20)]
    sides = {image.width for image in degraded}
    assert 29 <= min(sides) <= max(sides) <= 77
    assert len(sides) > 5
    enlarged = [np.asarray(image.resize(noise.size)).std() for image in degraded]
    assert max(enlarged) < np.asarray(noise).std()


def test_boxes_are_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        left, upper, right, lower = crop_box(100, rng)
        assert 0 <= left < right <= 100 + 1e-9
        assert 0 <= upper < lower <= 100 + 1e-9
