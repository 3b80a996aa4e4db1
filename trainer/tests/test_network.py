import keras
import numpy as np
import pytest
from network import BACKBONE, build, fold

from gateway.images import scale

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A network whose BatchNorms have seen something."""
    keras.utils.set_random_seed(4)
    model = build(classes=3)
    rng = np.random.default_rng(1)
    for layer in model.get_layer(BACKBONE).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    rng.normal(0, 0.3, beta.shape),
                    rng.normal(0, 0.3, mean.shape),
                    rng.uniform(0.3, 2, variance.shape),
                ]
            )
    return model


def test_scaling_is_inside_and_the_same_everywhere(model: keras.Model) -> None:
    rescale = next(la for la in model.layers if isinstance(la, keras.layers.Rescaling))
    inside = np.asarray(rescale(IMAGES))
    reference = keras.applications.inception_v3.preprocess_input(IMAGES.astype(np.float32))
    np.testing.assert_allclose(inside, reference, atol=1e-6)
    np.testing.assert_allclose(inside, scale(IMAGES), atol=1e-6)


def test_logits(model: keras.Model) -> None:
    logits = model.predict(IMAGES, verbose=0)
    assert logits.shape == (2, 3)
    assert logits.dtype == np.float32


def test_folding_changes_nothing(model: keras.Model) -> None:
    backbone = model.get_layer(BACKBONE)
    folded = fold(backbone)
    assert not any(isinstance(la, keras.layers.BatchNormalization) for la in folded.layers)
    scaled = scale(IMAGES)
    expected = backbone.predict(scaled, verbose=0)
    pooled = folded.predict(scaled, verbose=0).mean((1, 2))
    np.testing.assert_allclose(pooled, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def test_base_weights_that_are_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        build(3, "nothing.h5")
