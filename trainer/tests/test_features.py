from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import TINY
from data import read_images
from features import extract
from network import backbone

pytestmark = pytest.mark.usefixtures("tiny")


def test_features_are_stored_for_the_same_weights_and_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.utils.set_random_seed(1)
    images = read_images(folder)
    network, file = backbone(TINY, "none"), tmp_path / "features.npz"
    first = extract(TINY, network, images, file)
    assert (first.shape, first.dtype.name) == ((21, 2, 32), "float32")
    with monkeypatch.context() as patch:
        patch.setattr("features.on_pixels", None)  # nothing is computed again
        np.testing.assert_array_equal(extract(TINY, network, images, file), first)
    assert len(extract(TINY, network, images[:2], file)) == 2
    network.get_layer("top").bias.assign_add(np.ones(32))
    assert not np.array_equal(extract(TINY, network, images[:2], file), first[:2])


def test_the_second_view_is_the_mirror_image(folder: Path, tmp_path: Path) -> None:
    network, images = backbone(TINY, "none"), read_images(folder)[:1]
    views = extract(TINY, network, images)
    assert not np.array_equal(views[0, 0], views[0, 1])
    np.testing.assert_array_equal(extract(TINY, network, images, mirrored=False)[:, 0], views[:, 0])
