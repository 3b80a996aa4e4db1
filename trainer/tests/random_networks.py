"""Networks with random weights and statistics, and how to compare their outputs."""

import keras
import numpy as np

from gateway.images import scale

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
SCALED = scale(PIXELS)


def randomise_statistics(network: keras.Model) -> keras.Model:
    """Give BatchNorms statistics as after training."""
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


def outputs(network: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Calls the layers one by one, which is cheaper than compiling the network for one batch."""
    return np.asarray(network(inputs, training=False))


def assert_close(actual: np.ndarray, expected: np.ndarray, rtol: float = 1e-3) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * abs(expected).max())
