from pathlib import Path

import numpy as np
import pytest
from data import read_images
from pixels import decoded

from gateway.images import preprocess


def test_pixels_are_decoded_once(folder: Path, tmp_path: Path) -> None:
    images, file = read_images(folder), tmp_path / "new" / "pixels.npy"
    pixels = decoded(images, file, side=32)
    expected = [preprocess(image.path.read_bytes(), (32, 32)) for image in images]
    np.testing.assert_array_equal(pixels, expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixels.load_batches", None)
        np.testing.assert_array_equal(decoded(images, file, side=32), expected)
    assert decoded(images[:3], file, side=32).shape == (3, 32, 32, 3)
    assert decoded(images[:3], file, side=16).shape == (3, 16, 16, 3)


def test_interrupted_decoding_starts_again(folder: Path, tmp_path: Path) -> None:
    images, file = read_images(folder)[:4], tmp_path / "pixels.npy"
    expected = decoded(images, file, side=32).copy()

    def stop(*arguments: object) -> object:
        yield expected[:1]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixels.load_batches", stop)
        with pytest.raises(KeyboardInterrupt):
            decoded(images[::-1], file, side=32)
    np.testing.assert_array_equal(decoded(images[::-1], file, side=32), expected[::-1])
