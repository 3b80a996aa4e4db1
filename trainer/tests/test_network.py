from pathlib import Path

import keras
import numpy as np
import pytest
from network import TOWERS, backbone, classifier, fold, on_pixels, save_base_weights, unfold

from gateway.images import scale

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)


@pytest.fixture(scope="module", params=TOWERS)
def tower(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(tower: str) -> keras.Model:
    """A tower whose BatchNorms have seen something."""
    keras.utils.set_random_seed(4)
    network = TOWERS[tower].layers()
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            *gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    *gamma,
                    rng.normal(0, 0.3, beta.shape),
                    rng.normal(0, 0.3, mean.shape),
                    rng.uniform(0.3, 2, variance.shape),
                ]
            )
    return network


def assert_close(given: np.ndarray, expected: np.ndarray, rtol: float = 1e-3) -> None:
    np.testing.assert_allclose(given, expected, rtol=rtol, atol=rtol * abs(expected).max())


def test_folding_changes_nothing(network: keras.Model) -> None:
    folded = fold(network)
    assert not any(isinstance(la, keras.layers.BatchNormalization) for la in folded.layers)
    scaled = scale(IMAGES)
    assert_close(folded.predict(scaled, verbose=0), network.predict(scaled, verbose=0))


def test_unfolding_turns_folding_round(tower: str, network: keras.Model) -> None:
    scaled = scale(IMAGES)
    again = unfold(tower, fold(network))
    assert [w.shape for w in again.get_weights()] == [w.shape for w in network.get_weights()]
    assert_close(again.predict(scaled, verbose=0), network.predict(scaled, verbose=0))


def test_base_weights_are_exact_from_the_first_time_on(
    tower: str, network: keras.Model, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.weights.h5", tmp_path / "second.weights.h5"
    save_base_weights(tower, fold(network), first)
    assert first.stat().st_size < 2.2 * network.count_params()
    once = backbone(tower, str(first))
    save_base_weights(tower, once, second)
    twice = backbone(tower, str(second))
    for given, expected in zip(twice.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_array_equal(given, expected)
    scaled = scale(IMAGES)
    assert_close(once.predict(scaled, verbose=0), network.predict(scaled, verbose=0), rtol=0.02)


def test_both_towers_make_maps_of_eight_by_eight(tower: str, network: keras.Model) -> None:
    maps = keras.Model(network.input, network.layers[-1].input)
    side = TOWERS[tower].size
    assert maps.compute_output_shape((1, side, side, 3))[1:3] == (8, 8)


def test_tuning_leaves_layers_alone_that_are_there(tower: str, network: keras.Model) -> None:
    names = [layer.name for layer in network.layers]
    assert 0 < names.index(TOWERS[tower].frozen) < len(names) / 2


def test_scaling_is_inside_and_the_same_everywhere() -> None:
    model = on_pixels("inception_v3", backbone("inception_v3", "none"), 96)
    rescale = next(la for la in model.layers if isinstance(la, keras.layers.Rescaling))
    inside = np.asarray(rescale(IMAGES))
    reference = keras.applications.inception_v3.preprocess_input(IMAGES.astype(np.float32))
    np.testing.assert_allclose(inside, reference, atol=1e-6)
    np.testing.assert_allclose(inside, scale(IMAGES), atol=1e-6)


def test_a_classifier_is_a_head_on_the_features_of_all_towers() -> None:
    towers = {name: backbone(name, "none") for name in TOWERS}
    features = np.concatenate(
        [on_pixels(name, towers[name], 96).predict(IMAGES, verbose=0) for name in towers], axis=1
    )
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(features.shape[1], 3)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    logits = classifier(towers, kernel, bias, image_size=96).predict(IMAGES, verbose=0)
    assert logits.dtype == np.float32
    assert_close(logits, features @ kernel + bias)


def test_base_weights_that_are_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        backbone("inception_v3", "nothing.h5")
