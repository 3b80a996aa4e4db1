from pathlib import Path

import keras
import numpy as np
import pytest
from data import Picture
from features import extract
from network import backbone

TOWER = "efficientnet_lite2"
SAMPLES = sorted((Path(__file__).parents[2] / "dataset" / "samples").glob("*.jpg"))[:3]
PICTURES = [Picture(file, "any") for file in SAMPLES]


def test_features_are_kept_for_the_same_weights_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.utils.set_random_seed(1)
    network, file = backbone(TOWER, "none"), tmp_path / "features.npz"
    first = extract(TOWER, network, PICTURES, file)
    assert (first.shape, first.dtype) == ((3, 2, 1280), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr("features.on_pixels", None)  # nothing is computed
        np.testing.assert_array_equal(extract(TOWER, network, PICTURES, file), first)
    assert len(extract(TOWER, network, PICTURES[:2], file)) == 2
    network.get_layer("top").bias.assign_add(np.ones(1280))
    assert not np.array_equal(extract(TOWER, network, PICTURES[:2], file), first[:2])


def test_without_mirror_images() -> None:
    network = backbone(TOWER, "none")
    assert extract(TOWER, network, PICTURES[:1], mirrored=False).shape == (1, 1, 1280)
