"""Folding, weights and classifiers, on the small towers."""

from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import TINY
from network import TOWERS, backbone, classifier, fold, on_pixels, save_base_weights, unfold
from random_networks import PIXELS, SCALED, assert_close, outputs, randomise_statistics

from gateway.images import scale

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def network() -> keras.Model:
    return randomise_statistics(TOWERS[TINY].layers())


def test_folding_changes_no_output(network: keras.Model) -> None:
    folded = fold(network)
    assert not any(isinstance(la, keras.layers.BatchNormalization) for la in folded.layers)
    assert_close(outputs(folded, SCALED), outputs(network, SCALED))


def test_unfolding_is_the_inverse_of_folding(network: keras.Model) -> None:
    unfolded = unfold(TINY, fold(network))
    assert [w.shape for w in unfolded.get_weights()] == [w.shape for w in network.get_weights()]
    assert_close(outputs(unfolded, SCALED), outputs(network, SCALED))


def test_base_weights_do_not_change_when_saved_again(network: keras.Model, tmp_path: Path) -> None:
    first, second = tmp_path / "first.weights.h5", tmp_path / "second.weights.h5"
    save_base_weights(TINY, fold(network), first)
    once = backbone(TINY, str(first))
    save_base_weights(TINY, once, second)
    twice = backbone(TINY, str(second))
    for actual, expected in zip(twice.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_missing_base_weights_are_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        backbone(TINY, "nothing.h5")


def test_scaling_is_the_same_everywhere() -> None:
    model = on_pixels(TINY, backbone(TINY, "none"), 96)
    rescale = next(la for la in model.layers if isinstance(la, keras.layers.Rescaling))
    inside = np.asarray(rescale(PIXELS))
    reference = keras.applications.inception_v3.preprocess_input(PIXELS.astype(np.float32))
    np.testing.assert_allclose(inside, reference, atol=1e-6)
    np.testing.assert_allclose(inside, scale(PIXELS), atol=1e-6)


def test_a_classifier_is_a_head_on_the_features_of_all_towers() -> None:
    towers = {name: backbone(name, "none") for name in TOWERS}
    features = np.concatenate(
        [outputs(on_pixels(name, towers[name], 96), PIXELS) for name in towers], axis=1
    )
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(features.shape[1], 3)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    logits = outputs(classifier(towers, kernel, bias, image_size=96), PIXELS)
    assert logits.dtype == np.float32
    assert_close(logits, features @ kernel + bias)
